"""Claims on weight decay."""

import math

import numpy as np

from trajet.adam import State, adam
from trajet.examples.claims.claim import Claim
from trajet.examples.numbers import TOTAL, rates
from trajet.examples.readings import L2, PEAK


def one_per_cent() -> Claim:
    planned = rates(TOTAL)
    return Claim(
        "one-per-cent",
        "poids_nouveau = poids_ancien × (1 - 0.01) - lr × gradient : réduction de 1 % du poids à chaque mise à jour",
        "wrong",
        "Thinc (and AdamW) take learn_rate x L2: {step:.0e} of the weight at the peak. Over all 20,000 updates an untouched weight loses {run:.2%}, "
        "because the rates add up to {rates:.2f}. At 1 % an update it would be halved every {half:.0f} updates, and {left:.0e} of it left at the end.",
        {
            "step": PEAK * L2,
            "run": 1 - float(np.prod(1 - planned * L2)),
            "rates": float(planned.sum()),
            "half": math.log(0.5) / math.log(0.99),
            "left": 0.99**TOTAL,
        },
    )


def literal() -> Claim:
    planned = rates(TOTAL)
    return Claim(
        "literal-one-per-cent",
        "L2 = 0.01 … réduction de 1 % du poids",
        "wrong",
        "A literal 1 % at the peak needs L2 = {needed:.0f}. An untouched weight would then be down to {left:.0e} of itself by the end, and a steady gradient, which moves a weight by one rate an update, "
        "could hold it at no more than 1 / L2 = {held:.3f}: nothing could be learnt that needs larger weights.",
        {"needed": 0.01 / PEAK, "left": float(np.prod(1 - planned * 200.0)), "held": 1 / 200.0},
    )


def forgotten() -> Claim:
    return Claim(
        "forgotten-weights",
        "les poids « oubliés » (non utilisés) rétrécissent",
        "imprecise",
        "All weights shrink, used or not, biases and norms too; at the peak rate half of a weight is gone after {half:,.0f} updates. A tensor that got no gradient at all is skipped by Thinc and does not shrink; "
        "an embedding row without a gradient shrinks with its table.",
        {"half": math.log(0.5) / math.log(1 - PEAK * L2)},
    )


def tax() -> Claim:
    def lost(w: float, in_gradient: bool) -> float:
        array = np.array(w)
        if not in_gradient:
            return PEAK * L2 * w
        return -float(adam(array, np.array(0.0), State.of(array), PEAK, L2=L2).gradient_part)

    return Claim(
        "tax",
        "C'est comme une taxe sur les poids : plus un poids est grand, plus il « paie »",
        "right",
        "Of decoupled decay: 0.5 pays {small:.1e} an update, 5 pays {large:.1e}. Put into the gradient instead (L2_is_weight_decay = false, torch's Adam), it goes through the division by sqrt(v): "
        "without another gradient 0.5 and 5 both pay {adam_small:.0e} at the first update, {times:.0f} times as much for the small one.",
        {
            "small": lost(0.5, False),
            "large": lost(5.0, False),
            "adam_small": lost(0.5, True),
            "adam_large": lost(5.0, True),
            "times": lost(0.5, True) / lost(0.5, False),
        },
    )


CLAIMS = (one_per_cent, literal, forgotten, tax)
