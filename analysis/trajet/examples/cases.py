"""Cases of one's own: any weight, any gradients, any of the reference's optimizers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from trajet import adam
from trajet.adam import State, Step, ThincSettings
from trajet.errors import UserError
from trajet.files import read_text


@dataclass(frozen=True)
class Settings:
    """What a case may set; None is the optimizer's own default.

    Attributes:
        L2: weight decay, or L2 in the gradient, as the optimizer has it.
        grad_clip: largest norm, 0 for none.
    """

    learn_rate: float
    beta1: float | None = None
    beta2: float | None = None
    eps: float | None = None
    L2: float | None = None
    grad_clip: float | None = None


@dataclass(frozen=True)
class Kind:
    """An optimizer by the name one types: its function, the settings it knows, how its decay comes about."""

    call: Callable[[np.ndarray, np.ndarray, State, Settings], Step]
    knows: tuple[str, ...]
    decay: str = ""


def _published(function: Callable[..., Step], names: dict[str, str]) -> Kind:
    def call(w: np.ndarray, g: np.ndarray, state: State, settings: Settings) -> Step:
        chosen = {ours: getattr(settings, name) for name, ours in names.items()}
        given = {ours: value for ours, value in chosen.items() if value is not None}
        return function(w, g, state, settings.learn_rate, **given)

    return Kind(call, tuple(names), "-learn_rate x L2 x w before the update")


def _thinc(function: Callable[..., Step]) -> Kind:
    def call(w: np.ndarray, g: np.ndarray, state: State, settings: Settings) -> Step:
        given = {f.name: getattr(settings, f.name) for f in fields(settings) if getattr(settings, f.name) is not None}
        return function(w, g, state, ThincSettings(**given))

    return Kind(call, ("beta1", "beta2", "eps", "L2", "grad_clip"), "-learn_rate x L2 x (w + gradient part)")


_MOMENTS = {"beta1": "beta1", "beta2": "beta2", "eps": "eps"}
KINDS = {
    "sgd": _published(adam.sgd, {"L2": "L2"}),
    "momentum": _published(adam.momentum, {"beta1": "beta1"}),
    "rms": _published(adam.rms_scaling, {"beta2": "beta2", "eps": "eps"}),
    "adam": _published(adam.adam, {**_MOMENTS, "L2": "L2"}),
    "adam-epsilon-hat": _published(adam.adam_epsilon_hat, _MOMENTS),
    "adamw": _published(adam.adamw, {**_MOMENTS, "L2": "weight_decay"}),
    "radam": _published(adam.radam, _MOMENTS),
    "thinc-adam": _thinc(adam.thinc_adam),
    "thinc-radam": _thinc(adam.thinc_radam),
    "thinc-sgd": _thinc(adam.thinc_sgd),
}


def run_case(kind: str, w: Sequence[float], gradients: Sequence[Sequence[float]], settings: Settings,
             first: int = 1, hold: bool = False) -> list[Step]:  # fmt: skip
    """The updates of a series of gradients, in float64.

    Args:
        kind: a key of KINDS.
        w: the weights before the first.
        gradients: one an update, each as long as `w`.
        settings: of all updates.
        first: number of the first update; above 1, m and v are 0 before it all the same.
        hold: make every update on `w` itself, so that the earlier ones only fill m and v.

    Raises:
        UserError: an unknown optimizer, a setting it does not have, a number out of range, lengths that differ.
    """
    if kind not in KINDS:
        raise UserError(f"--optimizer {kind!r} is unknown; choose one of {', '.join(KINDS)}")
    _check(kind, settings)
    weights = np.asarray(w, dtype=np.float64)
    state = State(first - 1, np.zeros_like(weights), np.zeros_like(weights))
    steps = []
    for number, gradient in enumerate(gradients, 1):
        if len(gradient) != len(weights):
            raise UserError(f"gradient {number} has {len(gradient)} number(s), --w has {len(weights)}; give as many")
        try:
            step = KINDS[kind].call(weights, np.asarray(gradient, dtype=np.float64), state, settings)
        except NotImplementedError as error:
            raise UserError(f"--beta1 0: {error}; use --optimizer rms or adam") from None
        steps.append(step)
        weights, state = weights if hold else step.w_after, step.state
    return steps


def _check(kind: str, settings: Settings) -> None:
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        option = "--" + entry.name.replace("_", "-")
        if value is None:
            continue
        if entry.name != "learn_rate" and entry.name not in KINDS[kind].knows:
            raise UserError(f"{option}: {kind} has no {entry.name}; it knows {', '.join(KINDS[kind].knows)}")
        if entry.name in ("beta1", "beta2") and not 0 <= value < 1:
            raise UserError(f"{option} {value:g}: a number from 0 to below 1 is needed")
        if value < 0:
            raise UserError(f"{option} {value:g}: it cannot be negative")


def parse_numbers(option: str, text: str) -> list[float]:
    """Numbers separated by commas or spaces.

    Raises:
        UserError: names the option and what is no finite number.
    """
    parts = text.replace(",", " ").split()
    if not parts:
        raise UserError(f"{option}: no number in {text!r}")
    values = []
    for part in parts:
        try:
            values.append(float(part))
        except ValueError:
            raise UserError(f"{option}: {part!r} is not a number; write for example 0.2 or 5,3,4") from None
        if not math.isfinite(values[-1]):
            raise UserError(f"{option}: {part!r} is not finite")
    return values


def read_gradients(path: Path) -> list[list[float]]:
    """One gradient a line, its numbers separated by commas or spaces; empty lines and # lines are ignored.

    Raises:
        UserError: the file is missing, a line has something else (file:line), or there is none.
    """
    text = read_text(path, "write one gradient a line")
    rows = [
        parse_numbers(f"{path}:{number}", line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not rows:
        raise UserError(f"{path}: no gradient in it; write one a line")
    return rows
