"""Appending rows to a trace file so that a kill loses at most the row being written."""

import contextlib
import platform
import sys
from importlib import metadata
from pathlib import Path

from thinc.api import Optimizer

from trajet.errors import UserError
from trajet.trace.format import FORMAT, LEVELS, WATCHED_COLUMNS, encode, short_number, watched_number
from trajet.trace.measure import Measured, real_optimizer
from trajet.trace.parameters import Parameter
from trajet.training.formula import tells_its_formula

_PACKAGES = ("trajet", "spacy", "thinc", "numpy", "torch", "spacy-transformers", "transformers")


def check_settings(path: str | Path, every: int, level: str, losses_on: int = 0) -> None:
    """Refuse settings that no trace can be made with.

    Raises:
        UserError: names the setting and what it may be.
    """
    if not str(path):
        raise UserError("trace: path is empty; give a file, for example trace.jsonl")
    if not isinstance(every, int) or every < 1:
        raise UserError(f"trace: every = {every!r}; it must be a whole number from 1")
    if level not in LEVELS:
        raise UserError(f"trace: level = {level!r}; it is one of {', '.join(LEVELS)}")
    if not isinstance(losses_on, int) or losses_on < 0:
        raise UserError(f"trace: losses_on = {losses_on!r}; it must be a whole number from 0 (off)")


class TraceWriter:
    """Writes the rows of one run; the file of an earlier run is replaced when this one starts.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf8")
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot write the trace ({error.strerror}); set another path in [training.before_update]"
            ) from None

    def write(self, row: dict, columns: dict | None = None) -> None:
        """Append one row and hand it to the operating system, which keeps it if this process is killed."""
        self._file.write(encode(row, columns) + "\n")
        self._file.flush()

    def write_header(self, optimizer: Optimizer, parameters: list[Parameter], settings: dict) -> None:
        """The first line: what is needed to read the rest and to know the run."""
        header = {
            "kind": "run",
            "format": FORMAT,
            "versions": {"python": platform.python_version(), **_versions()},
            **settings,
            "optimizer": describe_optimizer(optimizer),
            "parameters": [parameter.describe() for parameter in parameters],
        }
        self.write(header)

    def write_step(self, row: dict, measured: Measured, level: str) -> None:
        """A step row: its own values, the totals, and at level tensors and full a list a column."""
        row = {
            "kind": "step",
            **row,
            "global_grad_norm": short_number(measured.global_grad_norm),
            "global_update_norm": short_number(measured.global_update_norm),
            "tensors_updated": measured.tensors_updated,
            "tensors_clipped": measured.tensors_clipped,
        }
        if measured.watched:
            row["watched"] = [_watched(entry) for entry in measured.watched]
        self.write(row, measured.columns if level != "steps" else None)

    def close(self) -> None:
        """Close the file; rows written so far are already safe."""
        self._file.close()


def describe_optimizer(optimizer: Optimizer) -> dict:
    """Every setting of a Thinc optimizer under the name the config gives it; scheduled ones are named."""
    real = real_optimizer(optimizer)
    names = {"beta1": "b1", "beta2": "b2"}
    settings = {
        name: getattr(real, names.get(name, name), None)
        for name in ("beta1", "beta2", "eps", "L2", "grad_clip", "L2_is_weight_decay", "use_radam")
    }
    averages = getattr(real, "averages", None)
    config_names = {value: key for key, value in names.items()}
    return {
        "class": f"{type(real).__module__}.{type(real).__qualname__}",
        **settings,
        **(real.own_settings() if tells_its_formula(real) else {}),
        "use_averages": averages is not None,
        "scheduled": sorted(config_names.get(name, name) for name in getattr(real, "schedules", {})),
    }


def scheduled_values(optimizer: Optimizer) -> dict[str, float]:
    """Current values of what follows a schedule, but for learn_rate, which has a column of its own."""
    names = {"b1": "beta1", "b2": "beta2"}
    return {
        names.get(name, name): short_number(float(getattr(optimizer, name)))
        for name in getattr(real_optimizer(optimizer), "schedules", {})
        if name != "learn_rate"
    }


def _versions() -> dict[str, str]:
    """Versions of the packages that matter and are loaded: torch is not named by a run that never used it."""
    loaded = [package for package in _PACKAGES if package.replace("-", "_") in sys.modules]
    versions = {}
    for package in loaded:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _watched(entry: dict | None) -> dict | None:
    if entry is None:
        return None
    return {name: None if entry[name] is None else [watched_number(v) for v in entry[name]] for name in WATCHED_COLUMNS}
