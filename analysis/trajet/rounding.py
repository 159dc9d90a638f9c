"""How far one float32 update may lie from the same update in float64: a forward error analysis, operation by operation.

Each float32 operation adds a relative error of at most u = 2^-24, a result near zero an absolute one of at
most 2^-149. Errors that enter a sum are added, those that enter a product are added relatively, and those under
a root are halved; second-order terms (u^2) are covered by `_SLACK`.
"""

from dataclasses import dataclass

import numpy as np

from trajet.adam import State, Step, ThincSettings

U = 2.0**-24
TINY = 2.0**-149
_SLACK = 1.01


@dataclass(frozen=True)
class Bounds:
    """Largest honest distance of each result from the reference, element by element."""

    m: np.ndarray
    v: np.ndarray
    w_after: np.ndarray
    average: np.ndarray | None


def step_bounds(step: Step, before: State, settings: ThincSettings) -> Bounds:
    """Bounds for one update that starts from exactly the same w, g, m and v in float32 and float64."""
    used_error = _gradient_error(step, settings)
    m_error, v_error = _moment_errors(step, before, settings, used_error)
    part_error = _part_error(step, settings, used_error, m_error, v_error)
    # w' = w + part, then w' * decay and the difference, each rounded.
    moved = np.abs(step.w + step.gradient_part)
    w_error = part_error + U * moved + 4 * U * np.abs(step.decay_part) + U * np.abs(step.w_after)
    average = None
    if step.average is not None:
        kept = min((1 + step.t) / (10 + step.t), 0.9999)
        old = np.zeros_like(step.w) if before.average is None else before.average
        difference = np.abs(old - step.w_after)
        average = (1 - kept) * (w_error + 3 * U * difference) + U * np.abs(step.average)
    m_error, v_error, w_error = (_SLACK * error + TINY for error in (m_error, v_error, w_error))
    return Bounds(m_error, v_error, w_error, None if average is None else _SLACK * average + TINY)


def _gradient_error(step: Step, settings: ThincSettings) -> np.ndarray:
    used = np.abs(step.g_used)
    error = np.zeros_like(used)
    if settings.L2 and not settings.L2_is_weight_decay:
        # L2 as float32, times w, plus g.
        error += 2 * U * settings.L2 * np.abs(step.w) * step.clip_factor + U * used
    if settings.grad_clip:
        # A dot product of n terms is off by at most n * u, relatively; its root by half of that, then the
        # root, the quotient and the product are rounded.
        clipped = (step.g_used.size / 2 + 3) * U
        error += used * clipped * (step.clip_factor != 1)
    return error


def _moment_errors(step: Step, before: State, settings: ThincSettings, used_error: np.ndarray) -> tuple:
    # 1 - beta is taken in float32 of a beta already rounded: relatively u * beta / (1 - beta), 1.2e-5 for 0.999.
    rest1 = U * (settings.beta1 / (1 - settings.beta1) + 1)
    rest2 = U * (settings.beta2 / (1 - settings.beta2) + 1)
    used = np.abs(step.g_used)
    with np.errstate(over="ignore", invalid="ignore"):
        m_error = (
            3 * U * settings.beta1 * np.abs(before.m)
            + (1 - settings.beta1) * (used_error + used * (rest1 + 2 * U))
            + 2 * TINY
        )
        v_error = (
            3 * U * settings.beta2 * before.v
            + (1 - settings.beta2) * (2 * used * used_error + used_error**2 + used**2 * (rest2 + 3 * U))
            + 3 * TINY
        )
    return m_error, v_error


def _part_error(step: Step, settings: ThincSettings, used_error, m_error, v_error) -> np.ndarray:
    part = np.abs(step.gradient_part)
    if step.effective_rate is None:
        # SGD: the rate rounded, one product.
        return part * 2 * U + settings.lr_scale * settings.learn_rate * used_error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rate = step.effective_rate / step.bias1
        error = np.abs(rate) * m_error + 4 * U * part
        if step.effective_eps is not None:
            root = np.sqrt(step.v)
            # |sqrt(a) - sqrt(b)| is at most the root of the difference, and at most the difference over sqrt(a).
            root_error = np.minimum(np.sqrt(v_error), np.where(root > 0, v_error / np.maximum(root, TINY), np.inf))
            denominator = root + settings.eps
            low = np.maximum(denominator - root_error - 3 * U * denominator, TINY)
            error = error + part * (root_error + 3 * U * denominator) / low
        return np.where(np.isfinite(error), error, 0.0)
