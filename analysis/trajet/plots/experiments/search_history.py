"""A search point by point: the score of each, those given up, the best so far."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.experiments.search.results import COMPLETE, SearchResults
from trajet.plots.style import BLACK, BLUE, GREY, VERMILION, axes_of, dress


class History(NamedTuple):
    complete: np.ndarray  # numbers of the points trained to the end
    score: np.ndarray  # F of each
    best_so_far: np.ndarray  # at each of them
    pruned: np.ndarray
    pruned_score: np.ndarray  # F when given up
    pruned_at: np.ndarray  # step of that evaluation
    diverged: np.ndarray  # of `complete`
    updates: int


def data(results: SearchResults) -> History:
    """Scores in the order in which the points were asked for."""
    complete = [point for point in results.points if point.state == COMPLETE]
    pruned = [point for point in results.points if point.state != COMPLETE]
    score = np.array([point.score for point in complete], dtype=float)
    return History(
        complete=np.array([point.number for point in complete], dtype=int), score=score,
        best_so_far=np.maximum.accumulate(score) if len(score) else score,
        pruned=np.array([point.number for point in pruned], dtype=int),
        pruned_score=np.array([point.score for point in pruned], dtype=float),
        pruned_at=np.array([point.curve[-1][0] if point.curve else 0 for point in pruned], dtype=int),
        diverged=np.array([point.diverged for point in complete], dtype=bool), updates=results.updates,
    )  # fmt: skip


def draw(history: History, ax: Axes | None = None) -> Axes:
    """Dots for points trained to the end, crosses for those given up, a line of the best so far."""
    ax = axes_of(ax)
    whole, diverged = ~history.diverged, history.diverged
    if len(history.pruned):
        when = f"{history.pruned_at.min():,} to {history.pruned_at.max():,}"
        when = f"{history.pruned_at.min():,}" if np.ptp(history.pruned_at) == 0 else when
        ax.plot(
            history.pruned,
            history.pruned_score,
            "x",
            color=GREY,
            markersize=6,
            label=f"given up (after {when} updates)",
        )
    ax.plot(history.complete[whole], history.score[whole], "o", color=BLUE, markersize=6, label="trained to the end")
    if diverged.any():
        ax.plot(history.complete[diverged], history.score[diverged], "v", color=BLACK, markersize=7, label="diverged")
    if len(history.score):
        ax.plot(
            history.complete,
            history.best_so_far,
            color=VERMILION,
            drawstyle="steps-post",
            linewidth=1.6,
            label="best so far",
        )
        best = int(np.argmax(history.score))
        ax.plot(history.complete[best], history.score[best], "*", color=VERMILION, markersize=15, markeredgecolor=BLACK,
                label=f"best: point {history.complete[best]}, F {history.score[best]:.3f}")  # fmt: skip
    dress(ax, f"The search, point by point ({history.updates:,} updates each)", "F at the last evaluation", "point")
    highest = max((*history.score, *history.pruned_score), default=1.0)
    ax.set_ylim(-0.02, min(1.02, 1.1 * highest + 0.02))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize=8, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.12))
    return ax
