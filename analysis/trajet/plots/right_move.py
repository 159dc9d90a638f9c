"""The probability of the right move at each token of a followed sentence, as training goes on."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import CYCLE, GREY, axes_of, dress
from trajet.trace import Trace


class RightMove(NamedTuple):
    """`probability` has a row a token and a column a step."""

    sentence: str
    step: np.ndarray
    tokens: list[str]
    moves: list[str]
    probability: np.ndarray


def followed(trace: Trace) -> bool:
    """Whether the trace follows a sentence."""
    return len(trace.followed) > 0


def data(trace: Trace, sentence: int = 0) -> RightMove:
    """The curves of one followed sentence."""
    rows = trace.followed[trace.followed["sentence"] == sentence]
    table = rows.pivot(index="position", columns="step", values="probability")
    described = trace.header["follow"][sentence]
    return RightMove(
        described["text"], table.columns.to_numpy(), described["tokens"], described["moves"], table.to_numpy()
    )


def draw(series: RightMove, ax: Axes | None = None) -> Axes:
    """The places in colour, the other words in grey."""
    ax = axes_of(ax)
    colours = iter(CYCLE * len(series.tokens))
    named = False
    for token, move, values in zip(series.tokens, series.moves, series.probability, strict=True):
        if move == "O":
            label = None if named else "every other word: O"
            named = True
            ax.plot(series.step, values, color=GREY, linewidth=0.9, alpha=0.8, label=label)
        else:
            ax.plot(series.step, values, color=next(colours), linewidth=1.6, label=f"{token}: {move}", zorder=3)
    ax.set_ylim(-0.02, 1.02)
    ax.legend(frameon=False, loc="lower right")
    return dress(ax, f"Probability of the right move: « {series.sentence} »", "probability, dropout off")
