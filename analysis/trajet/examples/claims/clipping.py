"""Claims on gradient clipping."""

import numpy as np

from trajet.adam import State, ThincSettings, sgd, thinc_adam, thinc_clip
from trajet.examples.claims.claim import Claim
from trajet.examples.libraries import thinc_clip_vector, thinc_run, thinc_update


def per_tensor() -> Claim:
    first, second = np.array([3.0, 0.0]), np.array([0.0, 4.0])
    one, two = (thinc_clip(g, 1.0)[0] for g in (first, second))
    both, clipped = np.concatenate([first, second]), np.concatenate([one, two])
    cosine = both @ clipped / (np.linalg.norm(both) * np.linalg.norm(clipped))
    return Claim(
        "clip-per-tensor",
        "Si ||gradient|| > 1.0 : gradient = gradient × (1.0 / ||gradient||)",
        "imprecise",
        "Thinc clips each tensor by itself, from a norm of exactly 1 on. Two tensors with gradients of length 3 and 4 come out with length {one:.0f} and {two:.0f}, together {together:.2f}, and the "
        "joint direction turns by {angle:.1f} degrees; a clip of the whole would leave {whole1:.1f} and {whole2:.1f} and the direction.",
        {
            "one": float(np.linalg.norm(one)),
            "two": float(np.linalg.norm(two)),
            "together": float(np.linalg.norm(clipped)),
            "angle": float(np.degrees(np.arccos(cosine))),
            "whole1": 3 / 5,
            "whole2": 4 / 5,
        },
    )


def scale_free() -> Claim:
    vector = [5.0, 3.0, 4.0]
    clipped = thinc_update([0.5] * 3, [vector], [2e-5], L2=0.0)
    unclipped = thinc_update([0.5] * 3, [vector], [2e-5], L2=0.0, grad_clip=0.0)
    change = np.abs(0.5 - clipped.w.astype(np.float64))
    return Claim(
        "clip-and-adam",
        "Gradient brut : [5.0, 3.0, 4.0] → clippé : [0.71, 0.42, 0.57]",
        "right",
        "And Adam's first step does not notice: clipped or not, each of the three weights moves by {change:.2e} (largest difference {difference:.0e}). Adam divides by the gradient's own size; "
        "a clip matters to it only against the gradients before and after.",
        {"change": float(change.max()), "difference": float(np.abs(clipped.w - unclipped.w).max())},
    )


def jump() -> Claim:
    # A thousand ordinary gradients, one a million times as long, a thousand ordinary ones.
    rng = np.random.default_rng(0)
    ordinary = rng.normal(0.1, 0.1, size=1000)
    series = np.concatenate([ordinary, [1e5], ordinary])
    rate = 1e-3

    def steps(clip: float) -> np.ndarray:
        w, state, found = np.array([0.0]), State.of(np.array([0.0])), []
        for g in series:
            step = thinc_adam(w, np.array([g]), state, ThincSettings(learn_rate=rate, grad_clip=clip))
            w, state = step.w_after, step.state
            found.append(abs(float(step.gradient_part[0])) / rate)
        return np.array(found)

    free, clipped = steps(0.0), steps(1.0)
    start = State.of(np.array(0.0))
    numbers = {
        "sgd": -float(sgd(np.array(0.0), np.array(1e5), start, rate).gradient_part),
        "adam": float(free[1000:1010].max()),
        "clipped": float(clipped[1000:1010].max()),
        "usual": float(np.median(free[900:1000])),
        "after": float(np.median(free[1200:1300])),
        "after_clipped": float(np.median(clipped[1200:1300])),
    }
    return Claim(
        "clip-and-jumps",
        "Sans clipping, un gradient géant peut faire « sauter » le modèle hors de la zone de bonnes solutions",
        "imprecise",
        "With SGD, yes: one gradient of 100,000 at rate 0.001 moves a weight by {sgd:.0f}. Adam without a clip moves it by at most {adam:.1f} rates in one update (usual: {usual:.1f}; with a clip {clipped:.1f}), "
        "but then it stands still: 200 updates later its steps are {after:.5f} rates long, with a clip {after_clipped:.2f}. A spike does not throw Adam out, it freezes it.",
        numbers,
    )


def nan() -> Claim:
    infinite = thinc_clip_vector([np.inf, 1.0, 1.0], 1.0)
    huge = thinc_clip_vector([1e25, 1.0, 1.0], 1.0)
    unclipped = thinc_run([0.5], [[1e25], [0.2]], [1e-3, 1e-3], grad_clip=0.0, L2=0.0)
    return Claim(
        "clip-and-nan",
        "Sans clipping, un gradient géant peut causer des NaN (Not a Number) qui plantent l'entraînement",
        "wrong",
        "In Thinc it is nearly the other way round. The clip makes [{nan}, {zero:.0f}, {zero:.0f}] of [inf, 1, 1], and silently [{lost:.0f}, {lost:.0f}, {lost:.0f}] of [1e25, 1, 1], whose norm overflows float32. "
        "Without a clip 1e25 makes v infinite: the weight stays at {still:.4f}, for that update and for good, and no NaN appears.",
        {
            "nan": float(infinite[0]),
            "zero": float(infinite[1]),
            "lost": float(np.abs(huge).max()),
            "still": float(unclipped[-1, 0]),
        },
    )


CLAIMS = (per_tensor, scale_free, jump, nan)
