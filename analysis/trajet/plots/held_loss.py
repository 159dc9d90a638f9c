"""Loss on fixed train and dev documents, both with dropout off, and the gap between them."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import BLUE, GREY, VERMILION, axes_of, dress
from trajet.trace import Trace


class HeldLoss(NamedTuple):
    step: np.ndarray
    train: np.ndarray
    dev: np.ndarray
    component: str
    count: int


def measured(trace: Trace) -> bool:
    """Whether the run measured losses on held documents."""
    return any(name.startswith("dev_loss_") for name in trace.evaluations)


def data(trace: Trace) -> HeldLoss:
    """The last component's losses; dev - train is the generalisation gap."""
    name = [column for column in trace.evaluations if column.startswith("dev_loss_")][-1].removeprefix("dev_loss_")
    rows = trace.evaluations.dropna(subset=[f"dev_loss_{name}"])
    return HeldLoss(
        rows["step"].to_numpy(), rows[f"train_loss_{name}"].to_numpy(), rows[f"dev_loss_{name}"].to_numpy(),
        name, int(trace.header.get("losses_on", 0)),
    )  # fmt: skip


def draw(loss: HeldLoss, ax: Axes | None = None) -> Axes:
    """Two lines and the gap shaded between them."""
    ax = axes_of(ax)
    for values, colour, part in ((loss.dev, VERMILION, "dev"), (loss.train, BLUE, "train")):
        label = f"{loss.count} {part} documents"
        ax.plot(loss.step, values, color=colour, marker="o", markersize=3, linewidth=1.6, label=label)
    gap = f"gap, dev - train: {loss.dev[-1] - loss.train[-1]:+.3g} at the end" if len(loss.step) else "gap"
    ax.fill_between(loss.step, loss.train, loss.dev, color=GREY, alpha=0.25, linewidth=0, label=gap)
    # Most of the fall is in the first steps; what follows would be a flat line on a linear scale.
    ax.set_yscale("log")
    ax.legend(frameon=False, loc="upper right")
    return dress(ax, f"Loss of {loss.component} on fixed documents, dropout off", "loss per token (log scale)")
