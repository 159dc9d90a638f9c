"""The life of one watched weight: its value, its gradient, what Adam made of it."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

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
    """Five panels over the same steps."""
    figure = figure or Figure(figsize=(11.0, 12.0), layout="constrained")
    axes = figure.subplots(5, 1, sharex=True)
    figure.suptitle(f"The life of one weight: {life.weight}", fontsize=12)
    axes[0].plot(life.step, life.w, color=BLUE, linewidth=1.4)
    dress(axes[0], "Its value", "w", "")
    axes[1].plot(life.step, life.g, color=GREY, linewidth=0.8, label="g as it arrives")
    axes[1].plot(life.step, life.g_used, color=ORANGE, linewidth=1.2, label="g after the clip")
    _both_signs(axes[1], life.g, life.g_used)
    dress(axes[1], "Its gradient, before and after the clip of its tensor", "loss per unit of w", "")
    axes[2].plot(life.step, life.m, color=VERMILION, linewidth=1.0, label="m")
    axes[2].plot(life.step, life.root_v, color=GREEN, linewidth=1.4, label="sqrt(v)")
    dress(axes[2], "Its moments: the mean of its gradients and the root of the mean of their squares", "loss per unit of w", "")  # fmt: skip
    axes[3].plot(life.step, life.effective_rate, color=GREEN, linewidth=1.4)
    # The first entries belong to a v of next to nothing.
    settled = life.effective_rate[np.isfinite(life.effective_rate) & (life.step >= 50)]
    if settled.size:
        axes[3].set_ylim(0, 1.15 * float(settled.max()))
    dress(axes[3], "Its effective rate: learn_rate / (sqrt(v_hat) + eps)", "change of w per unit of m", "")
    axes[4].plot(
        life.step, life.learn_rate, color=BLUE, linewidth=1.4, label="learn_rate: the step of a\nsteady gradient"
    )
    axes[4].plot(life.step, np.abs(life.update), color=ORANGE, linewidth=0.9, label="size of its update")
    axes[4].set_ylim(bottom=0)
    dress(axes[4], "Its steps", "change of w", "step (one update each)")
    for ax in (axes[1], axes[2], axes[4]):
        # Beside the picture: curves cover every corner of it.
        ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _both_signs(ax: Axes, *series: np.ndarray) -> None:
    """A logarithmic axis for numbers of both signs that span many powers of ten, with a tick every other power."""
    sizes = np.abs(np.concatenate(series))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not sizes.size:
        return
    exponents = np.log10([np.quantile(sizes, 0.1), sizes.max()])
    least, most = int(np.floor(exponents[0])), int(np.ceil(exponents[1]))
    ax.set_yscale("symlog", linthresh=10.0**least)
    ticks = [10.0**power for power in range(most, least, -2)]
    ax.set_yticks([*(-tick for tick in ticks), 0, *ticks])
    ax.yaxis.set_minor_locator(NullLocator())
