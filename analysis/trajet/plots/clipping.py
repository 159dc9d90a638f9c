"""How often the clip fires."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from trajet.plots.style import BLACK, axes_of, binned, component_colours, dress
from trajet.trace import Trace


class ClippedShare(NamedTuple):
    step: np.ndarray
    overall: np.ndarray
    by_component: dict[str, np.ndarray]
    clip: float


def data(trace: Trace) -> ClippedShare:
    """Share of tensors whose gradient was clipped, a bin of steps each."""
    overall = binned(trace.tensors, ["clipped"], how="mean")
    table = binned(trace.tensors, ["clipped"], ["component"], how="mean").pivot(
        index="step", columns="component", values="clipped"
    )
    order = dict.fromkeys(name.split("/")[0] for name in trace.parameters)
    return ClippedShare(
        overall["step"].to_numpy(), overall["clipped"].to_numpy(),
        {name: table[name].to_numpy() for name in order if name in table}, float(trace.header["optimizer"].get("grad_clip") or 0.0),
    )  # fmt: skip


def draw(share: ClippedShare, ax: Axes | None = None) -> Axes:
    """A line a component and one for all."""
    ax = axes_of(ax)
    for (name, values), colour in zip(
        share.by_component.items(), component_colours(list(share.by_component)).values(), strict=True
    ):
        ax.plot(share.step, values, color=colour, linewidth=1, label=f"tensors of {name}")
    ax.plot(share.step, share.overall, color=BLACK, linewidth=2, label="all tensors")
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.16))
    return dress(ax, f"Share of tensors that grad_clip = {share.clip:g} shortens", "share of tensors clipped")
