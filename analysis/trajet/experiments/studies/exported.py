"""The finished trials of a study, read from the file that `export` wrote."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trajet import statistics
from trajet.errors import UserError
from trajet.experiments.result import Result
from trajet.files import read_text

# final_f and counts are of one evaluation; an export may have rounded the score.
_ROUNDING = 5e-4
_HINT = "give the file of finished trials that the study was exported to"
_AGAIN = "export the study again"


@dataclass(frozen=True)
class Study:
    """A file of finished trials, read: results by variant, then by seed; variants in the header's order."""

    path: Path
    results: dict[str, dict[int, Result]]
    groups: dict[str, str]
    questions: dict[str, str]
    notes: list[str]


def read_study(path: Path) -> Study:
    """Finished trials: a first line of kind "study" with the dev documents' frames, then a result a line.

    The first line may describe its variants, {"variants": {name: {"group": ..., "question": ...}}}, or a trial may carry
    its own "group" and "question". Each result's final_f is the F of its counts; a diverged run that has no counts found
    nothing: nobody could use what it trained.

    Raises:
        UserError: no such file, or a line that cannot be used (names it).
    """
    lines = [(f"{path}:{n}", line) for n, line in enumerate(read_text(path, _HINT).splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"{path}: is empty; {_HINT}")
    (where, header), *rows = [(where, _json(where, line)) for where, line in lines]
    frames, described = header.get("frames"), header.get("variants") or {}
    if header.get("kind") != "study" or not isinstance(frames, list) or not frames:
        raise UserError(f'{where}: not the first line of a study ("kind": "study" and a list of frames); {_HINT}')
    if not isinstance(described, dict) or not all(isinstance(text, dict) for text in described.values()):
        raise UserError(f'{where}: variants must be objects with "group" and "question" by name; {_AGAIN}')
    places: dict[tuple[str, int], str] = {}
    results: dict[str, dict[int, Result]] = {name: {} for name in described}
    about: dict[str, list[dict]] = {name: [described[name]] for name in described}
    gold = None
    for where, row in rows:
        if row.get("kind", "trial") not in ("trial", "result"):
            raise UserError(f"{where}: a line of kind {row['kind']!r} among the trials; {_AGAIN}")
        result = Result.from_dict({"frames": frames, **row}, where)
        gold = _check(result, frames, gold, where)
        key = (result.name, result.seed)
        if key in places:
            raise UserError(f"{where}: {key[0]} with seed {key[1]} is already at {places[key]}; keep one of them")
        places[key] = where
        results.setdefault(result.name, {})[result.seed] = result
        about.setdefault(result.name, []).append(row)
    if gold is None:
        raise UserError(f"{path}: no trial with counts in it; run the study first")
    results = {name: dict(sorted(by_seed.items())) for name, by_seed in results.items() if by_seed}
    return Study(
        Path(path),
        {name: {seed: _usable(result, gold) for seed, result in by_seed.items()} for name, by_seed in results.items()},
        {name: _first(about[name], "group") for name in results},
        {name: _first(about[name], "question") for name in results},
        _notes(results),
    )


def counts_of(results: Iterable[Result]) -> np.ndarray:
    """tp, fp, fn by frame, all results together: shape (frames, 3)."""
    return np.sum([result.counts for result in results], axis=0)


def curve_of(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Updates made and F at each evaluation that has one; step 0 is evaluated after the first update."""
    pairs = [(entry["step"] + 1, entry["ents_f"]) for entry in result.evaluations if is_finite(entry["ents_f"])]
    return np.array([updates for updates, _ in pairs], dtype=float), np.array([f for _, f in pairs], dtype=float)


def _json(where: str, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg} at column {error.colno}); {_AGAIN}") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: not a JSON object; {_AGAIN}")
    return row


def _check(result: Result, frames: list, gold: np.ndarray | None, where: str) -> np.ndarray | None:
    """Refuse what the statistics could not use; returns the spans to be found by frame, the same for all trials."""
    for key, kind in (("name", str), ("seed", int), ("diverged", bool), ("evaluations", list), ("counts", list)):
        if type(value := getattr(result, key)) is not kind and not (key == "counts" and value is None):
            raise UserError(f"{where}: {key} is {value!r}, not of type {kind.__name__}; {_AGAIN}")
    if result.frames != frames:
        raise UserError(f"{where}: its frames are not those of line 1; the trials need one dev split")
    if not (is_finite(result.final_f) and 0 <= result.final_f <= 1) and not result.diverged:
        raise UserError(f"{where}: final_f is {result.final_f!r}, and the run did not diverge; train it again")
    if not result.evaluations:
        raise UserError(f"{where}: no evaluation; {_AGAIN}")
    step = -1
    for entry in result.evaluations:
        if not isinstance(entry, dict) or not {"step", "ents_f", "train_loss", "dev_loss"} <= entry.keys():
            raise UserError(f"{where}: an evaluation lacks step, ents_f, train_loss or dev_loss; {_AGAIN}")
        if type(entry["step"]) is not int or entry["step"] <= step:
            raise UserError(f"{where}: step {entry['step']!r} follows step {step} among the evaluations; {_AGAIN}")
        step = entry["step"]
    if not result.counts and result.diverged:
        return gold
    right = (
        result.counts
        and len(result.counts) == len(frames)
        and all(isinstance(row, list) and len(row) == 3 for row in result.counts)
    )
    if not right or any(type(n) is not int or n < 0 for row in result.counts for n in row):
        raise UserError(f"{where}: counts need {len(frames)} rows [tp, fp, fn], one a frame of line 1; {_AGAIN}")
    counts = np.array(result.counts)
    of_counts = float(statistics.micro_f(counts.sum(axis=0)))
    if is_finite(result.final_f) and abs(result.final_f - of_counts) > _ROUNDING:
        raise UserError(
            f"{where}: final_f is {result.final_f:.4f}, its counts give {of_counts:.4f}; both must be of the last evaluation"
        )
    spans = counts[:, 0] + counts[:, 2]
    if gold is not None and (spans != gold).any():
        frame = frames[int(np.flatnonzero(spans != gold)[0])]
        raise UserError(f"{where}: other gold spans in {frame} than the trials before; they need one dev split")
    return spans


def _usable(result: Result, gold: np.ndarray) -> Result:
    """With the F of its counts, which no export has rounded; a diverged run's missing counts are all misses."""
    if not result.counts:
        result = replace(result, counts=[[0, 0, int(spans)] for spans in gold])
    return replace(result, final_f=float(statistics.micro_f(counts_of([result]).sum(axis=0))))


def is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _first(rows: Sequence[dict], key: str) -> str:
    return next((str(row[key]) for row in rows if row.get(key)), "")


def _notes(results: dict[str, dict[int, Result]]) -> list[str]:
    versions: dict[str, set[str]] = {}
    for by_seed in results.values():
        for result in by_seed.values():
            # A training names the packages that its numbers depend on: not every one has torch.
            for package, version in result.versions.items():
                versions.setdefault(package, set()).add(version)
    return [
        f"The trials were made with different versions of {package}: {', '.join(sorted(found))}."
        for package, found in sorted(versions.items())
        if len(found) > 1
    ]
