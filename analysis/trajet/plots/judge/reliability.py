"""Reliability diagram: how often spans of a confidence are right, before and after the temperature."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trajet.judge.calibration import Reliability
from trajet.plots.style import BLUE, GREY, VERMILION, axes_of, dress

STYLES = ((VERMILION, "s"), (BLUE, "o"))


class Curve(NamedTuple):
    """The bins of one table that hold a prediction."""

    name: str
    ece: float | None
    confidence: np.ndarray
    right: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray  # of all bins, the empty ones too
    edges: np.ndarray


def data(tables: Mapping[str, Reliability]) -> list[Curve]:
    """A curve a table."""
    curves = []
    for name, table in tables.items():
        held = [row for row in table.bins if row.count]
        columns = [np.array([getattr(row, field) for row in held], dtype=float)
                   for field in ("confidence", "right", "right_low", "right_high")]  # fmt: skip
        edges = np.array([*(row.low for row in table.bins), table.bins[-1].high])
        curves.append(Curve(name, table.ece, *columns, np.array([row.count for row in table.bins]), edges))
    return curves


def draw(curves: list[Curve], ax: Axes | None = None, title: str = "Are confident spans right?") -> Axes:
    """Share right over mean confidence, a point a bin; on the diagonal confidence means what it says."""
    ax = axes_of(ax)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for curve, (colour, mark) in zip(curves, STYLES, strict=False):
        error = "" if curve.ece is None else f", ECE {curve.ece:.3f}"
        ax.vlines(curve.confidence, curve.low, curve.high, color=colour, linewidth=1, alpha=0.6)
        ax.plot(curve.confidence, curve.right, mark, linestyle="-", color=colour, linewidth=1.2, markersize=5,
                label=f"{curve.name}{error}")  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.legend(frameon=False, loc="lower right", fontsize=9)
    return dress(ax, title, "share right, with its 95 % interval", "mean confidence of a bin's spans")


def draw_counts(curves: list[Curve], ax: Axes | None = None) -> Axes:
    """How many predicted spans each bin holds."""
    ax = axes_of(ax)
    for curve, (colour, _) in zip(curves, STYLES, strict=False):
        ax.stairs(curve.count, curve.edges, color=colour, linewidth=1.4)
    ax.set_xlim(0, 1)
    return dress(ax, "", "spans", "confidence")


def figure(curves: list[Curve], title: str) -> Figure:
    """The diagram, and below it how many spans each point stands for."""
    made = Figure(figsize=(6.2, 7.2), layout="constrained")
    top, bottom = made.subplots(2, 1, height_ratios=(3, 1))
    draw(curves, top, title)
    draw_counts(curves, bottom)
    return made
