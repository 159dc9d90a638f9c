"""Shared by the tests of Thinc's optimizers: documented settings, small arrays, how far float32 may round."""

from collections.abc import Iterator

import numpy as np
from thinc.api import Optimizer, warmup_linear

from trajet.adam import State, Step

KEY = (1, "W")
RATE = 1e-3

# The documented optimizer block but for its schedule, in Thinc's names and in the reference's.
DOCUMENTED = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "L2": 0.01, "grad_clip": 1.0, "use_averages": False}

# Relative rounding error of one float32 operation.
UNIT = 2.0**-24

# How far Thinc's step may be from the same step in float64, relative to the step, in a first update. The kernel
# takes beta2 as float32, which leaves 1 - beta2 off by 1.3e-5 and sqrt(v) by half of it; the handful of other
# operations (squares, sums, root, quotient, the rate) round once each.
FIRST_STEP = abs((1 - float(np.float32(0.999))) / 0.001 - 1) / 2 + 10 * UNIT


def steps_error(updates: int) -> float:
    """FIRST_STEP for a later update: m and v round twice more in each update, and sqrt halves what v brings."""
    return 2 * FIRST_STEP + 4 * updates * UNIT


def storage_error(w: np.ndarray, roundings: int) -> float:
    """How far so many roundings can move weights that are stored as float32."""
    return roundings * float(np.spacing(np.float32(np.abs(w).max()))) / 2


def f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def normal(size: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=size) * scale).astype(np.float32)


def after(optimizer: Optimizer, w: np.ndarray, *gradients: np.ndarray, **settings: float) -> np.ndarray:
    """The weights after a call for each gradient; the arguments stay as they are."""
    w = w.copy()
    for gradient in gradients:
        w, _ = optimizer(KEY, w, gradient.copy(), **settings)
        optimizer.step_schedules()
    return w


def replayed(step, w: np.ndarray, *gradients: np.ndarray) -> list[Step]:
    """The same updates by `step(w, g, state)`, in float64."""
    steps, state = [], State.of(w)
    for gradient in gradients:
        steps.append(step(w, gradient, state))
        w, state = steps[-1].w_after, steps[-1].state
    return steps


def documented_rates() -> Iterator[float]:
    return warmup_linear(initial_rate=5e-5, warmup_steps=250, total_steps=20000)
