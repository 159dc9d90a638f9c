"""Claims on the first and the second moment."""

import math

import numpy as np

from trajet.adam import State, adam, momentum
from trajet.examples.claims.claim import Claim
from trajet.examples.libraries import thinc_update


def _ratios(gradients: np.ndarray, **settings: float) -> np.ndarray:
    """m_hat / sqrt(v_hat) of each update: the step in rates."""
    w, state, steps = np.array(0.0), State.of(np.array(0.0)), []
    for g in gradients:
        step = adam(w, np.array(g), state, 1.0, **settings)
        steps.append(-float(step.gradient_part))
        state = step.state
    return np.array(steps)


def memory() -> Claim:
    numbers = {"ten": 1 - 0.9**10, "amplitude": 0.1 / 1.9, "noise": math.sqrt(0.1 / 1.9)}
    return Claim(
        "momentum-memory",
        "m_t = 0.9 m_{t-1} + 0.1 g : 90 % du passé, 10 % du présent → lisse les oscillations",
        "right",
        "m is a running mean of which the last ten gradients make up {ten:.0%}. Gradients that alternate between +1 and -1 leave an amplitude of {amplitude:.3f}, "
        "independent noise is brought down to {noise:.2f} of its standard deviation.",
        numbers,
    )


def ball() -> Claim:
    def speed(dampening: float) -> float:
        w, state = np.array(0.0), State.of(np.array(0.0))
        for _ in range(200):
            step = momentum(w, np.array(1.0), state, 1.0, dampening=dampening)
            state = step.state
        return -float(step.gradient_part)

    return Claim(
        "momentum-ball",
        "comme une bille avec de l'inertie",
        "imprecise",
        "The ball is Polyak's momentum, which adds gradients up: on a steady slope of 1 it reaches steps of {polyak:.1f} rates. Adam's m is a mean: its steps stay at {mean:.1f}. "
        "It smooths, it does not accelerate.",
        {"polyak": speed(0.0), "mean": speed(0.9)},
    )


def variance() -> Claim:
    constant = np.full(20_000, 0.2)
    v = 0.0
    for g in constant:
        v = 0.999 * v + 0.001 * g * g
    return Claim(
        "v-is-no-variance",
        "la mémoire des gradients² (variance)",
        "wrong",
        "v is the mean of the squares, not a variance: nothing is subtracted. A constant gradient of 0.2 has variance {variance:.0f}, and v goes to {v:.4f} = 0.2².",
        {"variance": float(constant.var()), "v": v},
    )


def varying() -> Claim:
    rng = np.random.default_rng(0)
    numbers = {
        "alternating": float(np.abs(_ratios(0.2 * (-1.0) ** np.arange(3000))[-1000:]).mean()),
        "noise": float(np.sqrt((_ratios(rng.normal(size=5000))[-4000:] ** 2).mean())),
        "theory": math.sqrt(0.1 / 1.9),
    }
    return Claim(
        "varying-gradient",
        "Si le gradient varie beaucoup → petits pas (prudent)",
        "imprecise",
        "True of a gradient that changes its sign, and m does it, not v: steps of {alternating:.3f} rates where it alternates, {noise:.2f} (theory {theory:.2f}) where it is pure noise. "
        "sqrt(v) alone would give steps of 1 rate in both.",
        numbers,
    )


def stable() -> Claim:
    numbers = {
        "small": float(_ratios(np.full(500, 0.002))[-1]),
        "large": float(_ratios(np.full(500, 2000.0))[-1]),
        "surprise": float(_ratios(np.append(np.zeros(5000), 1.0))[-1]),
    }
    return Claim(
        "stable-gradient",
        "Si le gradient est stable → grands pas (confiant)",
        "imprecise",
        "A steady gradient gives steps of one rate, whatever its size: {small:.3f} for 0.002, {large:.3f} for 2,000. The longest steps come from surprise: a first gradient after 5,000 "
        "zeros moves the weight by {surprise:.2f} rates.",
        numbers,
    )


def eps_zero() -> Claim:
    without = float(thinc_update(0.5, [0.0], [2e-5], eps=0.0).w[0])
    with_eps = float(thinc_update(0.5, [0.0], [2e-5]).w[0])
    numbers = {
        "without": without,
        "with_eps": with_eps,
        "first": 1e-8 / math.sqrt(1 - 0.999),
        "late": 1e-8 / math.sqrt(1 - 0.999**1000),
        "small": 1e-7 / (1e-7 + 1e-8 / math.sqrt(1 - 0.999)),
    }
    return Claim(
        "eps",
        "eps = 0.00000001 : évite division par zéro",
        "right",
        "With eps = 0 a weight whose gradient is 0 becomes {without}; with 1e-8 it stays at {with_eps:.7f}. eps also damps tiny gradients, and Thinc adds it before the bias correction: "
        "in terms of the corrected root it is {first:.1e} at the first update and {late:.2e} at the 1,000th, so that a first gradient of 1e-7 moves {small:.0%} of a full step.",
        numbers,
    )


def memories() -> Claim:
    return Claim(
        "two-memories",
        "beta1 : 90 % momentum direction ; beta2 : 99.9 % momentum vitesse",
        "imprecise",
        "v is no velocity, and 99.9 % is a memory of about 1,000 updates (half of it after {half:.0f}) beside 10 for m (half after {half1:.1f}). At the end of the 250 warm-up updates v has "
        "collected {share:.0%} of its weight: without the bias correction its root would be {root:.2f} of what it should be.",
        {
            "half": math.log(0.5) / math.log(0.999),
            "half1": math.log(0.5) / math.log(0.9),
            "share": 1 - 0.999**250,
            "root": math.sqrt(1 - 0.999**250),
        },
    )


CLAIMS = (memory, ball, variance, varying, stable, memories, eps_zero)
