"""A learning rate that goes down when the score no longer goes up."""

import math
from collections.abc import Generator, Iterable
from itertools import repeat
from typing import Any

from spacy.training import Example
from thinc.api import Optimizer

from trajet.errors import UserError
from trajet.training.hooks import Hooks, TrainingCallback


class ReduceOnPlateau(TrainingCallback):
    """The callback `trajet.ReduceOnPlateau.v1`: a factor on whatever learning rate the config plans.

        scale <- scale * factor   after `patience` evaluations in a row without a new best score
        rate_t = min(planned_t, max(planned_t * scale, floor))

    planned_t is what the config's schedule (or number) gives at this update, as if nothing had been reduced. So the
    floor holds for the rate itself, not for the scale; and where the plan is below the floor, in a
    warm-up from 0 or at the end of a decay, the plan holds. The score is that of spaCy's loop, weighted with
    `training.score_weights`; a tie or nan is no new best. A reduction holds from the next update on.

    torch counts otherwise: its patience of n - 1 is one of n here.

    Args:
        factor: between 0 and 1.
        patience: whole number from 1.
        floor: from 0.

    Raises:
        UserError: a bad setting.

    Source: torch.optim.lr_scheduler.ReduceLROnPlateau(mode="max", threshold=0, eps=0).
    """

    def __init__(self, factor: float = 0.5, patience: int = 3, floor: float = 1e-7):
        for name, value, good, must in (
            ("factor", factor, 0 < factor < 1, "lie between 0 and 1"),
            ("patience", patience, isinstance(patience, int) and patience >= 1, "be a whole number from 1"),
            ("floor", floor, 0 <= floor < math.inf, "be a number from 0"),
        ):
            if not good:
                raise UserError(
                    f"[training.before_update]: trajet.ReduceOnPlateau.v1: {name} = {value!r}; it must {must}"
                )
        self.factor, self.patience, self.floor = factor, patience, floor
        self._optimizer: Optimizer | None = None

    def on_start(self, hooks: Hooks) -> None:
        self.scale, self._best, self._waited = 1.0, -math.inf, 0
        training = hooks.nlp.config.interpolate()["training"]
        self._weights = {name: weight for name, weight in training["score_weights"].items() if weight is not None}

    def on_gradients(self, optimizer: Optimizer) -> None:
        if self._optimizer is None:
            self._optimizer = optimizer
            self._planned = optimizer.learn_rate
            self._schedule = optimizer.schedules.get("learn_rate")
            optimizer.schedules["learn_rate"] = self._reduced(self._schedule or repeat(self._planned))

    def on_evaluated(self, examples: list[Example], scores: dict[str, Any]) -> None:
        score = self._weighted(scores)
        if score > self._best:
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.scale, self._waited = self.scale * self.factor, 0
            assert self._optimizer is not None
            # The loop has drawn the next update's rate before it evaluates.
            self._optimizer.learn_rate = self._rate()

    def on_removed(self) -> None:
        if self._optimizer is None:
            return
        self._optimizer.learn_rate = self._planned
        if self._schedule is None:
            del self._optimizer.schedules["learn_rate"]
        else:
            self._optimizer.schedules["learn_rate"] = self._schedule
        self._optimizer = None

    def _rate(self) -> float:
        return min(self._planned, max(self._planned * self.scale, self.floor))

    def _reduced(self, schedule: Iterable[float]) -> Generator[float, None, None]:
        for self._planned in schedule:
            yield self._rate()

    def _weighted(self, scores: dict[str, Any]) -> float:
        """The score as spaCy's loop has it: a weight whose score was missing once is gone for good."""
        self._weights = {name: weight for name, weight in self._weights.items() if scores.get(name) is not None}
        return sum(scores[name] * weight for name, weight in self._weights.items())
