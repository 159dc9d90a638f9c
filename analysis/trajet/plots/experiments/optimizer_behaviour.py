"""What the optimizer did in chosen variants, side by side: clipping, size of an update, gradients, decay."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullFormatter

from trajet.experiments.studies.exported import Study
from trajet.plots.style import BLACK, BLUE, GREY, VERMILION, axes_of, dress, figure_of

_GUIDE = 1e-3
_LINE_INCHES = 0.21


class _Axis(NamedTuple):
    title: str
    label: str
    log: bool


# Keys of a result's summary of its last quarter.
QUANTITIES = {
    "update_ratio_median": _Axis("Size of an update", "update norm / weight norm", True),
    "clipped_share": _Axis("Tensors clipped", "share of tensors and updates", False),
    "grad_norm_median": _Axis("Gradient before the clip", "norm over all tensors", True),
    "decay_to_gradient_median": _Axis("Decay beside gradient", "decay part / gradient part", True),
}


class Behaviour(NamedTuple):
    """A quantity; a list of values a variant, one a seed, nan where it was not measured."""

    quantity: str
    variants: list[str]
    values: list[np.ndarray]
    diverged: list[np.ndarray]


def data(study: Study, variants: list[str] | None = None) -> list[Behaviour]:
    """All quantities that at least one run measured, of all variants or of those named, in the order given."""
    names = list(study.results) if variants is None else variants
    found = []
    for quantity in QUANTITIES:
        values = [
            np.array([result.optimizer.get(quantity) for result in study.results[name].values()], dtype=float)
            for name in names
        ]
        diverged = [np.array([result.diverged for result in study.results[name].values()]) for name in names]
        if any(np.isfinite(each).any() for each in values):
            found.append(Behaviour(quantity, names, values, diverged))
    return found


def draw(behaviour: Behaviour, ax: Axes | None = None) -> Axes:
    """A dot a seed, a bar at the median; on a log axis 0 has a mark of its own at the left edge."""
    ax = axes_of(ax)
    axis = QUANTITIES[behaviour.quantity]
    every = np.concatenate(behaviour.values)
    drawable = every[np.isfinite(every) & ((every > 0) | (not axis.log))]
    if axis.log:
        ax.set_xscale("log")
        # Whole decades: within less, the ticks between them get labels that run into each other.
        low, high = (drawable.min(), drawable.max()) if len(drawable) else (1.0, 1.0)
        ax.set_xlim(10.0 ** np.floor(np.log10(low / 1.3)), 10.0 ** np.ceil(np.log10(high * 1.3)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(-0.04, 1.04)
    for y, (values, diverged) in enumerate(zip(behaviour.values, behaviour.diverged, strict=True)):
        finite = np.isfinite(values)
        if not finite.any():
            _at_the_edge(ax, y, "not measured")
            continue
        shown = finite & ((values > 0) | (not axis.log))
        for chosen, colour, mark in ((shown & ~diverged, BLUE, "o"), (shown & diverged, VERMILION, "X")):
            ax.plot(
                values[chosen],
                np.full(chosen.sum(), y),
                mark,
                color=colour,
                markersize=4.5,
                alpha=0.65,
                markeredgewidth=0,
            )
        middle = np.median(values[finite])
        if middle > 0 or not axis.log:
            ax.plot([middle], [y], "|", color=BLACK, markersize=11, markeredgewidth=1.6)
        if (finite & ~shown).any():
            _at_the_edge(ax, y, "0")
    if behaviour.quantity == "update_ratio_median":
        ax.axvline(_GUIDE, color=GREY, linestyle="--", linewidth=1.2)
    dress(ax, axis.title, "", axis.label + (" (log)" if axis.log else ""))
    ax.set_yticks(range(len(behaviour.variants)), behaviour.variants, fontsize=8.5)
    ax.set_ylim(len(behaviour.variants) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    return ax


def figure(behaviours: list[Behaviour], into: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """The quantities in columns, the same variants in the same lines."""
    lines = len(behaviours[0].variants)
    into = figure_of(into, (3.1 * len(behaviours) + 1.5, 1.6 + _LINE_INCHES * lines))
    for ax, behaviour in zip(into.subplots(1, len(behaviours), squeeze=False, sharey=True)[0], behaviours, strict=True):
        draw(behaviour, ax)
    note = (
        "Dot: a seed, median over the last quarter of its updates. Cross: it diverged. Bar: median over seeds. "
        "Dashed: a thousandth, the rule of thumb."
    )
    into.supxlabel(note, x=0.01, ha="left", fontsize=8, color="#333333")
    return into


def _at_the_edge(ax: Axes, y: int, text: str) -> None:
    """What has no place on the axis, written where it begins."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    ax.annotate(text, (0, y), (4, 0), va="center", fontsize=7.5, color="#555555", bbox=box, **where)
