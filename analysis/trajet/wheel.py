"""A trained pipeline as a wheel that pip installs and `spacy.load` finds by name."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import srsly
from packaging.version import InvalidVersion, Version
from spacy.cli.package import package

from trajet.errors import UserError
from trajet.files import write_atomically

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# The hook that pip and build call in a folder with a setup.py, here without fetching anything first.
_BUILD = "import sys; from setuptools.build_meta import __legacy__ as backend; backend.build_wheel(sys.argv[1])"


def check_names(name: str, version: str, lang: str) -> None:
    """Refuse what would make a package that cannot be installed or loaded.

    Raises:
        UserError: `name` or `version` is of no use.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name}: not a name for a package; use small letters, digits and single underscores, a letter first"
        )
    if name.startswith(f"{lang}_"):
        raise UserError(f"--name {name}: the language is put before it; give --name {name.removeprefix(f'{lang}_')}")
    try:
        normal = str(Version(version))
    except InvalidVersion:
        raise UserError(f"--version {version}: not a version; write it like 0.1.0") from None
    if normal != version:
        raise UserError(f"--version {version}: would be installed as {normal}; give that")


def build_wheel(
    model: Path, output: Path, *, name: str, version: str, meta: Mapping[str, Any], readme: str, license_text: str
) -> Path:
    """Build `output/LANG_NAME-VERSION-py3-none-any.whl` from a saved pipeline. Needs no network.

    Args:
        model: folder of the pipeline; it is not changed.
        name, version: see `check_names`.
        meta: fields that replace those of the pipeline's meta.json.
        readme, license_text: go with it; the first is what an index shows.
    Raises:
        UserError: the output folder cannot be written to.
    """
    with tempfile.TemporaryDirectory() as scratch:
        staged, packed, built = (Path(scratch) / part for part in ("pipeline", "packed", "built"))
        shutil.copytree(model, staged)
        srsly.write_json(staged / "meta.json", {**srsly.read_json(staged / "meta.json"), **meta})
        (staged / "README.md").write_text(readme, encoding="utf8")
        (staged / "LICENSE").write_text(license_text, encoding="utf8")
        packed.mkdir()
        built.mkdir()
        # spaCy's own build would fetch setuptools into an environment of its own; only its folder is used.
        package(staged, packed, name=name, version=version, create_sdist=False, require_parent=True)
        (folder,) = packed.iterdir()
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(built)], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"setuptools could not build {folder.name}:\n{done.stderr}")
        (wheel,) = built.iterdir()
        return write_atomically(output / wheel.name, lambda temporary: shutil.copyfile(wheel, temporary))
