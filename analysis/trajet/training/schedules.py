"""Learning rate schedules as mathematics: the value of a step, and the endless series of them.

Thinc steps a schedule once an update, and takes its first value when the optimizer is built: step s
(from 0, as spaCy counts) is the rate of update s + 1. Unlike generators, these can be copied and pickled.
"""

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from thinc.types import Generator

from trajet.errors import UserError


@dataclass
class RateSchedule(Generator):
    """An endless series: `next` gives the value of `step` and goes on to the next."""

    step: int = 0

    @abstractmethod
    def rate(self, step: int) -> float:
        """The value of a step, whatever was asked for before."""

    def __next__(self) -> float:
        value = self.rate(self.step)
        self.step += 1
        return value


@dataclass
class WarmupCosine(RateSchedule):
    """See `warmup_cosine`."""

    initial_rate: float = 0.0
    warmup_steps: int = 0
    total_steps: int = 1
    final_rate: float = 0.0

    def rate(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.initial_rate * step / self.warmup_steps
        if step >= self.total_steps:
            return self.final_rate
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.final_rate + (self.initial_rate - self.final_rate) * (1 + math.cos(math.pi * done)) / 2


@dataclass
class Triangular(RateSchedule):
    """See `triangular`."""

    max_rate: float = 0.0
    num_steps: int = 1
    cut: int = 1
    ratio: float = 1.0

    def rate(self, step: int) -> float:
        t = step + 1
        p = t / self.cut if t < self.cut else max(0.0, 1 - (t - self.cut) / (self.num_steps - self.cut))
        return self.max_rate * (1 + p * (self.ratio - 1)) / self.ratio


@dataclass
class Stepwise(RateSchedule):
    """See `stepwise`."""

    initial_rate: float = 0.0
    steps: tuple[int, ...] = ()
    factor: float = 1.0

    def rate(self, step: int) -> float:
        return self.initial_rate * self.factor ** bisect_right(self.steps, step)


def warmup_cosine(initial_rate: float, warmup_steps: int, total_steps: int, final_rate: float = 0.0) -> RateSchedule:
    """Linear warm-up, then half a cosine down.

        rate_s = initial_rate * s / warmup_steps                                                    s < warmup_steps
        rate_s = final_rate + (initial_rate - final_rate) * (1 + cos(pi * (s - warmup) / (total - warmup))) / 2
        rate_s = final_rate                                                                         s >= total_steps

    Args:
        initial_rate: the peak, at step `warmup_steps` (Thinc's warmup_linear calls it so).
        warmup_steps: steps up from rate 0; 0 begins at the peak.
        total_steps: the step from which the rate is `final_rate`.
        final_rate: from 0 to `initial_rate`.
    Raises:
        UserError: a setting is out of range (names it).
    Source: Loshchilov & Hutter 2017 (SGDR), equation 5, one cycle; torch.optim.lr_scheduler.CosineAnnealingLR.
    """
    where = "trajet.WarmupCosine.v1"
    _check_number(where, "initial_rate", initial_rate, above=0)
    _check_number(where, "final_rate", final_rate, at_least=0, at_most=("initial_rate", initial_rate))
    _check_whole(where, "warmup_steps", warmup_steps, 0)
    _check_whole(where, "total_steps", total_steps, 1)
    if warmup_steps >= total_steps:
        raise UserError(
            f"{where}: warmup_steps = {warmup_steps} leaves no step for the descent; it must be less than "
            f"total_steps = {total_steps}"
        )
    return WarmupCosine(0, initial_rate, warmup_steps, total_steps, final_rate)


def triangular(max_rate: float, num_steps: int, cut_frac: float = 0.1, ratio: float = 32) -> RateSchedule:
    """The slanted triangle: a short way up, a long way down, in the end max_rate / ratio for ever.

        t = s + 1        cut = floor(num_steps * cut_frac)
        p = t / cut  if t < cut  else  max(0, 1 - (t - cut) / (num_steps - cut))
        rate_s = max_rate * (1 + p * (ratio - 1)) / ratio

    Thinc's slanted_triangular.v1 has no max(0, ...): after `num_steps` it goes on falling, soon below 0, and a negative
    rate climbs. Until then both agree where num_steps * cut_frac is whole; where it is not, Thinc (like the paper)
    divides by cut * (1 / cut_frac - 1), which is less than num_steps - cut, and passes max_rate / ratio before the end.

    Args:
        max_rate: the peak, at step cut - 1.
        num_steps: updates of the run.
        cut_frac: share of the updates on the way up, between 0 and 1.
        ratio: how many times smaller the lowest rate is, from 1.
    Raises:
        UserError: a setting is out of range (names it).
    Source: Howard & Ruder 2018 (ULMFiT), equation 3; Thinc 8.3 schedules.py.
    """
    where = "trajet.Triangular.v1"
    _check_number(where, "max_rate", max_rate, above=0)
    _check_whole(where, "num_steps", num_steps, 1)
    _check_number(where, "ratio", ratio, at_least=1)
    _check_number(where, "cut_frac", cut_frac, above=0)
    cut = int(num_steps * cut_frac)
    if cut < 1 or cut >= num_steps:
        raise UserError(
            f"{where}: cut_frac = {cut_frac:g} of num_steps = {num_steps} gives {cut} steps on the way up; "
            "it must give at least one and leave at least one for the way down"
        )
    return Triangular(0, max_rate, num_steps, cut, ratio)


def stepwise(initial_rate: float, steps: Sequence[int], factor: float = 0.1) -> RateSchedule:
    """A rate that is multiplied at each of some steps.

        rate_s = initial_rate * factor^k        k = how many of `steps` are <= s

    Args:
        initial_rate: until the first of `steps`.
        steps: whole numbers from 1, each larger than the last; none gives a constant.
        factor: above 0.
    Raises:
        UserError: a setting is out of range (names it).
    Source: torch.optim.lr_scheduler.MultiStepLR.
    """
    where = "trajet.Steps.v1"
    _check_number(where, "initial_rate", initial_rate, above=0)
    _check_number(where, "factor", factor, above=0)
    for step in steps:
        _check_whole(where, "steps", step, 1)
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise UserError(f"{where}: steps = {list(steps)} are not in order; each must be larger than the one before")
    return Stepwise(0, initial_rate, tuple(steps), factor)


def _check_number(where: str, name: str, value: object, *, above: float | None = None,
                  at_least: float | None = None, at_most: tuple[str, float] | None = None) -> None:  # fmt: skip
    bound = f"above {above:g}" if above is not None else f"from {at_least:g}"
    if at_most is not None:
        bound += f" to {at_most[0]} = {at_most[1]:g}"
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    right = right and (above is None or value > above) and (at_least is None or value >= at_least)  # type: ignore[operator]
    if not right or (at_most is not None and value > at_most[1]):  # type: ignore[operator]
        raise UserError(f"{where}: {name} = {value!r}; it must be a finite number {bound}")


def _check_whole(where: str, name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{where}: {name} = {value!r}; it must be a whole number from {least}")
