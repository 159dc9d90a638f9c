"""How far the rows of a frequent and of a rare word go, run by run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from trajet.plots.style import BINS, CYCLE, dress


class WordPath(NamedTuple):
    """One word in one run; the path and the distance in units of the length its rows started with."""

    word: str
    run: str
    step: np.ndarray
    path: np.ndarray
    distance: np.ndarray
    effective_rate: np.ndarray
    scaled: bool
    touched_steps: int
    own_share: float


def data(lives: dict[str, Sequence]) -> list[WordPath]:
    """The curves of each word in each run, thinned to what a picture shows.

    Args:
        lives: `WordLife`s by the run's name.
    """
    curves = []
    for run, entries in lives.items():
        for life in entries:
            keep = np.unique(np.linspace(0, len(life.step) - 1, min(BINS, len(life.step))).round().astype(int))
            start = life.weight_norm or 1.0
            curves.append(WordPath(
                life.word, run, life.step[keep], life.path[keep] / start, life.distance[keep] / start,
                life.effective_rate[keep], life.scaled, int(life.touched.sum()), life.own_share,
            ))  # fmt: skip
    return curves


def draw(curves: Sequence[WordPath], figure: Figure | None = None) -> Figure:
    """A column a run: above the way and the distance, below the effective rate."""
    runs = list(dict.fromkeys(curve.run for curve in curves))
    words = list(dict.fromkeys(curve.word for curve in curves))
    colours = {word: CYCLE[index % len(CYCLE)] for index, word in enumerate(words)}
    figure = figure or Figure(figsize=(6.0 * len(runs), 8.0), layout="constrained")
    axes = figure.subplots(2, len(runs), squeeze=False, sharex=True, sharey="row")
    for column, run in enumerate(runs):
        top, bottom = axes[0][column], axes[1][column]
        for curve in (curve for curve in curves if curve.run == run):
            colour = colours[curve.word]
            label = f"{curve.word}: touched at {curve.touched_steps:,} steps"
            top.plot(curve.step, curve.path, color=colour, linewidth=1.6, label=label)
            top.plot(curve.step, curve.distance, color=colour, linewidth=1.2, linestyle="--")
            bottom.plot(curve.step, curve.effective_rate, color=colour, linewidth=1.6, label=curve.word)
        top.plot([], [], color="black", linewidth=1.6, label="way travelled")
        top.plot([], [], color="black", linewidth=1.2, linestyle="--", label="distance from the start")
        top.set_yscale("log")
        top.legend(frameon=False, loc="lower right", fontsize=9)
        bottom.set_yscale("log")
        bottom.legend(frameon=False, loc="lower right", fontsize=9)
        dress(top, f"{run}: how far the word's rows go", "way / length at the start (log)", "")
        formula = "learn_rate / (sqrt(v_hat) + eps)" if any(c.scaled for c in curves if c.run == run) else "learn_rate"
        dress(bottom, f"{run}: effective rate, {formula}", "change of w per unit of gradient (log)")
    return figure
