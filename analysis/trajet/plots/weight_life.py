"""The life of one watched weight: its value, its gradient, what Adam made of it."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from trajet.explain import watched_rows
from trajet.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION, binned, dress
from trajet.trace import Trace


class WeightLife(NamedTuple):
    """Columns of the weight's recorded updates; `effective_rate` is learn_rate / (sqrt(v_hat) + eps)."""

    weight: str
    step: np.ndarray
    w: np.ndarray
    g: np.ndarray
    g_used: np.ndarray
    m: np.ndarray
    root_v: np.ndarray
    learn_rate: np.ndarray
    effective_rate: np.ndarray
    update: np.ndarray


def data(trace: Trace, weight: str) -> WeightLife:
    """The weight's columns, thinned by the median where there are more steps than a picture shows.

    effective_rate = learn_rate * sqrt(1 - beta2^t) / (sqrt(v_t) + eps)
    """
    rows = watched_rows(trace, weight).merge(trace.steps[["step", "learn_rate"]], on="step").reset_index(drop=True)
    optimizer = trace.header["optimizer"]
    t = np.arange(1, len(rows) + 1) * int(trace.header.get("every", 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        rows["root_v"] = np.sqrt(rows["v"])
        rows["effective_rate"] = (
            rows["learn_rate"] * np.sqrt(1 - optimizer["beta2"] ** t) / (rows["root_v"] + optimizer["eps"])
        )
    rows["g_used"] = rows["g"] * rows["clip_factor"]
    rows["update"] = rows["w_after"] - rows["w"]
    columns = ["w", "g", "g_used", "m", "root_v", "learn_rate", "effective_rate", "update"]
    table = binned(rows, columns)
    return WeightLife(weight, table["step"].to_numpy(), *(table[name].to_numpy() for name in columns))


def draw(life: WeightLife, figure: Figure | None = None) -> Figure:
    """Four panels over the same steps."""
    figure = figure or Figure(figsize=(9.0, 10.0), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True)
    figure.suptitle(f"The life of one weight: {life.weight}", fontsize=12)
    axes[0].plot(life.step, life.w, color=BLUE, linewidth=1.4)
    dress(axes[0], "Its value", "w", "")
    axes[1].plot(life.step, life.g, color=GREY, linewidth=0.8, label="g as it arrives")
    axes[1].plot(life.step, life.g_used, color=ORANGE, linewidth=1.2, label="g after the clip")
    # Gradients of one run span many powers of ten, with both signs.
    positive = np.abs(life.g_used[np.abs(life.g_used) > 0])
    axes[1].set_yscale("symlog", linthresh=float(np.median(positive)) if positive.size else 1.0)
    axes[1].legend(frameon=False, loc="upper right", ncols=2)
    dress(axes[1], "Its gradient, before and after the clip of its tensor", "loss per unit of w", "")
    axes[2].plot(life.step, life.m, color=VERMILION, linewidth=1.0, label="m")
    axes[2].plot(life.step, life.root_v, color=GREEN, linewidth=1.4, label="sqrt(v)")
    axes[2].legend(frameon=False, loc="upper right", ncols=2)
    dress(axes[2], "Its moments: the mean of its gradients and the root of the mean of their squares", "loss per unit of w", "")  # fmt: skip
    axes[3].plot(
        life.step, life.learn_rate, color=BLUE, linewidth=1.4, label="learn_rate, the longest step of a steady gradient"
    )
    axes[3].plot(life.step, np.abs(life.update), color=ORANGE, linewidth=0.9, label="size of its update")
    axes[3].legend(frameon=False, loc="upper right")
    axes[3].set_ylim(bottom=0)
    dress(axes[3], "Its steps", "change of w", "step (one update each)")
    return figure
