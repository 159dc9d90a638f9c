"""The list of pictures: what each needs from a trace, and drawing them for one run or several side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trajet.plots import (
    clipping,
    gradient_norm,
    held_loss,
    learn_rate,
    parts,
    per_word,
    right_move,
    score,
    update_ratio,
)
from trajet.plots.style import PANEL_SIZE
from trajet.trace import Trace


@dataclass(frozen=True)
class Panel:
    """One picture: its file's stem, its numbers, its drawing, what a trace must have for it."""

    name: str
    data: Callable[[Trace], Any]
    draw: Callable[..., Axes]
    requires: Callable[[Trace], bool]
    size: tuple[float, float] = PANEL_SIZE


def _has_steps(trace: Trace) -> bool:
    return len(trace.steps) > 0


def _has_tensors(trace: Trace) -> bool:
    return len(trace.tensors) > 0


PANELS = (
    Panel("learn-rate", learn_rate.data, learn_rate.draw, _has_steps),
    Panel("gradient-norm", gradient_norm.data, gradient_norm.draw, _has_tensors),
    Panel("clipped-share", clipping.data, clipping.draw, _has_tensors),
    Panel("loss-per-word", per_word.loss_data, per_word.draw, per_word.has_losses),
    Panel("gradient-norm-per-word", per_word.norm_data, per_word.draw, per_word.has_words),
    Panel("update-ratio", update_ratio.data, update_ratio.draw_lines, _has_tensors),
    Panel("update-ratio-map", update_ratio.data, update_ratio.draw_map, _has_tensors, (9.0, 6.4)),
    Panel("gradient-and-decay", parts.data, parts.draw, parts.known),
    Panel("held-loss", held_loss.data, held_loss.draw, held_loss.measured),
    Panel("right-move", right_move.data, right_move.draw, right_move.followed),
    Panel("score", score.data, score.draw, score.recorded),
)


def figures(traces: dict[str, Trace], panels: Sequence[Panel] = PANELS) -> Iterator[tuple[str, Figure]]:
    """(stem, figure) of every panel that all traces can fill; several runs share the vertical axis.

    Args:
        traces: by run name, in the order from left to right.
    """
    for panel in panels:
        if not all(panel.requires(trace) for trace in traces.values()):
            continue
        width, height = panel.size
        figure = Figure(figsize=(width * len(traces), height), layout="constrained")
        # A heat map's rows are its own run's tensors; everything else is compared on one scale.
        share = "none" if panel.draw is update_ratio.draw_map else "row"
        axes = figure.subplots(1, len(traces), squeeze=False, sharey=share)[0]
        for ax, (name, trace) in zip(axes, traces.items(), strict=True):
            panel.draw(panel.data(trace), ax)
            if len(traces) > 1:
                ax.set_title(f"{name}: {ax.get_title(loc='left')}", loc="left", fontsize=10)
        yield panel.name, figure
