"""Dev F over the updates: a panel a group of variants, base in each, mean over seeds with their range."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from trajet.experiments.studies.exported import Study, curve_of
from trajet.plots.style import BLACK, CYCLE, GREY, axes_of, dress, figure_of

# More lines than this in one panel and their bands hide each other.
_MOST = 5
_COLUMNS = 4
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_PANEL_INCHES = (3.7, 3.5)


class Curve(NamedTuple):
    """One variant; a value an evaluation that all its seeds have."""

    variant: str
    updates: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int
    cut: bool  # some seed went on: a run that ended early (it diverged, or was stopped) ends the curve


class Panel(NamedTuple):
    title: str
    base: Curve
    curves: list[Curve]


def data(study: Study, base: str = "base") -> list[Panel]:
    """The groups in the study's order, those of many variants in several panels."""
    members: dict[str, list[Curve]] = {}
    for name in study.results:
        if name != base:
            members.setdefault(study.groups[name] or "no group", []).append(curve(study, name))
    panels = []
    for group, curves in members.items():
        count = math.ceil(len(curves) / _MOST)
        for index, part in enumerate(np.array_split(np.arange(len(curves)), count)):
            title = group if count == 1 else f"{group} ({index + 1} of {count})"
            panels.append(Panel(title, curve(study, base), [curves[i] for i in part]))
    return panels


def curve(study: Study, variant: str) -> Curve:
    """Mean, least and greatest F over the seeds."""
    runs = [dict(zip(*curve_of(result), strict=True)) for result in study.results[variant].values()]
    shared = sorted(set.intersection(*map(set, runs)))
    values = np.array([[run[updates] for updates in shared] for run in runs]).reshape(len(runs), len(shared))
    last = max((updates for run in runs for updates in run), default=0.0)
    return Curve(
        variant, np.array(shared), values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(runs),
        cut=not shared or shared[-1] < last,
    )  # fmt: skip


def draw(panel: Panel, ax: Axes | None = None, level: float | None = None) -> Axes:
    """Lines of the means, bands from the least to the greatest seed; `level` as a thin line across."""
    ax = axes_of(ax)
    if level is not None:
        ax.axhline(level, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    styles = [(BLACK, "-", 1.0), *((CYCLE[i], _DASHES[i], 2.0) for i in range(len(panel.curves)))]
    for each, (colour, dashes, width) in zip((panel.base, *panel.curves), styles, strict=True):
        seeds = f"{each.seeds} seed{'s' if each.seeds > 1 else ''}"
        label = f"{each.variant} ({seeds}{', ends where a run ended' if each.cut else ''})"
        ax.fill_between(each.updates, each.low, each.high, color=colour, alpha=0.16, linewidth=0)
        # Base is thin and on top: where a variant runs along with it, both are seen.
        order = 3 if each is panel.base else 2
        ax.plot(each.updates, each.mean, color=colour, linestyle=dashes, linewidth=width, label=label, zorder=order)
        if each.cut and len(each.updates):
            ax.plot(each.updates[-1:], each.mean[-1:], "x", color=colour, markersize=7, markeredgewidth=2)
    ax.set_ylim(-0.02, 1.02)
    dress(ax, panel.title, "dev F", "updates")
    # Below the axes: inside, it would hide curves that stay at 0 or climb late.
    ax.legend(
        frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.19), borderaxespad=0, handlelength=2.6
    )
    return ax


def figure(
    panels: list[Panel], level: float | None = None, into: Figure | SubFigure | None = None
) -> Figure | SubFigure:
    """All panels on the same axes; below, what line and band are."""
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    most = max(len(panel.curves) for panel in panels) + 1
    width, height = _PANEL_INCHES
    into = figure_of(into, (max(width * columns, 5.0), (height + 0.17 * most) * rows + 0.5))
    axes = into.subplots(rows, columns, squeeze=False).ravel()
    last = max((each.updates[-1] for p in panels for each in (p.base, *p.curves) if len(each.updates)), default=1.0)
    for ax, panel in zip(axes, panels, strict=False):
        draw(panel, ax, level).set_xlim(0, last)
    for ax in axes[len(panels) :]:
        ax.remove()
    note = "Line: mean over seeds. Band: from the least to the greatest seed."
    if level is not None:
        note += f" Dotted: F {level:g}."
    into.supxlabel(note, x=0.01, ha="left", fontsize=9, color="#333333")
    return into
