"""What a range test suggests: rates read off a curve of loss over rate, and off the size of the updates."""

import math

import numpy as np

# Median update / weight ratios around the rule of thumb of a thousandth a step.
RATIO_GUIDE = 1e-3
RATIO_BAND = (3e-4, 3e-3)
# As fastai's `lr_find`: the first tenth is noise of the start, the last five updates are the explosion.
SKIPPED_SHARE, SKIPPED_END = 0.1, 5
# fastai's `slide`.
_SLIDE_WIDTH, _SLIDE_THRESHOLD = 15, 0.005
# How far into the longest valley.
_VALLEY_SHARE = 2 / 3
# A running median over so many updates takes single odd batches out of the ratio.
_RATIO_WINDOW = 11


def smooth(values: np.ndarray, smoothing: float) -> np.ndarray:
    """Exponential mean, corrected for its start at 0.

        s_t = smoothing * s_{t-1} + (1 - smoothing) * x_t,   s_0 = 0
        mean_t = s_t / (1 - smoothing ** t)                  t from 1

    Args:
        values: shape (n,).
        smoothing: from 0 (no smoothing) to below 1.

    Returns:
        shape (n,), float64.
    Source: Gugger 2018, "How do you find a good learning rate"; the correction is Adam's (Kingma & Ba 2015).
    """
    means, s = np.empty(len(values)), 0.0
    for index, value in enumerate(values):
        s = smoothing * s + (1 - smoothing) * float(value)
        means[index] = s / (1 - smoothing ** (index + 1))
    return means


def suggest(rates: np.ndarray, losses: np.ndarray, updates: int) -> dict[str, float | None]:
    """The four suggestions, without the first tenth of the planned updates and the last five.

    Args:
        rates: shape (n,), rising.
        losses: shape (n,), smoothed; cut at the first that is not finite.
        updates: how many were planned, n or more.

    Returns:
        {"steepest", "valley", "minimum", "slide"}; None where a curve has none.
    Source: fastai 2, callback/schedule.py, `lr_find`.
    """
    kept = slice(int(updates * SKIPPED_SHARE), max(len(rates) - SKIPPED_END, 0))
    rates, losses = np.asarray(rates, dtype=float)[kept], np.asarray(losses, dtype=float)[kept]
    finite = np.isfinite(losses)
    if not finite.all():
        rates, losses = rates[: finite.argmin()], losses[: finite.argmin()]
    named = {"steepest": steepest, "valley": valley, "minimum": minimum, "slide": slide}
    return {name: method(rates, losses) for name, method in named.items()}


def steepest(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The rate at which the loss falls fastest over the logarithm of the rate.

        argmin_i (losses[i+1] - losses[i]) / (ln rates[i+1] - ln rates[i])

    Returns:
        rates[i]; None if the loss falls nowhere.
    Source: fastai 2, callback/schedule.py, `steep`.
    """
    if len(rates) < 2:
        return None
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return float(rates[slopes.argmin()]) if slopes.min() < 0 else None


def valley(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The rate two thirds into the longest valley.

        length_i = longest strictly falling subsequence of the losses that ends at i (not only neighbours)
        end = argmax length, the first of equals;   start = end - (length_end - 1)
        rates[start + floor(2/3 * (end - start))]

    The start counts the points that fall, so a noisy plateau before the valley hardly lengthens it.

    Returns:
        The rate; None if the loss falls nowhere.
    Source: fastai 2, callback/schedule.py, `valley` (ESRI's). Its documentation says two thirds, which is done here; its
        code goes half the way, from one point earlier.
    """
    lengths = np.ones(len(losses), dtype=int)
    for index in range(1, len(losses)):
        higher = losses[:index] > losses[index]
        if higher.any():
            lengths[index] = lengths[:index][higher].max() + 1
    if len(losses) == 0 or lengths.max() < 2:
        return None
    end = int(lengths.argmax())
    start = end - (int(lengths[end]) - 1)
    return float(rates[start + math.floor(_VALLEY_SHARE * (end - start))])


def minimum(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """A tenth of the rate at which the loss is smallest: at that rate it is about to rise.

        rates[argmin losses] / 10

    Returns:
        The rate; None for an empty curve.
    Source: fastai 2, callback/schedule.py, `minimum`.
    """
    return float(rates[losses.argmin()]) / 10 if len(losses) else None


def slide(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The rate before the explosion: two points 15 updates apart slide down from the end while their slopes differ.

        d = numpy.gradient(losses);   right = n - 1, left = right - 15
        suggestion = rates[left]
        while left >= 0 and |d[right] - d[left]| > 0.005:  suggestion = rates[left];  right, left = right - 1, left - 1

    The threshold is in units of the loss an update, as fastai has it: another unit of the loss gives another rate.

    Returns:
        The rate; None for fewer than 17 points.
    Source: fastai 2, callback/schedule.py, `slide` (Novetta's, without its factor).
    """
    if len(losses) < _SLIDE_WIDTH + 2:
        return None
    slopes = np.gradient(losses)
    right, left = len(losses) - 1, len(losses) - 1 - _SLIDE_WIDTH
    suggestion = rates[left]
    while left >= 0 and abs(slopes[right] - slopes[left]) > _SLIDE_THRESHOLD:
        suggestion = rates[left]
        right, left = right - 1, left - 1
    return float(suggestion)


def ratio_band(rates: np.ndarray, ratios: np.ndarray) -> dict[str, float | None]:
    """The rates at which updates are around a thousandth of the weights.

        r = running median of the ratios over 11 updates, centred, shorter at the ends
        low = first rate with r >= 3e-4;   high = last rate before r first exceeds 3e-3;   middle = first rate with r >= 1e-3

    Args:
        rates: shape (n,), rising.
        ratios: shape (n,), a median over tensors each; nan counts as no value.

    Returns:
        {"low", "middle", "high"}; all None if r never lies between 3e-4 and 3e-3, middle None if it stays below 1e-3.
    Source: the rule of thumb of 1e-3 is Karpathy's (CS231n, "Neural networks part 3", ratio of weights and updates).
    """
    reach = _RATIO_WINDOW // 2
    finite = np.isfinite(ratios)
    rates, ratios = np.asarray(rates)[finite], np.asarray(ratios)[finite]
    medians = np.array([np.median(ratios[max(0, i - reach) : i + reach + 1]) for i in range(len(ratios))])
    none = {"low": None, "middle": None, "high": None}
    inside = np.flatnonzero(medians >= RATIO_BAND[0])
    if not len(inside):
        return none
    above = np.flatnonzero(medians > RATIO_BAND[1])
    last = (int(above[0]) if len(above) else len(medians)) - 1
    if last < inside[0]:
        return none
    middle = np.flatnonzero(medians[: last + 1] >= RATIO_GUIDE)
    return {
        "low": float(rates[inside[0]]),
        "middle": float(rates[middle[0]]) if len(middle) else None,
        "high": float(rates[last]),
    }
