"""How far each tensor moves in a step, relative to its own length: as lines and as a heat map."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from trajet.plots.style import GREY, axes_of, bin_edges, binned, component_colours, dress
from trajet.trace import Trace

# The usual rule of thumb: an update of about a thousandth of the weights a step.
GUIDE = -3.0
_RANGE = (-7.0, -1.0)


class UpdateRatio(NamedTuple):
    step: np.ndarray
    width: int
    log10_ratio: np.ndarray  # shape (parameters, bins)
    parameters: list[str]
    components: list[str]


def data(trace: Trace) -> UpdateRatio:
    """log10(update_norm / weight_norm), medians over bins of steps; nan where nothing moved."""
    tensors = trace.tensors
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log10(tensors["update_norm"].to_numpy() / tensors["weight_norm"].to_numpy())
    frame = tensors.assign(ratio=np.where(np.isfinite(ratio), ratio, np.nan))
    table = binned(frame, ["ratio"], ["parameter"]).pivot(index="parameter", columns="step", values="ratio")
    names = [str(name) for name in table.index]
    edges = bin_edges(tensors["step"].to_numpy())
    return UpdateRatio(
        table.columns.to_numpy(), int(edges[1] - edges[0]), table.to_numpy(), names, [n.split("/")[0] for n in names]
    )


def draw_lines(ratios: UpdateRatio, ax: Axes | None = None) -> Axes:
    """A line a tensor, biases dotted, with the 1e-3 guide."""
    ax = axes_of(ax)
    colours = component_colours(ratios.components)
    for name, component, values in zip(ratios.parameters, ratios.components, ratios.log10_ratio, strict=True):
        bias = name.endswith(("/b", "bias"))
        ax.plot(
            ratios.step, values, color=colours[component], linewidth=0.8, alpha=0.75, linestyle=":" if bias else "-"
        )
    ax.axhline(GUIDE, color=GREY, linestyle="--", linewidth=1.3)
    handles = [Line2D([], [], color=colour, label=f"tensors of {name}") for name, colour in colours.items()]
    handles += [
        Line2D([], [], color=GREY, linestyle=":", label="biases (they start at 0)"),
        Line2D([], [], color=GREY, linestyle="--", label="a thousandth a step (rule of thumb)"),
    ]
    ax.legend(handles=handles, frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.16))
    return dress(ax, "Size of an update relative to the weights", r"$\log_{10}$(update norm / weight norm)")


def draw_map(ratios: UpdateRatio, ax: Axes | None = None) -> Axes:
    """Tensor x step; the colour bar's middle is the 1e-3 guide."""
    ax = axes_of(ax)
    shown = np.ma.masked_invalid(ratios.log10_ratio)
    extent = (ratios.step[0], ratios.step[-1] + ratios.width, len(ratios.parameters) - 0.5, -0.5)
    image = ax.imshow(
        shown, aspect="auto", interpolation="nearest", extent=extent, cmap="cividis", vmin=_RANGE[0], vmax=_RANGE[1]
    )
    ax.figure.colorbar(
        image, ax=ax, label=r"$\log_{10}$(update norm / weight norm); the rule of thumb is -3", extend="both"
    )
    dress(ax, "Size of an update relative to the weights, tensor by tensor", "")
    ax.set_yticks(
        range(len(ratios.parameters)), ratios.parameters, fontsize=max(4, min(8, 220 // max(1, len(ratios.parameters))))
    )
    ax.grid(False)
    return ax
