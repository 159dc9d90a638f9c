"""One clip for all gradients together, where Thinc clips each tensor by itself."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from spacy.language import Language
from thinc.api import Optimizer, get_array_module
from thinc.util import torch2xp

from trajet.errors import UserError
from trajet.training.hooks import Hooks, TrainingCallback, trained_components

NAME = "trajet.GlobalClip.v1"


class GlobalClip(TrainingCallback):
    """The callback `trajet.GlobalClip.v1`, used with `grad_clip = 0`: all gradients are scaled by one factor.

        n = sqrt(sum of g^2 over all gradients of all trained components)
        g <- g * threshold / n   if n >= threshold

    Thinc's own clip does this to each tensor by itself and so turns the update as a whole; this one shortens it and
    keeps its direction. Before the first `finish_update` of a step all gradients are complete (those of all
    accumulated batches too) and n is taken; each gradient is scaled in place as it is handed to the optimizer.

    A gradient that is not finite cannot be scaled to any length. As with torch.nn.utils.clip_grad_norm_ the
    factor is used all the same: with an inf in one gradient every finite one becomes 0 and the inf becomes nan, with
    a nan all become nan. So one bad gradient stops or spoils every weight at once and is seen in the next loss, where
    Thinc's clip would spoil one tensor alone. A norm too large for float32 alone is no such case: it is
    taken again in float64. torch divides by n + 1e-6, this by n.

    Args:
        threshold: largest norm, finite and above 0.

    Raises:
        UserError: a bad threshold; at the first step, or in a loop of one's own before the first
            update, grad_clip is not 0; another global clip.

    Source: Pascanu, Mikolov & Bengio 2013, Algorithm 1; torch.nn.utils.clip_grad_norm_.
    """

    def __init__(self, threshold: float):
        if not (math.isfinite(threshold) and threshold > 0):
            raise UserError(f"[training.before_update]: {NAME}: threshold = {threshold}; it must be a number above 0")
        self.threshold = float(threshold)
        self.factor = 1.0

    def on_start(self, hooks: Hooks) -> None:
        if any(isinstance(member, GlobalClip) for member in hooks.members):
            raise UserError(
                f"[training.before_update]: {NAME} is there twice; one threshold is enough, delete the other"
            )
        training = hooks.nlp.config.interpolate().get("training", {})
        # Where the config names this callback its optimizer trains too, and a refusal can come before any update.
        if NAME in str(training.get("before_update")):
            self._refuse_second_clip(hooks.nlp.create_optimizer())

    def on_gradients(self, optimizer: Optimizer) -> None:
        assert self.hooks is not None
        self._refuse_second_clip(optimizer)
        norm = global_norm(gradients(self.hooks.nlp, self.hooks.exclude))
        self.factor = 1.0 if norm < self.threshold else self.threshold / norm

    def on_finish_update(self, component, finish, optimizer) -> None:
        finish(ScaledGradients(optimizer, self.factor))

    def _refuse_second_clip(self, optimizer: Optimizer) -> None:
        if optimizer.grad_clip:
            raise UserError(
                f"[training.optimizer]: grad_clip = {optimizer.grad_clip} would clip each tensor once more after {NAME}; "
                "set grad_clip = 0.0"
            )


class ScaledGradients:
    """Stands in for the optimizer and scales each gradient in place on its way; everything else is the optimizer's.

    Args:
        optimizer: the real one.
        factor: 1 leaves every bit as it is.
    """

    def __init__(self, optimizer: Optimizer, factor: float):
        self.recorded_optimizer = optimizer
        self.gradient_factor = factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recorded_optimizer, name)

    def __call__(self, key, weights, gradient, *, lr_scale: float = 1.0):
        if self.gradient_factor != 1.0:
            with np.errstate(invalid="ignore"):
                gradient *= self.gradient_factor
        return self.recorded_optimizer(key, weights, gradient, lr_scale=lr_scale)


def gradients(nlp: Language, exclude: Iterable[str] = ()) -> Iterator[Any]:
    """Every gradient that the next `finish_update`s will use, Thinc's and torch's alike, each once."""
    seen = set()
    for name in trained_components(nlp, exclude):
        for node in nlp.get_pipe(name).model.walk():  # type: ignore[attr-defined]
            if id(node) in seen:
                continue
            seen.add(id(node))
            for shim in node.shims:
                yield from _torch_gradients(shim)
            for parameter in node.param_names:
                if node.has_grad(parameter):
                    yield node.get_grad(parameter)


def _torch_gradients(shim: Any) -> Iterator[Any]:
    module = getattr(shim, "_model", None)
    # In mixed precision a shim makes no update with gradients that have overflowed.
    overflowed = getattr(getattr(shim, "_grad_scaler", None), "found_inf", False)
    if hasattr(module, "named_parameters") and not overflowed:
        for _, parameter in module.named_parameters():
            if parameter.grad is not None:
                yield torch2xp(parameter.grad)


def global_norm(arrays: Iterable[Any]) -> float:
    """Euclidean norm of all entries of all arrays; inf or nan only if an entry is."""
    arrays = list(arrays)
    norm = math.sqrt(_sum_of_squares(arrays, "float32"))
    return norm if math.isfinite(norm) else math.sqrt(_sum_of_squares(arrays, "float64"))


def _sum_of_squares(arrays: list[Any], dtype: str) -> float:
    # Added up where the arrays live, and in float64: a GPU is waited for once.
    totals: dict[Any, Any] = {}
    for array in arrays:
        flat = array.reshape(-1).astype(dtype, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            square = flat.dot(flat).astype("float64")
        place = get_array_module(array)
        totals[place] = totals[place] + square if place in totals else square
    return math.fsum(float(total) for total in totals.values())
