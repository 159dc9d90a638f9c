"""YAML files of ours, with errors that name file and line and the nearest that exists."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from srsly.ruamel_yaml import YAML
from srsly.ruamel_yaml.error import MarkedYAMLError, MarkedYAMLFutureWarning, YAMLError

from trajet.errors import UserError
from trajet.files import read_text


def read_yaml(path: Path, hint: str) -> Mapping:
    """A file's mapping, its keys knowing their lines.

    Raises:
        UserError: no such file (gives `hint`), not YAML, or no mapping.
    """
    text = read_text(path, hint)
    try:
        document = YAML(typ="rt").load(text)
    except (MarkedYAMLError, MarkedYAMLFutureWarning) as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: {error.problem or 'not YAML'}") from None
    except YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(document, Mapping):
        raise UserError(f"{path}:1: no `key: value` lines here; {hint}")
    return document


def mapping(path: Path, parent: Mapping, key: str) -> Mapping:
    """The mapping under a key.

    Raises:
        UserError: it is something else.
    """
    value = parent[key]
    if not isinstance(value, Mapping):
        raise UserError(f"{where(path, parent, key)}: {key!r} holds {value!r}; it must hold `key: value` lines")
    return value


def where(path: Path, parent: Any, key: str) -> str:
    """file:line of a key."""
    return f"{path}:{parent.lc.key(key)[0] + 1}"


def check_keys(path: Path, found: Mapping, known: Iterable[str], required: Iterable[str], what: str) -> None:
    """Refuse keys that nobody reads, and the lack of those that are needed.

    Raises:
        UserError: names the nearest known key.
    """
    for key in found:
        if key not in known:
            raise UserError(f"{where(path, found, key)}: {what} has no {key!r}{nearest(str(key), known)}")
    for key in required:
        if key not in found:
            line = found.lc.line + 1  # type: ignore[attr-defined]
            raise UserError(f"{path}:{line}: {what} needs `{key}:`")


def plain(value: Any) -> Any:
    """The reader's own kinds of numbers, texts and mappings as Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """What to add to a message about an unknown name."""
    near = difflib.get_close_matches(name, [str(key) for key in known], n=1, cutoff=0.0)
    return f"; the nearest is {near[0]!r}" if near else ""
