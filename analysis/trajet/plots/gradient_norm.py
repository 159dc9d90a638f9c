"""How long the gradients are before any clip: all parameters together, and each tensor."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from trajet.plots.style import BLACK, GREY, axes_of, binned, component_colours, dress
from trajet.trace import Trace


class GradientNorms(NamedTuple):
    step: np.ndarray
    global_norm: np.ndarray
    tensor_step: np.ndarray
    tensor_norm: np.ndarray  # shape (parameters, bins)
    parameters: list[str]
    components: list[str]
    clip: float


def data(trace: Trace) -> GradientNorms:
    """Medians over bins of steps."""
    overall = binned(trace.steps, ["global_grad_norm"])
    table = binned(trace.tensors, ["grad_norm"], ["parameter"]).pivot(
        index="parameter", columns="step", values="grad_norm"
    )
    names = [str(name) for name in table.index]
    return GradientNorms(
        overall["step"].to_numpy(), overall["global_grad_norm"].to_numpy(), table.columns.to_numpy(), table.to_numpy(),
        names, [name.split("/")[0] for name in names], float(trace.header["optimizer"].get("grad_clip") or 0.0),
    )  # fmt: skip


def draw(norms: GradientNorms, ax: Axes | None = None) -> Axes:
    """A thin line a tensor, coloured by component; the global norm thick; the clip threshold dashed."""
    ax = axes_of(ax)
    colours = component_colours(norms.components)
    for component, values in zip(norms.components, norms.tensor_norm, strict=True):
        ax.plot(
            norms.tensor_step, np.where(values > 0, values, np.nan), color=colours[component], linewidth=0.7, alpha=0.55
        )
    ax.plot(norms.step, norms.global_norm, color=BLACK, linewidth=2)
    handles = [Line2D([], [], color=BLACK, linewidth=2, label="all parameters together")]
    handles += [
        Line2D([], [], color=colour, linewidth=1.2, label=f"each tensor of {name}") for name, colour in colours.items()
    ]
    if norms.clip:
        ax.axhline(norms.clip, color=GREY, linestyle="--", linewidth=1.3)
        handles.append(
            Line2D([], [], color=GREY, linestyle="--", label=f"grad_clip = {norms.clip:g}, applied to each tensor")
        )
    ax.set_yscale("log")
    ax.legend(handles=handles, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
    return dress(ax, "Gradient norm before clipping (median over bins of steps)", "norm (log scale)")
