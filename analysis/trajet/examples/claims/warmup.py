"""Claims on the schedule."""

import numpy as np

from trajet.adam import State, adam
from trajet.examples.claims.claim import Claim
from trajet.examples.numbers import PEAK, TOTAL, WARMUP, rates


def initial_rate() -> Claim:
    planned = rates()
    return Claim(
        "initial-rate",
        "initial_rate = 0.00005 (5e-5)",
        "imprecise",
        'In warmup_linear `initial_rate` is the peak. The initial rate is {first:.0f}: the first update moves nothing, and spaCy prints "Initial learn rate: 0.0".',
        {"first": float(planned[0]), "peak": float(planned.max())},
    )


def first_steps() -> Claim:
    def first(g: float) -> float:
        w = np.array(0.0)
        return -float(adam(w, np.array(g), State.of(w), 1.0).gradient_part)

    return Claim(
        "large-first-updates",
        "Au début les poids sont aléatoires. Faire de grandes mises à jour serait risqué",
        "right",
        "At its first update Adam takes a full step in every weight, however small the gradient: {tiny:.2f} rates for a gradient of 1e-6, {large:.2f} for 1,000. v knows one sample then; "
        "the warm-up keeps those steps short.",
        {"tiny": first(1e-6), "large": first(1e3)},
    )


def plateau() -> Claim:
    planned = rates()
    return Claim(
        "plateau",
        "Le dessin : montée, plateau à 5e-5, descente",
        "wrong",
        "There is no plateau. The peak lasts one step ({peaks:.0f} of {total:,.0f}); from there the rate falls in a straight line: {early:.3g} at step 1,000, {middle:.3g} at 10,125, 0 at 20,000.",
        {
            "peaks": float((planned == planned.max()).sum()),
            "total": float(TOTAL),
            "early": float(planned[1000]),
            "middle": float(planned[10_125]),
        },
    )


def warmup_share() -> Claim:
    planned = rates(TOTAL)
    return Claim(
        "warmup-share",
        "Phase 1 (0 → 250 steps) : le modèle s'échauffe doucement",
        "right",
        "The rates of the warm-up add up to {warmup:.5f}, those of the whole run to {total:.2f}: {share:.2%} of the way a weight can go. At a constant peak it would be twice that.",
        {
            "warmup": float(planned[:WARMUP].sum()),
            "total": float(planned.sum()),
            "share": float(planned[:WARMUP].sum() / planned.sum()),
        },
    )


def decay_phase() -> Claim:
    planned = rates()
    return Claim(
        "decay-phase",
        "Phase 2 (250 → 20000 steps) : les ajustements deviennent de plus en plus fins",
        "imprecise",
        "So it is, if the run gets there. A run that stops at update 4,000 ends at {end:.2e}, {share:.0%} of the peak: of the decay it has seen little.",
        {"end": float(planned[4000]), "share": float(planned[4000] / PEAK)},
    )


CLAIMS = (initial_rate, first_steps, plateau, warmup_share, decay_phase)
