"""A weight of frequent words beside one of rare words: how far each gradient moves it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from trajet.adam import Step, adam, sgd
from trajet.plots.adam.replay import replay
from trajet.plots.style import BLUE, GREY, ORANGE, SKY, VERMILION, dress, figure_of

# Updates from one gradient to the next.
GAPS = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700, 1000, 1400, 2000, 3000, 5000)


class RareGradient(NamedTuple):
    beta1: float
    beta2: float
    gap: int
    t: np.ndarray  # shape (updates,), from 1
    distance: dict[tuple[str, str], np.ndarray]  # (method, "frequent" or "rare") -> shape (updates,), in learning rates
    per_gradient: dict[tuple[str, str], float]  # in learning rates
    gaps: np.ndarray
    largest_step: np.ndarray  # Adam, a number a gap, in learning rates
    moved: np.ndarray  # Adam, distance from one gradient to just before the next, in learning rates


def data(
    gap: int = 100, updates: int = 1000, beta1: float = 0.9, beta2: float = 0.999, gaps: Sequence[int] = GAPS
) -> RareGradient:
    """Distances travelled with a gradient of 1 at every update, and at every `gap`-th only (0 in between).

    SGD moves by the learning rate a gradient, however rare. Adam, for one gradient in P updates, steps by

        s(P) = (1 - beta1)/(1 - beta1^P) * sqrt((1 - beta2^P)/(1 - beta2))   ->   (1 - beta1)/sqrt(1 - beta2) = 3.16

    learning rates when it arrives, and goes on moving on its momentum: in the long run by s(P) (1 - r^P)/(1 - r) from
    one gradient to the next, r = beta1/sqrt(beta2). Measured between the last two gradients.

    Args:
        gap: P of the rare gradient.
        updates: of the distances over time.
        gaps: values of P of the largest steps; twice the largest is the number of updates made for them.
    Raises:
        ValueError: updates is less than 2 * gap.
    Source: Kingma & Ba 2015, section 2.1 (bound of the step), geometric sums.
    """
    if updates < 2 * gap:
        raise ValueError(f"{updates} updates hold no whole stretch between two gradients {gap} updates apart")
    periods = np.array([1, gap])
    per_method = {
        "SGD": replay(sgd, np.zeros(2), lambda t, w: t % periods == 0, [1.0] * updates),
        "Adam": replay(_adam(beta1, beta2), np.zeros(2), lambda t, w: t % periods == 0, [1.0] * updates),
    }
    distance, per_gradient = {}, {}
    # The last whole stretch, from one gradient to just before the next, ends before this update.
    end = updates // gap * gap - 1
    for method, steps in per_method.items():
        lengths = np.array([np.abs(step.gradient_part) for step in steps])
        for column, kind in enumerate(("frequent", "rare")):
            distance[method, kind] = lengths[:, column].cumsum()
            per_gradient[method, kind] = float(lengths[end - periods[column] : end, column].sum())
    largest, moved = _by_gap(np.array(gaps), beta1, beta2)
    return RareGradient(
        beta1, beta2, gap, np.arange(1, updates + 1), distance, per_gradient, np.array(gaps), largest, moved
    )


def draw(rare: RareGradient, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """Distances over time, and Adam's steps against how rare the gradient is."""
    figure = figure_of(figure, (13.0, 5.4))
    over_time, by_gap = figure.subplots(1, 2)
    for key, colour, width in (
        (("SGD", "frequent"), ORANGE, 5.0),
        (("Adam", "frequent"), SKY, 1.8),
        (("Adam", "rare"), BLUE, 1.8),
        (("SGD", "rare"), VERMILION, 1.8),
    ):
        travelled = rare.distance[key]
        over_time.plot(
            rare.t, np.where(travelled > 0, travelled, np.nan), color=colour, linewidth=width,
            label=f"{key[0]}, {key[1]} gradient: {rare.per_gradient[key]:.1f} learning rates a gradient",
        )  # fmt: skip
    over_time.set_yscale("log")
    ratio = rare.per_gradient["Adam", "rare"] / rare.per_gradient["SGD", "rare"]
    dress(
        over_time, f"A gradient in one update of {rare.gap}: Adam makes {ratio:.1f} times as much of it",
        "distance travelled / learning rate (log)", "update",
    )  # fmt: skip
    by_gap.plot(
        rare.gaps,
        rare.moved,
        color=SKY,
        marker="o",
        markersize=3.5,
        label="Adam: whole way from a gradient to the next",
    )
    by_gap.plot(
        rare.gaps, rare.largest_step, color=BLUE, marker="o", markersize=3.5, label="Adam: the step when it arrives"
    )
    bound = step_bound(rare.beta1, rare.beta2)
    by_gap.axhline(
        bound, color=GREY, linestyle=":", linewidth=1.6,
        label=rf"bound of that step: $(1-\beta_1)/\sqrt{{1-\beta_2}}$ = {bound:.2f}",
    )  # fmt: skip
    by_gap.axhline(1, color=VERMILION, linestyle="--", linewidth=1.4, label="SGD, and any step of a steady gradient")
    by_gap.set_xscale("log")
    by_gap.set_yscale("log")
    dress(by_gap, f"Rare gradients: steps of up to {bound:.2f} learning rates",
          "distance / learning rate (log)", "updates from one gradient to the next (log)")  # fmt: skip
    for ax in (over_time, by_gap):
        ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.14))
    figure.suptitle(
        rf"Frequent and rare gradients, each of size 1 ($\beta_1$ = {rare.beta1:g}, $\beta_2$ = {rare.beta2:g})"
    )
    return figure


def step_bound(beta1: float, beta2: float) -> float:
    """(1 - beta1)/sqrt(1 - beta2): Adam's largest step for a gradient after many zeros, in learning rates."""
    return float((1 - beta1) / np.sqrt(1 - beta2))


def _adam(beta1: float, beta2: float) -> Callable[..., Step]:
    return lambda w, g, state, rate: adam(w, g, state, rate, beta1=beta1, beta2=beta2)


def _by_gap(gaps: np.ndarray, beta1: float, beta2: float) -> tuple[np.ndarray, np.ndarray]:
    largest, moved = np.zeros(len(gaps)), np.zeros(len(gaps))
    updates = 2 * int(gaps.max())
    end = updates // gaps * gaps
    steps = replay(_adam(beta1, beta2), np.zeros(len(gaps)), lambda t, w: t % gaps == 0, [1.0] * updates)
    for step in steps:
        length = np.abs(step.gradient_part)
        largest = np.maximum(largest, length)
        moved += np.where((step.t >= end - gaps) & (step.t < end), length, 0)
    return largest, moved
