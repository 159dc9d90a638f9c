"""A sweep's settings, what is recorded of each of its updates, and what it saw in the end."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from spacy.pipeline import EntityLinker, TextCategorizer
from spacy.training.loop import subdivide_batch

from trajet.errors import UserError
from trajet.experiments.rates.suggestions import SKIPPED_END, SKIPPED_SHARE, ratio_band, smooth, suggest
from trajet.trace.format import short_number
from trajet.trace.measure import Measured

_LEAST_UPDATES = 20
# Components that report a mean over the batch, not a sum over it.
_MEAN_LOSSES = (TextCategorizer, EntityLinker)


@dataclass(frozen=True)
class Sweep:
    """How to sweep.

    Attributes:
        first, last: rates of the first and of the last update.
        updates: from 20.
        smoothing: weight of the past in the mean of the loss, from 0 to below 1. The mean trails by about
            smoothing / (1 - smoothing) updates, and with it the suggestions.
        divergence: the sweep ends when the smoothed loss exceeds this multiple of its best.

    Raises:
        UserError: a setting out of range.
    """

    first: float = 1e-6
    last: float = 1.0
    updates: int = 300
    smoothing: float = 0.9
    divergence: float = 4.0

    def __post_init__(self):
        for name, rate in (("first", self.first), ("last", self.last)):
            if not (math.isfinite(rate) and rate > 0):
                raise UserError(f"the {name} rate is {rate:g}; a finite number above 0 is needed")
        if self.first >= self.last:
            raise UserError(f"rates from {self.first:g} to {self.last:g}: the first must be smaller than the last")
        if self.updates < _LEAST_UPDATES:
            raise UserError(f"{self.updates} updates are too few for a sweep; give {_LEAST_UPDATES} or more")
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing = {self.smoothing:g}; it must be from 0 to below 1")
        if not self.divergence > 1:
            raise UserError(f"divergence = {self.divergence:g}; a multiple above 1 is needed")

    @property
    def growth(self) -> float:
        """What the rate is multiplied by from one update to the next."""
        return (self.last / self.first) ** (1 / (self.updates - 1))

    @property
    def lag(self) -> float:
        """By what factor in the rate the smoothed loss trails: growth ** (smoothing / (1 - smoothing))."""
        return self.growth ** (self.smoothing / (1 - self.smoothing))

    @property
    def schedule(self) -> dict[str, Any]:
        """The block that takes the place of the config's learn_rate."""
        return {"@schedules": "compounding.v1", "start": self.first, "stop": self.last, "compound": self.growth}


