"""The score over each parameter of a search, one panel a parameter; a conditional one only where it applied."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from trajet.experiments.search.parameter import CATEGORICAL, EDGE, Parameter, condition, shown
from trajet.experiments.search.results import COMPLETE, SearchResults
from trajet.plots.style import BLACK, BLUE, GREY, VERMILION, axes_of, dress, figure_of

_COLUMNS = 4
_PANEL_INCHES = (3.2, 2.7)
_EDGE_COLOUR = "#f4e3d8"


class Slice(NamedTuple):
    """One parameter; a value a point where it applied."""

    parameter: Parameter
    value: np.ndarray  # the place of its choice for a categorical one
    score: np.ndarray
    complete: np.ndarray
    best: int | None  # index of the best point, if the parameter applied to it


def data(results: SearchResults) -> list[Slice]:
    """The parameters in the order of the space, without those that never applied."""
    best = results.best()
    slices = []
    for parameter in results.parameters:
        points = [point for point in results.points if parameter.name in point.values]
        if not points:
            continue
        values = [point.values[parameter.name] for point in points]
        if parameter.kind == CATEGORICAL:
            values = [parameter.choices.index(value) for value in values]
        slices.append(Slice(
            parameter, np.array(values, dtype=float), np.array([point.score for point in points], dtype=float),
            np.array([point.state == COMPLETE for point in points], dtype=bool),
            points.index(best[0]) if best and best[0] in points else None,
        ))  # fmt: skip
    return slices


def draw(each: Slice, ax: Axes | None = None) -> Axes:
    """Dots for points trained to the end, crosses for those given up, a star for the best; the edges shaded."""
    ax = axes_of(ax)
    parameter, done = each.parameter, each.complete
    if parameter.kind == CATEGORICAL:
        # Beside each other, so that equal scores are all seen; always the same way.
        x = each.value + _spread(each.value)
        labels = [shown(choice) for choice in parameter.choices]
        ax.set_xticks(range(len(labels)), labels)
        ax.set_xlim(-0.6, len(labels) - 0.4)
    else:
        x = each.value
        if parameter.log:
            ax.set_xscale("log")
        ax.set_xlim(*(_at(parameter, place) for place in (-0.04, 1.04)))
        for first, last in ((0, EDGE), (1 - EDGE, 1)):
            ax.axvspan(_at(parameter, first), _at(parameter, last), color=_EDGE_COLOUR, linewidth=0, zorder=0)
    ax.plot(x[~done], each.score[~done], "x", color=GREY, markersize=5)
    ax.plot(x[done], each.score[done], "o", color=BLUE, markersize=5)
    if each.best is not None:
        ax.plot(
            x[each.best], each.score[each.best], "*", color=VERMILION, markersize=13, markeredgecolor=BLACK, zorder=3
        )
    where = condition(parameter)
    dress(ax, parameter.name, "F", f"only with {where}" if where else "")
    ax.xaxis.label.set_fontsize(8)
    return ax


def figure(slices: list[Slice], into: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """All panels on the same score axis; below, what the marks are."""
    columns = min(_COLUMNS, len(slices)) or 1
    rows = math.ceil(len(slices) / columns) or 1
    width, height = _PANEL_INCHES
    into = figure_of(into, (max(width * columns, 6.5), height * rows + 0.6))
    axes = into.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    scores = [each.score for each in slices]
    for index, (ax, each) in enumerate(zip(axes, slices, strict=False)):
        draw(each, ax)
        # Shared by all panels: the points of one parameter are those of all.
        ax.set_ylim(-0.03, min(1.03, 1.1 * max(score.max() for score in scores) + 0.02))
        if index % columns:
            ax.set_ylabel("")
    for ax in axes[len(slices) :]:
        ax.remove()
    handles = [
        Line2D([], [], color=BLUE, marker="o", linestyle="", label="trained to the end"),
        Line2D([], [], color=GREY, marker="x", linestyle="", label="given up: F at that time"),
        Line2D([], [], color=VERMILION, marker="*", markeredgecolor=BLACK, markersize=12, linestyle="", label="best"),
        Patch(color=_EDGE_COLOUR, label="edge of the range"),
    ]
    into.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=9)
    return into


def _at(parameter: Parameter, place: float) -> float:
    """The value at a place of the range, 0 its lower and 1 its upper bound."""
    low, high = parameter.bounds()
    return low * (high / low) ** place if parameter.log else low + (high - low) * place


def _spread(values: np.ndarray) -> np.ndarray:
    """Offsets that lay the points of one choice side by side."""
    offsets = np.zeros(len(values))
    for value in np.unique(values):
        members = np.flatnonzero(values == value)
        offsets[members] = np.linspace(-0.3, 0.3, len(members)) if len(members) > 1 else 0.0
    return offsets
