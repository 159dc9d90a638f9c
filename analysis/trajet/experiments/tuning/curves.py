"""Judging the curve of a training: diverges, chaotic, too slow or good."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trajet.experiments.result import Result

DIVERGES, CHAOTIC, TOO_SLOW, GOOD = "diverges", "chaotic", "too slow", "good"
VERDICTS = (DIVERGES, CHAOTIC, TOO_SLOW, GOOD)

# A curve that goes up as far as it goes down has a roughness of 0.5, one that only falls has 0.
_ROUGH = 0.3
# So many times the lowest loss of the curves it is compared with.
_SLOW = 1.5
# Losses below this are noise of a handful of states: their logarithms would be all roughness.
_FLOOR = 1e-4


@dataclass(frozen=True)
class Judged:
    """A verdict and the numbers it stands on; `evidence` says them in words."""

    verdict: str
    roughness: float | None
    last_loss: float | None
    evidence: str


def judge(result: Result, rate: float | None = None, others: Sequence[tuple[float, Result]] = ()) -> Judged:
    """Judge a training by its loss on the fixed train documents, dropout off.

        diverges    a loss or a weight was not finite, or the last loss is not below the first
        chaotic     sum of rises / sum of all changes of log(loss) above 0.3
        too slow    last loss above 1.5 times the lowest last loss of `others`, at a rate below that one's
        good        otherwise

    Args:
        result: with its evaluations.
        rate: learning rate of this training; without it nothing is called too slow.
        others: (rate, result) of the trainings it is compared with.
    """
    losses = [entry["train_loss"] for entry in result.evaluations]
    last = losses[-1]
    if result.diverged or last is None or not math.isfinite(last):
        return Judged(DIVERGES, None, None, f"not finite any more after {result.updates:,} updates")
    known = [loss for loss in losses if loss is not None]
    if len(known) > 1 and last >= known[0]:
        return Judged(DIVERGES, None, last, f"the loss went from {known[0]:.3g} to {last:.3g}")
    rough = roughness(known)
    if rough > _ROUGH:
        return Judged(CHAOTIC, rough, last, f"{rough:.0%} of the way of its logarithm led upwards")
    best_rate, lowest = _lowest(others)
    if rate is not None and best_rate is not None and rate < best_rate and last > _SLOW * lowest:
        return Judged(
            TOO_SLOW, rough, last, f"ends at {last / lowest:.1f} times the loss that rate {best_rate:g} reaches"
        )
    return Judged(GOOD, rough, last, f"the loss fell from {known[0]:.3g} to {last:.3g}")


def roughness(losses: Sequence[float]) -> float:
    """Share of a curve's way that led upwards, in logarithms.

    sum_k max(0, d_k) / sum_k |d_k|        d_k = log(loss_k) - log(loss_{k-1})

    0 for a curve that never moves.
    """
    logs = [math.log(max(loss, _FLOOR)) for loss in losses]
    steps = [after - before for before, after in pairwise(logs)]
    way = sum(abs(step) for step in steps)
    return sum(step for step in steps if step > 0) / way if way else 0.0


def _lowest(others: Sequence[tuple[float, Result]]) -> tuple[float | None, float]:
    finished = [
        (result.evaluations[-1]["train_loss"], rate)
        for rate, result in others
        if not result.diverged and result.evaluations[-1]["train_loss"] is not None
    ]
    if not finished:
        return None, math.inf
    loss, rate = min(finished)
    return rate, loss
