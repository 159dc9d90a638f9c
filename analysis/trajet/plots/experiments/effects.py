"""Forest plot: each variant's difference to base with its interval, grouped, coloured by verdict."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from trajet.experiments.comparison.compare import BETTER, FEW, NOISE, WORSE, Comparison, signed
from trajet.plots.style import BLACK, BLUE, GREY, VERMILION, axes_of, dress, figure_of

UNCLEAR = "within noise, though its own interval leaves out 0"
# Told apart by shape and filling as well as by colour: colour, mark, filling.
MARKS = {
    BETTER: (BLUE, "^", BLUE), WORSE: (VERMILION, "v", VERMILION), UNCLEAR: (GREY, "o", GREY),
    NOISE: (GREY, "o", "white"), FEW: (GREY, "x", GREY),
}  # fmt: skip
_BAND = "#e8e8e8"
# The close-up is drawn when the whole range is this many times as wide as what most variants need.
_CROWDED = 3.0
_LINE_INCHES = 0.21


class Effects(NamedTuple):
    """Variants in the table's order; a group's name takes a line of its own above its variants."""

    names: list[str]
    place: list[int]  # line from the top, the groups' lines counted
    groups: dict[str, int]  # name -> its line
    difference: np.ndarray
    low: np.ndarray  # nan where there is no interval
    high: np.ndarray
    verdict: list[str]
    seeds: list[int]
    base: str
    base_f: float
    base_range: tuple[float, float]  # of base's own runs about their mean
    confidence: float


def data(comparison: Comparison) -> Effects:
    """Differences in F; a variant without a seed in common with base has none and is left out."""
    base, *others = comparison.rows
    rows = [row for row in others if row.difference is not None]
    groups: dict[str, int] = {}
    place = []
    for row in rows:
        groups.setdefault(row.group or "no group", len(place) + len(groups))
        place.append(len(place) + len(groups))
    return Effects(
        names=[row.variant for row in rows], place=place, groups=groups,
        difference=np.array([row.difference for row in rows], dtype=float),
        low=np.array([row.low for row in rows], dtype=float), high=np.array([row.high for row in rows], dtype=float),
        verdict=[row.verdict for row in rows], seeds=[row.common for row in rows],
        base=base.variant, base_f=base.f_mean, base_range=(base.f_min - base.f_mean, base.f_max - base.f_mean),
        confidence=comparison.confidence,
    )  # fmt: skip


def close_up(effects: Effects) -> float | None:
    """How far to both sides of 0 three quarters of the intervals reach, or None if the full range shows them as well."""
    reach = np.fmax(np.abs(effects.difference), np.fmax(np.abs(effects.low), np.abs(effects.high)))
    most = float(np.quantile(reach, 0.75))
    return 1.1 * most if 0 < _CROWDED * most < reach.max() else None


def kinds(effects: Effects) -> list[str]:
    """The verdicts, those of variants that only the correction holds back told apart."""
    alone = (effects.low > 0) | (effects.high < 0)
    return [UNCLEAR if v == NOISE and out else v for v, out in zip(effects.verdict, alone, strict=True)]


def draw(effects: Effects, ax: Axes | None = None, reach: float | None = None, numbers: bool = True) -> Axes:
    """A line a variant, read from the top; a difference beyond `reach` becomes an arrow at the edge.

    Args:
        numbers: whether difference, interval and seeds are written at the right.
    """
    ax = axes_of(ax)
    ax.axvspan(*effects.base_range, color=_BAND, linewidth=0, zorder=0)
    ax.axvline(0, color=BLACK, linewidth=1)
    columns = (effects.place, effects.difference, effects.low, effects.high, kinds(effects), effects.seeds)
    for y, value, low, high, kind, seeds in zip(*columns, strict=True):
        colour, mark, face = MARKS[kind]
        ax.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
        outside = reach is not None and abs(value) > reach
        x, shape = (np.sign(value) * reach, ">" if value > 0 else "<") if outside else (value, mark)
        ax.plot([x], [y], shape, color=colour, markerfacecolor=face, markersize=6, clip_on=False, zorder=3)
        if numbers:
            interval = "" if np.isnan(low) else f"  ({signed(low)} to {signed(high)})"
            text = f"{signed(value)}{interval}  {seeds} seed{'s' if seeds > 1 else ''}"
            ax.text(1.03, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8, color="#333333")
    if reach is not None:
        ax.set_xlim(-reach, reach)
    about = f"F minus the F of {effects.base} ({effects.base_f:.3f})"
    dress(ax, "Close-up: arrows lie outside" if reach else "Effect on dev F", "", about)
    labels = {**dict(zip(effects.place, effects.names, strict=True)), **{y: name for name, y in effects.groups.items()}}
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_yticks(sorted(labels), [labels[y] for y in sorted(labels)], fontsize=8.5)
    for y, tick in zip(sorted(labels), ax.yaxis.get_major_ticks(), strict=True):
        tick.label1.set_fontweight("bold" if y in effects.groups.values() else "normal")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.grid(False, axis="y")
    return ax


def figure(effects: Effects, into: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """The full range and, where it crowds most variants about 0, a close-up beside it; what the marks mean below."""
    lines = len(effects.names) + len(effects.groups)
    reach = close_up(effects)
    into = figure_of(into, (12.5 if reach else 9.5, 2.1 + _LINE_INCHES * lines))
    axes = into.subplots(1, 2 if reach else 1, squeeze=False, sharey=True)[0]
    draw(effects, axes[0], numbers=reach is None)
    if reach:
        draw(effects, axes[1], reach=reach)
        axes[1].tick_params(labelleft=False)
    found = kinds(effects)
    handles: list = [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=face, label=f"{kind} ({found.count(kind)})")
        for kind, (colour, mark, face) in MARKS.items() if kind in found
    ]  # fmt: skip
    handles.append(Patch(color=_BAND, label=f"range of the runs of {effects.base}"))
    into.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    percent = f"{effects.confidence:.0%}".replace("%", " %")
    note = (
        f"Line: {percent} t interval over seeds, each variant by itself. Verdict: after Holm's correction over all variants.\n"
        "'Within noise' is not 'no effect': the table says how large a difference would have been called."
    )
    into.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color="#333333")
    return into
