"""A parameter of a search space: what it may be, when it applies, where in its range a value lies."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

FLOAT, INT, CATEGORICAL = "float", "int", "categorical"
KINDS = (FLOAT, INT, CATEGORICAL)
LOWER, UPPER = "lower", "upper"
# A best value this near to a bound (share of the range, of its logarithm where log) leaves open what lies beyond.
EDGE = 0.05

Value = str | int | float | bool | None


class Asks(Protocol):
    """Where values come from: an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value: ...


@dataclass(frozen=True)
class Parameter:
    """One setting that a search may choose.

    Attributes:
        name: as in the file of the space.
        kind: float, int or categorical.
        low, high: of a number, both included.
        log: whether it is drawn evenly over its logarithm.
        choices: of a categorical one.
        when: other parameters and the values of theirs with which this one applies.
    """

    name: str
    kind: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def applies(self, chosen: Mapping[str, Value]) -> bool:
        """Whether it is to be chosen, given what was chosen before."""
        return all(name in chosen and chosen[name] in values for name, values in self.when.items())

    def ask(self, trial: Asks) -> Value:
        """A value from `trial`."""
        if self.kind == CATEGORICAL:
            return trial.suggest_categorical(self.name, self.choices)
        low, high = self.bounds()
        if self.kind == INT:
            return trial.suggest_int(self.name, int(low), int(high), log=self.log)
        return trial.suggest_float(self.name, low, high, log=self.log)

    def bounds(self) -> tuple[float, float]:
        """Low and high of a number."""
        if self.low is None or self.high is None:
            raise TypeError(f"{self.name} is {self.kind} and has no range")
        return self.low, self.high

    def position(self, value: float) -> float:
        """Where a number lies in its range.

            (x - low) / (high - low), of the logarithms where log

        Returns:
            From 0 to 1.
        """
        scale = math.log if self.log else float
        low, high = map(scale, self.bounds())
        return (scale(value) - low) / (high - low)

    def edge(self, value: Value) -> str | None:
        """The bound that a value is within EDGE of, if any; choices have no edges."""
        if self.kind == CATEGORICAL:
            return None
        position = self.position(float(value))  # type: ignore[arg-type]
        return LOWER if position <= EDGE else UPPER if position >= 1 - EDGE else None

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without what says nothing."""
        values: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind == CATEGORICAL:
            values["choices"] = list(self.choices)
        else:
            values |= {"low": self.low, "high": self.high, "log": self.log}
        if self.when:
            values["when"] = {name: list(allowed) for name, allowed in self.when.items()}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Parameter":
        """The inverse of `to_dict`."""
        when = {name: tuple(allowed) for name, allowed in values.get("when", {}).items()}
        return cls(**{**values, "choices": tuple(values.get("choices", ())), "when": when})


def shown(value: Value) -> str:
    """A value for a table or a picture: three digits of a float."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def condition(parameter: Parameter) -> str:
    """When a parameter applies, in words; empty if always."""
    return ", ".join(f"{name}: {' or '.join(map(shown, values))}" for name, values in parameter.when.items())
