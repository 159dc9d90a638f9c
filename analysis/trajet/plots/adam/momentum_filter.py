"""Momentum as a filter: what stays of a gradient's mean, of its noise, of its swinging."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from trajet.adam import adam
from trajet.plots.adam.replay import replay
from trajet.plots.style import BLACK, BLUE, GREY, ORANGE, VERMILION, dress, figure_of


class MomentumFilter(NamedTuple):
    beta1: float
    mean: float
    noise: float
    copies: int
    t: np.ndarray  # shape (updates,), from 1, as all below
    noisy: np.ndarray
    noisy_m_hat: np.ndarray
    alternating: np.ndarray
    alternating_m_hat: np.ndarray
    ratio: np.ndarray  # standard deviation of m_hat / that of g, over the copies
    theory: np.ndarray


def data(
    beta1: float = 0.9, mean: float = 0.5, noise: float = 1.0, updates: int = 120, copies: int = 4000, seed: int = 0
) -> MomentumFilter:
    """First moments of a noisy gradient (mean + noise) and of one that changes its sign at every update.

        std(m_hat_t) / std(g) = sqrt((1 - beta1)/(1 + beta1) * (1 + beta1^t)/(1 - beta1^t))  ->  sqrt((1 - beta1)/(1 + beta1))

    Args:
        mean: of the noisy gradient, loss per unit of weight, as `noise`, its standard deviation.
        copies: independent noisy gradients, over which the standard deviations are taken; the first is drawn.
    Source: geometric sums of Kingma & Ba 2015, Algorithm 1.
    """
    generator = np.random.default_rng(seed)
    gradients = mean + noise * generator.standard_normal((updates, copies))
    swinging = np.where(np.arange(updates) % 2 == 0, 1.0, -1.0)
    noisy = replay(
        lambda w, g, state, rate: adam(w, g, state, rate, beta1=beta1),
        np.zeros(copies + 1),
        lambda t, w: np.append(gradients[t - 1], swinging[t - 1]),
        [1.0] * updates,
    )
    m_hat = np.array([step.m_hat for step in noisy])
    t = np.arange(1, updates + 1)
    return MomentumFilter(
        beta1, mean, noise, copies, t, gradients[:, 0], m_hat[:, 0], swinging, m_hat[:, -1],
        m_hat[:, :-1].std(axis=1) / noise,
        np.sqrt(limit(beta1) ** 2 * (1 + beta1**t) / (1 - beta1**t)),
    )  # fmt: skip


def limit(beta1: float) -> float:
    """sqrt((1 - beta1)/(1 + beta1)): the share of the noise that stays in the long run."""
    return float(np.sqrt((1 - beta1) / (1 + beta1)))


def draw(series: MomentumFilter, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """The noisy gradient, the alternating one, and how much of the noise stays."""
    figure = figure_of(figure, (14.0, 4.8))
    noisy, alternating, ratio = figure.subplots(1, 3)
    noisy.plot(series.t, series.noisy, color=GREY, linewidth=0.8, alpha=0.8, label="gradient of each update")
    noisy.plot(series.t, series.noisy_m_hat, color=BLUE, linewidth=2, label=r"momentum $\hat m$")
    noisy.axhline(
        series.mean, color=VERMILION, linestyle="--", linewidth=1.4, label=f"true mean of the gradient: {series.mean:g}"
    )
    dress(noisy, "Momentum stays near the true mean", "gradient (loss per unit of weight)")
    shown = series.t <= 40
    alternating.plot(
        series.t[shown], series.alternating[shown], color=GREY, linewidth=0.8, marker="o", markersize=3,
        label="gradient: +1, -1, +1, ...",
    )  # fmt: skip
    left = (1 - series.beta1) / (1 + series.beta1)
    alternating.plot(
        series.t[shown], series.alternating_m_hat[shown], color=BLUE, linewidth=2,
        label=rf"momentum $\hat m$: in the end ±{left:.3f}",
    )  # fmt: skip
    dress(alternating, "Swings cancel out", "gradient (loss per unit of weight)")
    ratio.plot(
        series.t, series.ratio, color=ORANGE, linewidth=4, alpha=0.8, label=f"measured on {series.copies:,} gradients"
    )
    ratio.plot(series.t, series.theory, color=BLACK, linewidth=1, label="theory for update t")
    ratio.axhline(
        limit(series.beta1), color=VERMILION, linestyle="--", linewidth=1.4,
        label=rf"in the end $\sqrt{{(1-\beta_1)/(1+\beta_1)}}$ = {limit(series.beta1):.3f}",
    )  # fmt: skip
    ratio.set_ylim(0, 1.05)
    dress(
        ratio,
        f"In the long run {100 * limit(series.beta1):.0f} % of the noise stays",
        r"spread of $\hat m$ / spread of the gradient",
    )
    for ax in (noisy, alternating, ratio):
        ax.set_xlabel("update")
        ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.16))
    figure.suptitle(rf"Momentum is a filter ($\beta_1$ = {series.beta1:g})")
    return figure
