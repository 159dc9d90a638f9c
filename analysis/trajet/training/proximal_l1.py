"""L1 decay around another optimizer: a soft threshold after each of its steps."""

import math

import numpy as np
from thinc.api import Optimizer
from thinc.backends import get_array_ops

from trajet.errors import UserError
from trajet.training.formula import Key, decay_part_of, effective_eps_of
from trajet.training.optimizer import average, refuse_averages_of_torch, restart_if_resized


class ProximalL1(Optimizer):
    """Another optimizer's step, then every weight goes towards 0 by the same length and stops there.

        w' = the step of `optimizer`
        w_t = sign(w') * max(|w'| - lr_scale * learn_rate * L1, 0)

    Weights become exactly 0, which adding L1 * sign(w) to the gradient does not bring about; and Adam would scale such a
    gradient by its moments. All tensors shrink alike, biases too. Averages are of the weights after the threshold.
    Settings, schedules and state are the wrapped optimizer's: what is read from or set on this one is read from or set on that.

    Args:
        optimizer: any optimizer of Thinc's or of this project.
        L1: from 0; at 0 nothing but the wrapped optimizer acts.
    Raises:
        UserError: L1 is out of range, or `optimizer` is none.
    Source: Duchi & Singer 2009 (FOBOS), section 5.1; Parikh & Boyd 2014, section 6.5.2.
    """

    __slots__ = ("L1", "_shrunk", "optimizer")
    name = "trajet.ProximalL1.v1"

    def __init__(self, optimizer: Optimizer, L1: float):
        if not isinstance(optimizer, Optimizer):
            raise UserError(f"{self.name}: optimizer = {optimizer!r} is none; give a block with @optimizers")
        if not 0 <= L1 < math.inf:
            raise UserError(f"{self.name}: L1 = {L1!r}; it must be a finite number from 0")
        self.optimizer, self.L1 = optimizer, float(L1)
        # What the last call took away: only this one knows it once the weights are 0.
        self._shrunk: np.ndarray | None = None

    def __reduce__(self) -> tuple:
        return type(self), (self.optimizer, self.L1)

    def step_schedules(self) -> None:
        """Step the schedules of the wrapped optimizer, once."""
        self.optimizer.step_schedules()

    def __call__(self, key: Key, weights: np.ndarray, gradient: np.ndarray, *, lr_scale: float = 1.0):
        """Update `weights` by `gradient`; returns both, the gradient as the wrapped optimizer leaves it.

        Raises:
            UserError: averages are on and the parameter is torch's.
        """
        self._shrunk = None
        if gradient.size < 1:
            return weights, gradient
        inner = self.optimizer
        refuse_averages_of_torch(inner, key, self.name)
        restart_if_resized(inner, key, weights.size)
        averages, inner.averages = inner.averages, None
        try:
            weights, gradient = inner(key, weights, gradient, lr_scale=lr_scale)
        finally:
            inner.averages = averages
        ops = get_array_ops(weights)
        threshold = lr_scale * float(inner.learn_rate) * self.L1
        if threshold > 0:
            self._shrunk = ops.xp.clip(weights, -threshold, threshold)
            weights -= self._shrunk
        average(inner, ops, key, weights)
        return weights, gradient

    def decay_part(self, key: Key, before: np.ndarray, after: np.ndarray, lr_scale: float) -> np.ndarray | None:
        """The shrinkage, and the wrapped optimizer's own decay. See TellsItsFormula."""
        if self._shrunk is None:
            return decay_part_of(self.optimizer, key, before, after, lr_scale)
        shrunk = self._shrunk.reshape(-1)
        inner = decay_part_of(self.optimizer, key, before, after + shrunk, lr_scale)
        return -shrunk if inner is None else inner - shrunk

    def effective_eps(self, key: Key) -> float | None:
        """See TellsItsFormula."""
        return effective_eps_of(self.optimizer, key)

    def own_settings(self) -> dict:
        """See TellsItsFormula."""
        kind = type(self.optimizer)
        inner = getattr(self.optimizer, "own_settings", dict)()
        return {"L1": self.L1, "optimizer": f"{kind.__module__}.{kind.__qualname__}", **inner}


def _of_the_wrapped(name: str) -> property:
    return property(
        lambda self: getattr(self.optimizer, name), lambda self, value: setattr(self.optimizer, name, value)
    )


for _name in Optimizer.__slots__:
    setattr(ProximalL1, _name, _of_the_wrapped(_name))