@dataclass(frozen=True)
class RateRange:
    """What a sweep saw; arrays have one value an update.

    Attributes:
        sweep: its settings.
        seed: of the training.
        optimizer: the config's block with the swept learn_rate.
        dropout: as configured.
        left_out: callbacks of the config that took no part.
        rate: of each update.
        words: in its batch.
        loss: training loss of the batch, dropout on, before its update: sums divided by words, means as they are, all components added.
        losses: the same by component.
        unit: what `loss` is per.
        smoothed: see `smooth`.
        ratio: update norm / weight norm, median over the tensors that do not start at 0.
        ratio_low, ratio_high: the quartiles over them.
        ratio_all: the median over all tensors.
        starting_at_zero: names of the tensors left out of `ratio`: until it has a size of its own, such a tensor's
            ratio tells how often it was updated, not how far.
        stopped: why the sweep ended before its last update; None if it did not.
    """

    sweep: Sweep
    seed: int
    optimizer: dict[str, Any]
    dropout: float
    left_out: list[str]
    rate: np.ndarray
    words: np.ndarray
    loss: np.ndarray
    losses: dict[str, np.ndarray]
    unit: str
    smoothed: np.ndarray
    ratio: np.ndarray
    ratio_low: np.ndarray
    ratio_high: np.ndarray
    ratio_all: np.ndarray
    starting_at_zero: list[str]
    stopped: str | None

    def suggestions(self) -> dict[str, float | None]:
        """`suggest` on this sweep."""
        return suggest(self.rate, self.smoothed, self.sweep.updates)

    def band(self) -> dict[str, float | None]:
        """`ratio_band` on this sweep."""
        return ratio_band(self.rate, self.ratio)

    def notes(self) -> list[str]:
        """What to try where the range was too narrow, or trails too far behind."""
        found = []
        first = int(self.sweep.updates * SKIPPED_SHARE)
        if self.stopped is None and self.smoothed.argmin() >= len(self.smoothed) - 1 - SKIPPED_END:
            found.append(f"the loss was still falling at the last rates: end the sweep above {self.sweep.last:g}")
        if len(self.rate) > first and self.suggestions()["steepest"] == self.rate[first]:
            found.append(f"the loss fell fastest at the first rates considered: start below {self.sweep.first:g}")
        if self.sweep.lag > 2:
            found.append(
                f"the smoothed loss trails the batches by a factor of {self.sweep.lag:.2g} in the rate, and so do the "
                "suggestions: sweep in more updates"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON values: settings, series with 6 significant digits, suggestions; non-finite numbers as nan, inf, -inf."""
        series = {
            name: _plain(getattr(self, name))
            for name in ("rate", "loss", "smoothed", "ratio", "ratio_low", "ratio_high", "ratio_all")
        }
        return {
            "sweep": asdict(self.sweep),
            "seed": self.seed,
            "optimizer": self.optimizer,
            "dropout": self.dropout,
            "left_out": self.left_out,
            "unit": self.unit,
            "updates": len(self.rate),
            "stopped": self.stopped,
            "lag": _short(self.sweep.lag),
            "notes": self.notes(),
            "starting_at_zero": self.starting_at_zero,
            "series": {
                **series,
                "words": self.words.tolist(),
                "losses": {name: _plain(values) for name, values in self.losses.items()},
            },
            "suggestions": {name: _short(rate) for name, rate in self.suggestions().items()},
            "ratio_band": {name: _short(rate) for name, rate in self.band().items()},
        }


class Record:
    """Collects the updates of a sweep and says when to stop."""

    def __init__(self, sweep: Sweep, pipes: dict[str, Any], accumulate: int):
        self.sweep, self.accumulate = sweep, accumulate
        self.means = {name: isinstance(pipe, _MEAN_LOSSES) for name, pipe in pipes.items()}
        self.rates: list[float] = []
        self.words: list[int] = []
        self.losses: dict[str, list[float]] = {name: [] for name in pipes}
        self.updates: list[list[float | None]] = []
        self.weights: list[list[float | None]] = []
        self.stopped: str | None = None
        self._mean, self._best = 0.0, math.inf

    def add(self, rate: float, batch: list, losses: dict[str, float], measured: Measured) -> bool:
        """Take one update in; False if it was the last."""
        batch = list(batch)
        words = sum(len(example) for example in batch)
        parts = sum(1 for _ in subdivide_batch(batch, self.accumulate))
        self.rates.append(rate)
        self.words.append(words)
        for name, mean in self.means.items():
            self.losses[name].append(float(losses.get(name, 0.0)) / max(1, parts if mean else words))
        self.updates.append(measured.columns["update_norm"])
        self.weights.append(measured.columns["weight_norm"])
        return self._goes_on(sum(values[-1] for values in self.losses.values()), measured.global_update_norm)

    def fail(self, rate: float) -> None:
        """A component refused its own loss: there is no update to take in."""
        self.stopped = f"the loss was not finite at update {len(self.rates)}, rate {rate:.3g}"

    def _goes_on(self, loss: float, update_norm: float) -> bool:
        sweep, number = self.sweep, len(self.rates)
        where = f"at update {number - 1}, rate {self.rates[-1]:.3g}"
        if not math.isfinite(loss):
            self.stopped = f"the loss was not finite {where}"
            return False
        if not math.isfinite(update_norm):
            self.stopped = f"the update was not finite {where}"
            return False
        self._mean = sweep.smoothing * self._mean + (1 - sweep.smoothing) * loss
        smoothed = self._mean / (1 - sweep.smoothing**number)
        self._best = min(self._best, smoothed)
        # Before that the mean is one of a few batches.
        settled = number >= 1 / (1 - sweep.smoothing)
        if settled and smoothed > sweep.divergence * self._best:
            self.stopped = f"the smoothed loss ({smoothed:.3g}) exceeded {sweep.divergence:g} times its best ({self._best:.3g}) {where}"
            return False
        return True

    def result(self, names: list[str], **settings: Any) -> RateRange:
        """Everything recorded."""
        losses = {name: np.array(values) for name, values in self.losses.items()}
        loss = np.sum(list(losses.values()), axis=0)
        updates = np.array(self.updates, dtype=float).reshape(-1, len(names))
        weights = np.array(self.weights, dtype=float).reshape(-1, len(names))
        from_zero = _start_at_zero(updates, weights)
        with np.errstate(all="ignore"):
            ratios = updates / weights
        chosen = ratios[:, ~from_zero] if not from_zero.all() else ratios
        low, median, high = _quantiles(chosen)
        return RateRange(
            sweep=self.sweep, rate=np.array(self.rates), words=np.array(self.words, dtype=int), loss=loss, losses=losses,
            unit=self._unit(), smoothed=smooth(loss, self.sweep.smoothing), ratio=median, ratio_low=low, ratio_high=high,
            ratio_all=_quantiles(ratios)[1], starting_at_zero=[n for n, zero in zip(names, from_zero, strict=True) if zero],
            stopped=self.stopped, **settings,
        )  # fmt: skip

    def _unit(self) -> str:
        units = {"mean of the batch" if mean else "per word" for mean in self.means.values()}
        return units.pop() if len(units) == 1 else "per word, or mean of the batch"


def _start_at_zero(updates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which tensors, columns of both, were 0: after its first update such a tensor is that update, to the last bit."""
    if not len(updates):
        return np.zeros(updates.shape[1], dtype=bool)
    moved = updates > 0
    first = moved.argmax(axis=0), np.arange(updates.shape[1])
    return moved.any(axis=0) & (updates[first] == weights[first])


def _quantiles(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quartiles of each row over its finite values; nan in a row without any."""
    rows = [row[np.isfinite(row)] for row in ratios]
    quartiles = [np.quantile(row, (0.25, 0.5, 0.75)) if len(row) else np.full(3, np.nan) for row in rows]
    low, median, high = np.array(quartiles).reshape(-1, 3).T
    return low, median, high


def _plain(values: np.ndarray) -> list[float | str]:
    return [_short(value) for value in values.tolist()]  # type: ignore[misc]


def _short(value: float | None) -> float | str | None:
    return None if value is None else short_number(value) if math.isfinite(value) else str(value)
