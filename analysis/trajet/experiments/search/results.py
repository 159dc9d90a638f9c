"""What came of a search: its points as a small file that can be committed, the best of them, what lies at an edge.

JSON Lines: a first line {"kind": "search", ...} with settings, parameters and their importance, then a line a point, by
number. The same points give the same bytes: no times, no host names, no trial numbers. Pictures are drawn from it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from trajet.errors import UserError
from trajet.experiments.search.parameter import LOWER, Parameter, Value, shown
from trajet.files import read_text, write_text

COMPLETE, PRUNED = "complete", "pruned"
_KIND = "search"
_DIGITS = 6


class Point(NamedTuple):
    """A point that was trained: to the end, or until it was given up."""

    number: int
    state: str
    score: float  # F at the last evaluation
    values: dict[str, Value]  # of the parameters that apply
    curve: list[tuple[int, float]]  # step, F
    diverged: bool = False


class Importance(NamedTuple):
    """How much a parameter decides whether a point is among the best; see search_importance."""

    name: str
    value: float
    chance: float  # what 95 of 100 shuffled searches stay below

    @property
    def is_beyond_chance(self) -> bool:
        """Whether it is more than shuffled scores would show."""
        return self.value > self.chance


@dataclass(frozen=True)
class SearchResults:
    """A search's export.

    Attributes:
        study: its name.
        updates: budget of a training.
        settings: share, validate, documents, seed.
        parameters: in the order of the space.
        points: by number.
        importance: the largest first; empty where there are too few points.
    """

    study: str
    updates: int
    settings: Mapping[str, Any]
    parameters: Sequence[Parameter]
    points: Sequence[Point]
    importance: Sequence[Importance] = field(default_factory=tuple)

    def best(self, count: int = 1) -> list[Point]:
        """The points trained to the end with the highest scores, the lower number first among equals."""
        complete = [point for point in self.points if point.state == COMPLETE]
        return sorted(complete, key=lambda point: (-point.score, point.number))[:count]


def edges(parameters: Iterable[Parameter], point: Point) -> list[str]:
    """A line for each number of a point that lies at an edge of its range."""
    lines = []
    for parameter in parameters:
        edge = parameter.edge(point.values[parameter.name]) if parameter.name in point.values else None
        if edge is None:
            continue
        low, high = map(shown, (parameter.low, parameter.high))
        beyond = "lower" if edge == LOWER else "higher"
        lines.append(
            f"{parameter.name} = {shown(point.values[parameter.name])} lies at the {edge} edge of its range, {low} to "
            f"{high}: what is {beyond} was not tried; widen the range if it can be"
        )
    return lines


def write_results(results: SearchResults, path: Path) -> Path:
    """Write the export.

    Raises:
        UserError: the folder cannot be written to.
    """
    header = {
        "kind": _KIND,
        "study": results.study,
        "updates": results.updates,
        "settings": dict(results.settings),
        "parameters": [parameter.to_dict() for parameter in results.parameters],
        "importance": [_rounded(each._asdict()) for each in results.importance],
    }
    points = sorted(results.points, key=lambda point: point.number)
    # Values as they are: with them the training can be repeated.
    rows = [header, *({**_rounded(point._asdict()), "values": point.values} for point in points)]
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    return write_text(path, "\n".join(lines) + "\n")


def read_results(path: Path) -> SearchResults:
    """An export.

    Raises:
        UserError: no such file, or not an export of a search.
    """
    rows = []
    for number, line in enumerate(read_text(path, "give the file that `search` exported").splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not JSON ({error.msg}); run `search` again") from None
    if not rows or not isinstance(rows[0], dict) or rows[0].get("kind") != _KIND:
        raise UserError(f"{path}:1: not the first line of an exported search; give the file that `search` exported")
    header = rows[0]
    try:
        return SearchResults(
            study=header["study"],
            updates=header["updates"],
            settings=header["settings"],
            parameters=[Parameter.from_dict(each) for each in header["parameters"]],
            points=[Point(**{**row, "curve": [(step, score) for step, score in row["curve"]]}) for row in rows[1:]],
            importance=[Importance(**each) for each in header["importance"]],
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not an export of this version ({error}); run `search` again") from None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
