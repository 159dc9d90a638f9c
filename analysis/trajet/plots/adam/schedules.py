"""Learning rates over a run: the documented schedule beside others."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import CYCLE, GREY, axes_of, dress, thinned
from trajet.schedule import planned_values

DOCUMENTED = {"@schedules": "warmup_linear.v1", "warmup_steps": 250, "total_steps": 20_000, "initial_rate": 5e-5}
# Where the plateau of the source's drawing ends, as a share of the way from the warm-up's end to total_steps: its
# columns for 250 and 20000 are 17 and 45, the line begins to fall at 41.
_DRAWN_PLATEAU = (41 - 17) / (45 - 17)
_DASHES = ("-", "--", "-.", ":")


class Schedules(NamedTuple):
    step: np.ndarray  # shape (steps + 1,), from 0; step s is update s + 1
    values: dict[str, np.ndarray]  # by name; nan where a schedule is not drawn
    drawn: np.ndarray  # the plateau of the source's picture
    negative_from: int | None  # first step at which slanted_triangular falls below 0


def data(steps: int = 20_000, warmup: int = 250, peak: float = 5e-5) -> Schedules:
    """warmup_linear, constant, cosine with warm-up and slanted triangular, over the same steps to the same peak.

        cosine:      peak * s / warmup   before `warmup`,   peak * (1 + cos(pi * (s - warmup)/(steps - warmup))) / 2   after

    The slanted triangle is drawn for its own `num_steps` = steps only: later it goes on falling, below 0.

    Args:
        steps: total_steps of each.
        warmup: updates from 0 to the peak.
        peak: largest learning rate.
    Source: Thinc 8.3 schedules.py; Loshchilov & Hutter 2017 (cosine); Howard & Ruder 2018 (slanted triangle).
    """
    step = np.arange(steps + 1)
    linear = {**DOCUMENTED, "warmup_steps": warmup, "total_steps": steps, "initial_rate": peak}
    slanted = planned_values(
        {"@schedules": "slanted_triangular.v1", "max_rate": peak, "num_steps": steps}, "schedule", 2 * steps
    )
    negative = np.flatnonzero(slanted < 0)
    rise = np.minimum(step / max(1, warmup), 1)
    after = np.clip((step - warmup) / max(1, steps - warmup), 0, 1)
    values = {
        "warmup_linear (documented)": planned_values(linear, "schedule", steps + 1),
        "constant": planned_values(peak, "schedule", steps + 1),
        "cosine with warm-up": peak * rise * (1 + np.cos(np.pi * after)) / 2,
        "slanted_triangular": np.where(step < steps, slanted[: steps + 1], np.nan),
    }
    drawn = peak * np.minimum(rise, np.clip((1 - after) / (1 - _DRAWN_PLATEAU), 0, 1))
    return Schedules(step, values, drawn, int(negative[0]) if len(negative) else None)


def draw(schedules: Schedules, ax: Axes | None = None) -> Axes:
    """All of them; the source's drawing as a broad grey line, because no schedule has its plateau."""
    ax = axes_of(ax)
    keep = thinned(len(schedules.step))
    label = f"as drawn in the source: mean {schedules.drawn.mean():.2g}"
    ax.plot(schedules.step[keep], schedules.drawn[keep], color=GREY, linewidth=6, alpha=0.35, label=label)
    named = {f"{name}: mean {np.nanmean(values):.2g}": values for name, values in schedules.values.items()}
    draw_series(named, "The documented rate has no plateau: it falls as soon as it is warmed up", "learning rate", ax)
    if schedules.negative_from is not None:
        ax.plot([], [], " ", label=f"   (left running, below 0 from step {schedules.negative_from:,} on)")
    ax.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)
    return ax


def draw_series(series: dict[str, np.ndarray], title: str, ylabel: str, ax: Axes | None = None) -> Axes:
    """Named series over steps from 0; dashed in turn, so that two which coincide are both seen.

    Args:
        series: by name, one value a step.
    """
    ax = axes_of(ax)
    for index, (name, values) in enumerate(series.items()):
        keep = thinned(len(values))
        ax.plot(keep, values[keep], color=CYCLE[index % len(CYCLE)], linestyle=_DASHES[index % len(_DASHES)],
                linewidth=1.8, label=name)  # fmt: skip
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.14))
    return dress(ax, title, ylabel)
