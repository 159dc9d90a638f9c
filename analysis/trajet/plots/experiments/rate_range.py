"""A learning-rate range test: the loss over the rate with what it suggests, the size of the updates below."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from trajet.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILION, axes_of, dress, figure_of

_SIZE = (9.0, 7.6)
_XLABEL = "learning rate of the update (log)"
# A colour and a shape each: told apart in grey, too.
_MARKS = {"steepest": (VERMILION, "v"), "valley": (GREEN, "s"), "minimum": (PINK, "D"), "slide": (ORANGE, "o")}
_TOLD = {
    "steepest": "steepest: the loss falls fastest",
    "valley": "valley: two thirds into the longest fall",
    "minimum": "minimum: a tenth of the rate of the smallest loss",
    "slide": "slide: before the explosion",
}
# Room above the largest smoothed loss; single batches of an explosion may lie far above and are cut off.
_HEADROOM = 1.15


class RateCurves(NamedTuple):
    title: str
    unit: str
    rate: np.ndarray
    loss: np.ndarray  # of each batch
    smoothed: np.ndarray
    marks: dict[str, tuple[float, float]]  # suggestion: rate, smoothed loss there
    ratio: np.ndarray  # median over the tensors that do not start at 0
    ratio_low: np.ndarray
    ratio_high: np.ndarray
    band: tuple[float, float] | None  # rates of ratios around a thousandth
    ratio_guide: float
    ratio_range: tuple[float, float]
    stopped_at: float | None


def data(result: dict[str, Any]) -> RateCurves:
    """The curves of a range test; a suggestion stands at the smoothed loss of its rate.

    Args:
        result: as the command `lr-range` writes it.
    """
    series = {name: np.array(values, dtype=float) for name, values in result["series"].items() if name != "losses"}
    rate, smoothed = series["rate"], series["smoothed"]
    finite = np.isfinite(smoothed)
    marks = {}
    for name in _MARKS:
        suggested = result["suggestions"][name]
        if suggested is not None and finite.any():
            at = np.interp(np.log(suggested), np.log(rate[finite]), smoothed[finite])
            marks[name] = (suggested, float(at))
    low, high = result["ratio_band"]["low"], result["ratio_band"]["high"]
    optimizer = str(result["optimizer"]["@optimizers"])
    return RateCurves(
        title=f"Range test of {result['config']} ({optimizer}): {len(rate)} of {result['sweep']['updates']} updates",
        unit=result["unit"], rate=rate, loss=series["loss"], smoothed=smoothed, marks=marks,
        ratio=series["ratio"], ratio_low=series["ratio_low"], ratio_high=series["ratio_high"],
        band=None if low is None else (low, high), ratio_guide=result["ratio_guide"],
        ratio_range=tuple(result["ratio_range"]), stopped_at=float(rate[-1]) if result["stopped"] and len(rate) else None,
    )  # fmt: skip


def draw(curves: RateCurves, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """The loss above, the size of the updates below, over the same rates."""
    figure = figure_of(figure, _SIZE)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    draw_loss(curves, top)
    draw_ratio(curves, bottom)
    top.set_xlabel("")
    return figure


def draw_loss(curves: RateCurves, ax: Axes | None = None) -> Axes:
    """Each batch as a dot, the smoothed loss as a line, the suggestions as marks on it; the key stands beside it."""
    ax = axes_of(ax)
    ax.plot(curves.rate, curves.loss, ".", color=SKY, markersize=4, alpha=0.6, label="loss of a batch")
    ax.plot(curves.rate, curves.smoothed, color=BLUE, linewidth=1.8, label="smoothed")
    for name, (rate, loss) in curves.marks.items():
        colour, shape = _MARKS[name]
        ax.axvline(rate, color=colour, linewidth=0.9, linestyle=":")
        ax.plot(rate, loss, shape, color=colour, markersize=8, markeredgecolor="black", zorder=3,
                label=f"{rate:.1e}  {_TOLD[name]}")  # fmt: skip
    _shade(curves, ax)
    finite = curves.smoothed[np.isfinite(curves.smoothed)]
    if len(finite):
        ax.set_ylim(0, _HEADROOM * max(finite.max(), 1e-12))
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.04))
    ax.set_xscale("log")
    return dress(ax, curves.title, f"training loss, {curves.unit}", _XLABEL)


def draw_ratio(curves: RateCurves, ax: Axes | None = None) -> Axes:
    """Update norm / weight norm: median and quartiles over the tensors, the thousandth, the band around it."""
    ax = axes_of(ax)
    known = np.isfinite(curves.ratio) & (curves.ratio > 0)
    rate = curves.rate[known]
    ax.fill_between(rate, curves.ratio_low[known], curves.ratio_high[known], color=BLUE, alpha=0.18, linewidth=0,
                    label="middle half of the tensors")  # fmt: skip
    ax.plot(
        rate, curves.ratio[known], color=BLUE, linewidth=1.6, label="median over the tensors that do not start at 0"
    )
    ax.axhline(
        curves.ratio_guide, color=GREY, linestyle="--", linewidth=1.3, label="a thousandth a step (rule of thumb)"
    )
    for bound in curves.ratio_range:
        ax.axhline(bound, color=GREY, linestyle=":", linewidth=0.9)
    _shade(curves, ax, named=False)
    if known.any():
        ax.set_yscale("log")
    ax.set_xscale("log")
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.24))
    return dress(ax, "Size of an update relative to the weights", "update norm / weight norm", _XLABEL)


def _shade(curves: RateCurves, ax: Axes, named: bool = True) -> None:
    """The band of rates and where the sweep ended; named in the key of one panel only."""
    if curves.band is not None:
        low, high = curves.band
        small, large = curves.ratio_range
        name = f"{low:.1e} to {high:.1e}  updates {small:g} to {large:g} of the weights" if named else None
        ax.axvspan(low, high, color=GREY, alpha=0.15, linewidth=0, label=name)
    if curves.stopped_at is not None:
        name = f"{curves.stopped_at:.1e}  stopped: it diverged" if named else None
        ax.axvline(curves.stopped_at, color="black", linewidth=1.2, label=name)
