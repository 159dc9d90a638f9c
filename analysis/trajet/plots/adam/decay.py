"""A weight that gets no gradient: how fast weight decay shrinks it, as documented and as run."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from trajet.adam import ThincSettings, thinc_adam
from trajet.plots.adam.replay import replay
from trajet.plots.adam.schedules import DOCUMENTED
from trajet.plots.style import BLUE, GREY, VERMILION, dress, figure_of, thinned
from trajet.schedule import planned_values


class Decay(NamedTuple):
    L2: float
    step: np.ndarray  # updates made, shape (updates + 1,), as all below
    documented: np.ndarray  # share of the weight that is left
    as_run: np.ndarray
    half: int | None  # updates until half is left as documented; None if that takes longer, as below
    hundredth: int | None
    rate_sum: float  # of all learning rates


def data(L2: float = 0.01, updates: int = 20_000, schedule: dict = DOCUMENTED) -> Decay:
    """What is left of a weight of 1 with a gradient of 0.

        documented:  w <- w * (1 - L2)                   as run (Thinc, PyTorch's AdamW):  w <- w * (1 - learn_rate * L2)

    Args:
        L2: as in the config.
        schedule: block of the learning rate.
    Source: Loshchilov & Hutter 2019, Algorithm 2; Thinc 8.3 optimizers.py, as `trajet.adam.thinc_adam`.
    """
    rates = planned_values(schedule, "schedule", updates)
    settings = ThincSettings(L2=L2)
    # Two weights, each with its own rate: a rate of 1 leaves L2 as the share that is taken away.
    steps = replay(
        lambda w, g, state, rate: thinc_adam(w, g, state, replace(settings, learn_rate=rate)),
        np.ones(2), lambda t, w: 0.0, np.column_stack([np.ones(updates), rates]),
    )  # fmt: skip
    documented, as_run = np.array([np.ones(2), *(step.w_after for step in steps)]).T
    half, hundredth = _first_below(documented, 0.5), _first_below(documented, 0.01)
    return Decay(L2, np.arange(updates + 1), documented, as_run, half, hundredth, float(rates.sum()))


def draw(decay: Decay, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """The beginning, where the documented decay happens, and the whole run, seen from close by."""
    figure = figure_of(figure, (13.0, 5.2))
    start, whole = figure.subplots(1, 2)
    shown = slice(0, 1001)
    lines = (
        (decay.documented, VERMILION, f"as documented: {100 * decay.L2:g} % of it at each update"),
        (decay.as_run, BLUE, f"as run: learn_rate × {decay.L2:g} of it at each update"),
    )
    for values, colour, label in lines:
        start.plot(decay.step[shown], 100 * values[shown], color=colour, linewidth=2, label=label)
    for update, share in ((decay.half, 50), (decay.hundredth, 1)):
        if update is not None and update <= 1000:
            start.plot(update, share, "o", color=VERMILION, markersize=5)
            start.annotate(
                f"{share} % left after {update} updates", (update, share), xytext=(10, 8), textcoords="offset points",
                fontsize=9,
            )  # fmt: skip
    start.set_ylim(0, 105)
    gone = "the first updates" if decay.hundredth is None else f"1 % is left after {decay.hundredth:,} updates"
    dress(start, f"As documented: {gone}", "what is left of the weight (%)", "update")
    keep = thinned(len(decay.step))
    lost = 100 * (1 - decay.as_run[-1])
    for values, colour, _ in lines:
        whole.plot(decay.step[keep], 100 * values[keep], color=colour, linewidth=2)
    whole.axhline(100 * decay.as_run[-1], color=GREY, linestyle=":", linewidth=1.4,
                  label=f"in the end {100 * decay.as_run[-1]:.2f} % are left; the rates add up to {decay.rate_sum:.3g}")  # fmt: skip
    if lost > 0:
        whole.set_ylim(100 - 1.25 * lost, 100 + 0.1 * lost)
    title = f"As run: {lost:.2f} % are lost in all (the same lines from close by)"
    dress(whole, title, "what is left of the weight (%)", "update")
    whole.locator_params(axis="x", nbins=5)
    for ax in (start, whole):
        ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.14))
    figure.suptitle(f"A weight that gets no gradient, with L2 = {decay.L2:g}")
    return figure


def _first_below(values: np.ndarray, share: float) -> int | None:
    below = np.flatnonzero(values < share)
    return int(below[0]) if len(below) else None
