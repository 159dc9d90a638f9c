"""Do confidences mean what they say? Reliability, its summaries, and one temperature."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from trajet.errors import UserError

BINS = 10
# Temperatures beyond e^-3 and e^3 belong to a model that knows nothing or to data it knows by heart.
_LOG_RANGE = (-3.0, 3.0)
_Z = 1.959963984540054  # normal quantile of 0.975


@dataclass(frozen=True)
class Bin:
    """Predictions whose confidence lies between `low` and `high` (`high` itself in the next bin, but for 1).

    Attributes:
        count: how many; without any, the other fields are None.
        confidence: their mean confidence.
        right: the share of them that is right; right_low and right_high are its 95 % Wilson interval.
    """

    low: float
    high: float
    count: int
    confidence: float | None = None
    right: float | None = None
    right_low: float | None = None
    right_high: float | None = None


@dataclass(frozen=True)
class Reliability:
    """A reliability table and what it comes to.

    Attributes:
        ece: expected calibration error, sum over bins of count / n * |right - confidence|.
        brier: mean of (confidence - right)^2, right being 0 or 1.
        confidence, right: means over all predictions. All four are None without a prediction.
    """

    bins: list[Bin]
    count: int
    ece: float | None
    brier: float | None
    confidence: float | None
    right: float | None


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Reliability:
    """Confidences in bins of equal width beside the share that is right.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks; Brier 1950.
    """
    confidence, truth = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    if confidence.shape != truth.shape:
        raise ValueError(f"{len(confidence)} confidences and {len(truth)} answers")
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = [_bin(k / bins, (k + 1) / bins, confidence[place == k], truth[place == k]) for k in range(bins)]
    if not len(confidence):
        return Reliability(rows, 0, None, None, None, None)
    gaps = [row.count * abs(row.right - row.confidence) for row in rows if row.count]  # type: ignore[operator]
    return Reliability(
        rows, len(confidence), float(sum(gaps) / len(confidence)), float(((confidence - truth) ** 2).mean()),
        float(confidence.mean()), float(truth.mean()),
    )  # fmt: skip


def tempered(log_probs: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities after the scores were divided by a temperature, row by row.

        log p_T = s / T - log sum exp(s / T)        s: scores, or log-probabilities, which differ from them by a constant

    Above 1 it takes confidence away, below 1 it adds some; the order of the moves stays. -inf stays.
    """
    scaled = np.asarray(log_probs, dtype=float) / temperature
    top = scaled.max(axis=1, keepdims=True)
    return scaled - (top + np.log(np.exp(scaled - top).sum(axis=1, keepdims=True)))


def mean_nll(log_probs: np.ndarray, moves: np.ndarray, temperature: float = 1.0) -> float:
    """Mean negative log-probability of the right moves at a temperature."""
    return float(-tempered(log_probs, temperature)[np.arange(len(moves)), moves].mean())


def fit_temperature(log_probs: np.ndarray, moves: np.ndarray) -> float:
    """The temperature under which the right moves are likeliest.

    Args:
        log_probs: shape (states, moves). moves: shape (states,), the right one of each.
    Raises:
        UserError: no state to fit on.
    """
    if not len(moves):
        raise UserError("no state to fit a temperature on; give dev documents that have words")
    found = minimize_scalar(
        lambda log_t: mean_nll(log_probs, moves, math.exp(log_t)), bounds=_LOG_RANGE, method="bounded"
    )
    return math.exp(found.x)


def _bin(low: float, high: float, confidence: np.ndarray, truth: np.ndarray) -> Bin:
    n = len(confidence)
    if not n:
        return Bin(low, high, 0)
    share = float(truth.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Bin(low, high, n, float(confidence.mean()), share, max(0.0, middle - half), min(1.0, middle + half))
