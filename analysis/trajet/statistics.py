"""Statistics of repeated trainings: over seeds (Student's t, Holm) and over frames (bootstrap)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from trajet.errors import UserError

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class Spread:
    """Some values in short; `sd` is None for a single one."""

    n: int
    mean: float
    sd: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Variant minus base over the seeds that both have.

    Attributes:
        n: seeds in common; mean is None without any, all other fields without two.
        sd: of the single differences.
        low, high: t interval of the mean difference; half_width is half its width.
        p: two-sided, for "the mean difference is 0".
    """

    n: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    half_width: float | None = None
    p: float | None = None


def spread(values: Iterable[float]) -> Spread:
    """Mean, standard deviation (divisor n - 1), least and greatest.

    Raises:
        UserError: no value, or one that is not finite.
    """
    array = _finite(values, "values")
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    return Spread(len(array), float(array.mean()), sd, float(array.min()), float(array.max()))


def paired_difference(
    variant: Mapping[int, float], base: Mapping[int, float], confidence: float = CONFIDENCE
) -> Difference:
    """Mean difference over common seeds with Student's t interval.

        d_s = variant_s - base_s
        mean(d) -+ t(1 - (1 - confidence) / 2; n - 1) * sd(d) / sqrt(n)

    With n seeds of few, a percentile bootstrap would be too narrow: over 3 it covers 75 %, the t interval 95 %.
    Equal differences (sd 0) have an interval of no width; p is then 1 if they are 0, otherwise 0.

    Args:
        variant, base: score by seed; seeds that only one of them has are left out.
    Raises:
        UserError: a score at a common seed is not finite (names the seed).
    """
    seeds = sorted(variant.keys() & base.keys())
    for seed in seeds:
        for name, scores in (("variant", variant), ("base", base)):
            if not math.isfinite(scores[seed]):
                raise UserError(
                    f"seed {seed}: the {name}'s score is {scores[seed]}; leave that seed out or train again"
                )
    if not seeds:
        return Difference(0)
    differences = np.array([variant[seed] - base[seed] for seed in seeds])
    mean = float(differences.mean())
    if len(seeds) == 1:
        return Difference(1, mean)
    sd = float(differences.std(ddof=1))
    half = half_width(sd, len(seeds), 1 - confidence)
    p = 2 * float(student.sf(abs(mean) * math.sqrt(len(seeds)) / sd, len(seeds) - 1)) if sd else float(mean == 0)
    return Difference(len(seeds), mean, sd, mean - half, mean + half, half, p)


def half_width(sd: float, n: int, alpha: float) -> float:
    """Least mean difference of n pairs whose two-sided p is alpha: t(1 - alpha / 2; n - 1) * sd / sqrt(n)."""
    return float(student.isf(alpha / 2, n - 1)) * sd / math.sqrt(n)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction, in the order given.

        p_(1) <= ... <= p_(m):  adjusted_(k) = max over j <= k of min(1, (m - j + 1) * p_(j))

    None (no test was made) stays None and does not count in m.

    Raises:
        UserError: a value outside [0, 1], NaN included.
    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    tested = [index for index, p in enumerate(p_values) if p is not None]
    for index in tested:
        if not 0 <= p_values[index] <= 1:
            raise UserError(f"p value {index + 1} is {p_values[index]}; it must lie between 0 and 1")
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(tested, key=lambda index: p_values[index])):
        running = max(running, min(1.0, (len(tested) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def holm_threshold(p_values: Sequence[float | None], index: int, alpha: float) -> float:
    """The p that hypothesis `index` must not exceed to be rejected beside the others, as they are.

    alpha / (m - R)        R: how many others Holm rejects when this one's p is 1
    """
    others = [1.0 if place == index else p for place, p in enumerate(p_values)]
    rejected = sum(p is not None and p <= alpha for p in holm(others))
    return alpha / (sum(p is not None for p in others) - rejected)


def f_over_frames(counts: np.ndarray, seed: int, resamples: int = _RESAMPLES) -> np.ndarray:
    """Micro F of data sets made of as many frames, drawn again with replacement.

    Sentences of one frame stand or fall together: drawing sentences would make the spread too narrow. The same seed
    and number of frames draw the same frames, so the difference of two variants' results is a paired bootstrap.

    Args:
        counts: shape (frames, 3): tp, fp, fn.
    Returns:
        shape (resamples,); 0 where nothing is found and nothing was to be found.
    Raises:
        UserError: no frame, another shape, or a count that is negative or not finite.
    """
    counts = np.asarray(counts, dtype=float)
    if counts.ndim != 2 or counts.shape[1] != 3 or not len(counts):
        raise UserError(f"counts of shape {counts.shape}; a row [tp, fp, fn] a frame is needed")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise UserError("counts: a tp, fp or fn is negative or not finite")
    draws = np.random.default_rng(seed).integers(len(counts), size=(resamples, len(counts)))
    return micro_f(counts[draws].sum(axis=1))


def micro_f(counts: np.ndarray) -> np.ndarray:
    """2 tp / (2 tp + fp + fn) along the last axis, 0 where there is nothing to count."""
    tp, fp, fn = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return 2 * tp / np.maximum(2 * tp + fp + fn, 1)


def percentile_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The middle `confidence` of bootstrap values."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def updates_to(evaluations: Iterable[tuple[float, float]], level: float) -> float | None:
    """Updates until the score first reaches `level`, on the straight line between the two evaluations around it.

        u = u0 + (u1 - u0) * (level - f0) / (f1 - f0)        f0 < level <= f1

    Args:
        evaluations: (updates made, score) in order; scores that are not finite are passed over.
    Returns:
        None if it never does; the first evaluation's own place if it begins there.
    """
    before: tuple[float, float] | None = None
    for updates, score in evaluations:
        if not math.isfinite(score):
            continue
        if score >= level:
            if before is None:
                return float(updates)
            return before[0] + (updates - before[0]) * (level - before[1]) / (score - before[1])
        before = (updates, score)
    return None


def median_or_never(updates: Sequence[float | None]) -> float | None:
    """The median where None is later than any number; None if it falls on one, or if there is none."""
    if not updates:
        return None
    middle = float(np.median([math.inf if value is None else value for value in updates]))
    return middle if math.isfinite(middle) else None


def _finite(values: Iterable[float], what: str) -> np.ndarray:
    array = np.array(list(values), dtype=float)
    if not len(array):
        raise UserError(f"{what}: there is none; train at least one seed")
    if not np.isfinite(array).all():
        raise UserError(f"{what}: number {int(np.flatnonzero(~np.isfinite(array))[0]) + 1} is not finite")
    return array
