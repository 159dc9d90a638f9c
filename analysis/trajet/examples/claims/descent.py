"""Claims on the gradient and on plain descent."""

import numpy as np

from trajet.adam import State, adam, momentum, sgd
from trajet.examples.claims.claim import Claim
from trajet.examples.libraries import thinc_update


def gradient_direction() -> Claim:
    # A loss (w - 1)^2 / 2: the weight should increase, the gradient is w - 1.
    w, step = 0.5, 0.1
    gradient = w - 1

    def loss(at: float) -> float:
        return (at - 1) ** 2 / 2

    numbers = {"g": gradient, "before": loss(w), "down": loss(w - step * gradient), "up": loss(w + step * gradient)}
    return Claim(
        "gradient-direction",
        "Calcul du gradient (direction de correction) : « pour réduire l'erreur, augmente ce poids »",
        "wrong",
        "The gradient points to where the loss grows; the correction is minus the gradient. With the loss (w - 1)²/2 at w = 0.5 the gradient is {g:+.1f}: "
        "a step of 0.1 against it takes the loss from {before:.4f} to {down:.4f}, a step along it to {up:.4f}.",
        numbers,
    )


def positive_gradient() -> Claim:
    after = float(thinc_update(0.5, [0.2], [2e-5]).w[0])
    return Claim(
        "positive-gradient",
        "gradient = 0.2 (le poids doit augmenter)",
        "wrong",
        "A gradient of +0.2 says that the weight must fall: Thinc makes {after:.7f} of 0.5. For a rise the gradient is -0.2.",
        {"after": after},
    )


def oscillation_cause() -> Claim:
    def turns(rate_times_curvature: float) -> tuple[int, float]:
        w, state, path = np.array(1.0), State.of(np.array(1.0)), [1.0]
        for _ in range(30):
            step = sgd(w, w, state, rate_times_curvature)
            w, state = step.w_after, step.state
            path.append(float(w))
        return int((np.sign(path[1:]) != np.sign(path[:-1])).sum()), abs(path[-1])

    calm, swinging, diverging = turns(0.9), turns(1.8), turns(2.1)
    numbers = {"calm": calm[0], "swinging": swinging[0], "left": swinging[1], "diverged": diverging[1]}
    return Claim(
        "oscillation-cause",
        "Cause : le gradient change brusquement de direction",
        "imprecise",
        "That is the symptom. The cause is a rate too large for the curvature k: on k w²/2 each step multiplies w by 1 - rate x k. With rate x k = 0.9 the "
        "sign changes {calm:.0f} times in 30 steps, with 1.8 {swinging:.0f} times (0.8^30 = {left:.4f} is left), with 2.1 it diverges (|w| = {diverged:.1f}).",
        numbers,
    )


def one_rate() -> Claim:
    # A frequent word's gradient comes at every step, a rare one's at every hundredth.
    def walk(every: int, rule: str) -> float:
        w, state = np.array(0.0), State.of(np.array(0.0))
        for number in range(1, 5001):
            g = np.array(1.0 if number % every == 0 else 0.0)
            step = sgd(w, g, state, 1e-3) if rule == "sgd" else adam(w, g, state, 1e-3)
            w, state = step.w_after, step.state
        return -float(w)

    numbers = {f"{rule}_{name}": walk(every, rule) for rule in ("sgd", "adam") for name, every in (("often", 1), ("rare", 100))}  # fmt: skip
    numbers["sgd_ratio"] = numbers["sgd_often"] / numbers["sgd_rare"]
    numbers["adam_ratio"] = numbers["adam_often"] / numbers["adam_rare"]
    return Claim(
        "one-rate",
        "Un learning rate unique ne convient pas à tous",
        "right",
        "A gradient that comes at every step against one at every 100th, 5,000 steps at rate 0.001: SGD moves the frequent weight {sgd_ratio:.0f} times as far, "
        "Adam {adam_ratio:.1f} times. It narrows the gap; it does not close it.",
        numbers,
    )


def momentum_and_oscillation() -> Claim:
    def turns(beta1: float) -> int:
        w, state, path = np.array(1.0), State.of(np.array(1.0)), [1.0]
        for _ in range(100):
            step = momentum(w, w, state, 0.1, beta1=beta1)
            w, state = step.w_after, step.state
            path.append(float(w))
        return int((np.sign(path[1:]) != np.sign(path[:-1])).sum())

    return Claim(
        "momentum-and-oscillation",
        "Sans momentum (SGD) : oscillations, convergence lente. Avec momentum : trajectoire lisse, convergence rapide",
        "imprecise",
        "Momentum damps what alternates and speeds up what persists, but it swings by itself: on w²/2 with rate 0.1 plain descent never crosses the minimum ({plain:.0f} "
        "sign changes in 100 steps), momentum 0.9 crosses it {heavy:.0f} times. It pays in a ravine, where one rate must serve steep and flat directions.",
        {"plain": turns(0.0), "heavy": turns(0.9)},
    )


CLAIMS = (gradient_direction, positive_gradient, oscillation_cause, one_rate, momentum_and_oscillation)
