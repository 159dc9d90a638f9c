"""The learning rate as the config plans it and as the run had it."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import BLUE, ORANGE, axes_of, binned, dress, thinned
from trajet.schedule import planned_values
from trajet.trace import Trace


class LearnRate(NamedTuple):
    planned_step: np.ndarray
    planned: np.ndarray
    step: np.ndarray
    observed: np.ndarray
    schedule: str


def data(trace: Trace) -> LearnRate:
    """Both series; the plan reaches to the end of its schedule, the observation as far as the run went."""
    block = trace.header.get("config", {}).get("optimizer", {}).get("learn_rate")
    last = int(trace.steps["step"].max())
    settings = block if isinstance(block, dict) else {}
    planned = planned_values(block, "training.optimizer.learn_rate", max(last, int(settings.get("total_steps", 0))) + 1)
    name = str(settings.get("@schedules", "constant"))
    keep = thinned(len(planned))
    observed = binned(trace.steps, ["learn_rate"], how="first")
    return LearnRate(keep, planned[keep], observed["step"].to_numpy(), observed["learn_rate"].to_numpy(), name)


def draw(series: LearnRate, ax: Axes | None = None) -> Axes:
    """Plan as a line, observation as a thicker line under it."""
    ax = axes_of(ax)
    ax.plot(
        series.step,
        series.observed,
        color=ORANGE,
        linewidth=5,
        alpha=0.7,
        label="as the run had it",
        solid_capstyle="butt",
    )
    ax.plot(series.planned_step, series.planned, color=BLUE, linewidth=1.4, label=f"as planned ({series.schedule})")
    peak = int(np.nanargmax(series.planned)) if np.isfinite(series.planned).any() else 0
    if np.isfinite(series.planned).any() and series.planned[peak] > series.planned[0]:
        ax.annotate(
            f"peak {series.planned[peak]:.3g} at step {series.planned_step[peak]}",
            (series.planned_step[peak], series.planned[peak]), xytext=(14, -4), textcoords="offset points", fontsize=9,
        )  # fmt: skip
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="upper right")
    return dress(ax, "Learning rate: planned and observed", "learn_rate")
