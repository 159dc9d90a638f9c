"""Claims of the worked update and of the closing remarks."""

import math

import numpy as np

from trajet.examples.claims.claim import Claim
from trajet.examples.libraries import thinc_update
from trajet.examples.numbers import PEAK, TOTAL, rates


def tiny_change() -> Claim:
    real = abs(float(thinc_update(0.5, [-0.2] * 101, [2e-5] * 101).w[0]) - 0.5)
    return Claim(
        "tiny-change",
        "0.5 → 0.4951 : changement minuscule, le modèle avance prudemment",
        "wrong",
        "0.0049 is {times:.0f} times what Thinc does at that step ({real:.2e}). At such a pace a weight would be gone after a few hundred updates.",
        {"times": 0.0049 / real, "real": real},
    )


def step_1000() -> Claim:
    planned = rates()

    def change(step: int) -> float:
        series = [0.2] * (step + 1)
        return abs(float(thinc_update(0.0, series, planned[: step + 1], L2=0.0).w[0]))

    numbers = {f"at_{step}": change(step) for step in (100, 1000, 10_000)}
    numbers["ratio"] = numbers["at_1000"] / numbers["at_100"]
    return Claim(
        "larger-at-1000",
        "Step 1000 : m et v ont accumulé de l'information → mises à jour plus significatives",
        "imprecise",
        "With a steady gradient the update is {at_100:.2e} at step 100, {at_1000:.2e} at 1,000 and {at_10000:.2e} at 10,000: {ratio:.1f} times from 100 to 1,000, which is the ratio of the rates alone. "
        "What m and v have accumulated cancels, thanks to the bias correction.",
        numbers,
    )


def defaults() -> Claim:
    from thinc.optimizers import ADAM_DEFAULTS

    return Claim(
        "paper-defaults",
        "beta1 = 0.9 et beta2 = 0.999 : valeurs par défaut du papier original d'Adam (2014)",
        "right",
        "The paper's (preprint of December 2014) are 0.9, 0.999, eps 1e-8 and a rate of 0.001; Thinc's own defaults have beta1 {beta1}, beta2 {beta2}, eps {eps:.0e}, "
        "and a clip at {clip:.0f}.",
        {
            "beta1": float(ADAM_DEFAULTS["beta1"]),
            "beta2": float(ADAM_DEFAULTS["beta2"]),
            "eps": float(ADAM_DEFAULTS["eps"]),
            "clip": float(ADAM_DEFAULTS["grad_clip"]),
        },
    )


def larger_beta2() -> Claim:
    # 2,000 weights side by side, each with 5,000 independent gradients.
    squares = np.random.default_rng(0).normal(size=(5000, 2000)) ** 2

    def spread(beta2: float) -> float:
        v = np.ones(squares.shape[1])
        for square in squares:
            v = beta2 * v + (1 - beta2) * square
        return float(np.std(v) / np.mean(v))

    return Claim(
        "larger-beta2",
        "beta2 plus grand que beta1 car la variance des gradients fluctue moins que leur direction",
        "wrong",
        "The argument runs the other way: because squares fluctuate a lot (g² of normal noise has a standard deviation of {single:.2f} times its mean), their mean needs the longer memory. With beta2 = 0.9 v "
        "fluctuates by {short:.0%} of itself, with 0.999 by {long:.1%} (theory {theory:.1%}): a divisor should hold still.",
        {
            "single": float(np.std(squares) / np.mean(squares)),
            "short": spread(0.9),
            "long": spread(0.999),
            "theory": math.sqrt(2 * 0.001 / 1.999),
        },
    )


def without_warmup() -> Claim:
    planned = rates(TOTAL)
    warm, cold = float(planned[:250].sum()), 250 * PEAK
    return Claim(
        "without-warmup",
        "Sans warmup, le modèle peut « mémoriser » des patterns incorrects au début et avoir du mal à s'en défaire",
        "imprecise",
        "A claim to be tested on a training, not a fact. What arithmetic says: without warm-up a weight can go {cold:.4f} in the first 250 updates instead of {warm:.4f}; the updates after them, "
        "which may undo it, reach {rest:.2f}, {times:.0f} times as far.",
        {"cold": cold, "warm": warm, "rest": float(planned[250:].sum()), "times": float(planned[250:].sum()) / cold},
    )


def small_rate() -> Claim:
    planned = rates(TOTAL)
    return Claim(
        "small-rate",
        "Learning rate = 5e-5 : c'est petit ! C'est normal pour le NLP où les embeddings sont sensibles",
        "imprecise",
        "Normal for fine-tuning a pretrained transformer; for a network that starts from random weights it is small. A weight with a steady gradient goes {total:.2f} in 20,000 updates and {run:.2f} in the first 4,000; "
        "at Adam's usual 0.001 it goes that far in {same:.0f} updates.",
        {"total": float(planned.sum()), "run": float(planned[:4000].sum()), "same": float(planned[:4000].sum()) / 1e-3},
    )


def exploding_rate() -> Claim:
    huge = abs(float(thinc_update(0.0, [1e6], [0.01], L2=0.0, grad_clip=0.0).w[0]))
    return Claim(
        "exploding-rate",
        "Un LR de 0.01 ferait exploser les gradients",
        "imprecise",
        "The rate multiplies the step, not the gradient, and Adam's step is about one rate even for a gradient of 1,000,000: {step:.4f}. What may happen is that the weights, moved by 0.01 an update "
        "({times:.0f} times as far), leave the region where the loss is tame. Whether they do is a question to a training.",
        {"step": huge, "times": 0.01 / PEAK},
    )


CLAIMS = (tiny_change, step_1000, defaults, larger_beta2, without_warmup, small_rate, exploding_rate)
