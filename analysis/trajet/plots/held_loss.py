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
    ax.fill_between(loss.step, loss.train, loss.dev, color=GREY, alpha=0.2, linewidth=0, label="gap")
    ax.plot(
        loss.step,
        loss.dev,
        color=VERMILION,
        marker="o",
        markersize=3,
        linewidth=1.6,
        label=f"{loss.count} dev documents",
    )
    ax.plot(
        loss.step,
        loss.train,
        color=BLUE,
        marker="o",
        markersize=3,
        linewidth=1.6,
        label=f"{loss.count} train documents",
    )
    if len(loss.step):
        ax.annotate(f"gap {loss.dev[-1] - loss.train[-1]:.3g}", (loss.step[-1], (loss.dev[-1] + loss.train[-1]) / 2),
                    xytext=(-8, 0), textcoords="offset points", ha="right", va="center", fontsize=9)  # fmt: skip
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="upper right")
    return dress(ax, f"Loss of {loss.component} on fixed documents, dropout off", "loss per token")
