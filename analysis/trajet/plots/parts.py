"""What the gradient and what the decay contribute to an update."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import BLUE, VERMILION, axes_of, binned, dress
from trajet.trace import Trace


class Parts(NamedTuple):
    step: np.ndarray
    gradient_part: np.ndarray
    decay_part: np.ndarray
    L2: float


def known(trace: Trace) -> bool:
    """Whether the optimizer's formula is known, so that its update could be taken apart."""
    return bool(len(trace.tensors) and trace.tensors["gradient_part_norm"].notna().any())


def data(trace: Trace) -> Parts:
    """Norms over all tensors together, medians over bins of steps."""
    squares = trace.tensors.assign(
        gradient_part=trace.tensors["gradient_part_norm"] ** 2, decay_part=trace.tensors["decay_part_norm"] ** 2
    )
    totals = squares.groupby("step")[["gradient_part", "decay_part"]].sum().pow(0.5).reset_index()
    table = binned(totals, ["gradient_part", "decay_part"])
    l2 = trace.header["optimizer"].get("L2") or 0.0
    return Parts(table["step"].to_numpy(), table["gradient_part"].to_numpy(), table["decay_part"].to_numpy(), float(l2))


def draw(parts: Parts, ax: Axes | None = None) -> Axes:
    """Both norms on a log scale."""
    ax = axes_of(ax)
    decays = parts.decay_part > 0
    ratio = np.median(parts.gradient_part[decays] / parts.decay_part[decays]) if decays.any() else np.inf
    for values, colour, label in (
        (parts.gradient_part, BLUE, f"moved by the gradient: {ratio:,.0f} times as far (median)"),
        (parts.decay_part, VERMILION, "moved by the decay"),
    ):
        ax.plot(parts.step, np.where(values > 0, values, np.nan), color=colour, linewidth=1.6, label=label)
    ax.set_yscale("log")
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
    return dress(
        ax, f"Gradient part and decay part of each update (L2 = {parts.L2:g})", "norm over all weights (log scale)"
    )
