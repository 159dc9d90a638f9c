"""Losses and gradient norms beside the growing batch: raw, and per word."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import BLUE, GREY, VERMILION, axes_of, binned, dress
from trajet.trace import Trace


class PerWord(NamedTuple):
    step: np.ndarray
    raw: np.ndarray
    per_word: np.ndarray
    words: np.ndarray
    name: str


def loss_data(trace: Trace) -> PerWord:
    """The loss that spaCy reports, of the last component that has one (a shared layer's is a gradient norm)."""
    names = [name for name in trace.steps if name.startswith("loss_")]
    return _data(trace, names[-1], f"loss of {names[-1].removeprefix('loss_')}")


def norm_data(trace: Trace) -> PerWord:
    """The global gradient norm."""
    return _data(trace, "global_grad_norm", "global gradient norm")


def has_words(trace: Trace) -> bool:
    """Whether the run counted words."""
    return bool(trace.steps["words"].notna().any() and (trace.steps["words"] > 0).any())


def has_losses(trace: Trace) -> bool:
    """Whether the run counted words and recorded a loss."""
    return has_words(trace) and any(name.startswith("loss_") for name in trace.steps)


def _data(trace: Trace, column: str, name: str) -> PerWord:
    steps = trace.steps[trace.steps["words"] > 0]
    sums = binned(steps.assign(per_word=steps[column] / steps["words"]), [column, "per_word", "words"])
    return PerWord(
        sums["step"].to_numpy(), sums[column].to_numpy(), sums["per_word"].to_numpy(), sums["words"].to_numpy(), name
    )


def draw(series: PerWord, ax: Axes | None = None) -> Axes:
    """Each line relative to its own value at the first bin, so that the three can be compared."""
    ax = axes_of(ax)
    for values, colour, label, style in (
        (series.raw, VERMILION, f"{series.name}, as reported (sum over the batch)", "-"),
        (series.per_word, BLUE, f"{series.name} per word", "-"),
        (series.words, GREY, "words in the batch", "--"),
    ):
        first = values[0] if values[0] else np.nan
        ax.plot(
            series.step, values / first, color=colour, linestyle=style, linewidth=1.3, label=f"{label}; 1 = {first:.3g}"
        )
    ax.set_yscale("log")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16))
    return dress(
        ax, f"{series.name[0].upper()}{series.name[1:]}: what the batch size hides", "relative to the first steps (log)"
    )
