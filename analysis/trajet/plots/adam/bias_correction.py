"""Why Adam divides its moments by 1 - beta^t: the first updates with and without."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from trajet.adam import adam, adam_epsilon_hat
from trajet.plots.adam.replay import replay
from trajet.plots.style import BLACK, BLUE, GREEN, ORANGE, VERMILION, dress, figure_of


class BiasCorrection(NamedTuple):
    beta1: float
    beta2: float
    eps: float
    t: np.ndarray  # shape (updates,), from 1, as all below
    both: np.ndarray  # |update| / learn_rate
    neither: np.ndarray
    only_m: np.ndarray
    only_v: np.ndarray
    eps_algorithm: np.ndarray  # epsilon beside sqrt(v_hat)
    eps_thinc: np.ndarray


def data(
    gradient: float = 0.2, updates: int = 3000, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> BiasCorrection:
    """|update| / learn_rate for a constant gradient, with both corrections, with one, with none.

        both: m_hat / sqrt(v_hat) = 1                    neither: m / sqrt(v) = (1 - beta1^t) / sqrt(1 - beta2^t)
        only m: m_hat / sqrt(v) = 1 / sqrt(1 - beta2^t)  only v: m / sqrt(v_hat) = 1 - beta1^t

    up to eps, which is added to each root. Thinc's epsilon stands beside the uncorrected sqrt(v); beside sqrt(v_hat)
    it is eps / sqrt(1 - beta2^t).

    Args:
        gradient: at every update, loss per unit of weight.
    Source: Kingma & Ba 2015, Algorithm 1 and section 3; Thinc 8.3 optimizers.py.
    """
    rates = [1.0] * updates
    plain = list(replay(lambda w, g, s, r: adam(w, g, s, r, beta1, beta2, eps), 0.0, lambda t, w: gradient, rates))
    hat = replay(lambda w, g, s, r: adam_epsilon_hat(w, g, s, r, beta1, beta2, eps), 0.0, lambda t, w: gradient, rates)
    m, v, m_hat, v_hat = (
        np.array([float(getattr(step, name)) for step in plain]) for name in ("m", "v", "m_hat", "v_hat")
    )
    return BiasCorrection(
        beta1, beta2, eps, np.arange(1, updates + 1),
        np.abs([float(step.gradient_part) for step in plain]),
        np.abs(m) / (np.sqrt(v) + eps),
        np.abs(m_hat) / (np.sqrt(v) + eps),
        np.abs(m) / (np.sqrt(v_hat) + eps),
        np.array([step.effective_eps for step in plain]),
        np.array([step.effective_eps for step in hat]),
    )  # fmt: skip


def draw(sizes: BiasCorrection, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """Sizes of the updates, and what Thinc's epsilon amounts to."""
    figure = figure_of(figure, (13.0, 5.4))
    updates, eps = figure.subplots(1, 2, width_ratios=(1.5, 1))
    peak = int(sizes.neither.argmax())
    for values, colour, label in (
        (sizes.only_m, ORANGE, f"only m corrected: starts at {sizes.only_m[0]:.1f}"),
        (
            sizes.neither,
            VERMILION,
            f"no correction: {sizes.neither[0]:.2f} at first, {sizes.neither[peak]:.2f} at update {sizes.t[peak]}",
        ),
        (sizes.both, BLACK, "both corrected (Adam): 1 from the first update on"),
        (sizes.only_v, GREEN, f"only v corrected: starts at {sizes.only_v[0]:.1f}"),
    ):
        updates.plot(sizes.t, values, color=colour, linewidth=1.8, label=label)
    updates.set_xscale("log")
    updates.set_yscale("log")
    dress(updates, f"Uncorrected, early updates are up to {sizes.neither[peak]:.1f} times the learning rate",
          "size of the update / learning rate (log)", "update (log)")  # fmt: skip
    for values, colour, label in (
        (
            sizes.eps_thinc,
            BLUE,
            f"as Thinc adds it: {sizes.eps_thinc[0]:.1e} at first, {sizes.eps_thinc[-1]:.2e} at last",
        ),
        (sizes.eps_algorithm, BLACK, f"Algorithm 1 of the paper: {sizes.eps:g} always"),
    ):
        eps.plot(sizes.t, values, color=colour, linewidth=1.8, label=label)
    eps.set_xscale("log")
    eps.set_yscale("log")
    dress(eps, f"Thinc's epsilon starts {sizes.eps_thinc[0] / sizes.eps:.0f} times as large",
          r"epsilon beside $\sqrt{\hat v}$ (log)", "update (log)")  # fmt: skip
    for ax in (updates, eps):
        ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.14))
    figure.suptitle(
        rf"A constant gradient: the first {len(sizes.t):,} updates ($\beta_1$ = {sizes.beta1:g}, $\beta_2$ = {sizes.beta2:g})"
    )
    return figure
