"""What the optimizers of this project share: Thinc's order of things around a step of their own.

A parser that learns of a new label gets larger tensors; where one comes back under its old key in another
size, what was remembered of it is forgotten. Running averages are for Thinc's parameters only: spaCy
never puts them into torch ones, and a saved pipeline would mix averaged and plain weights.
"""

import sys

import numpy as np
from thinc.api import Ops, Optimizer
from thinc.backends import get_array_ops
from thinc.shims import Shim

from trajet.errors import UserError
from trajet.training.formula import Key, share_of_result


class OwnOptimizer(Optimizer):
    """One call updates one tensor in place, in Thinc's order.

        g' = clip(g, or g + L2 * w if L2 is not weight decay)
        w' = w - lr_scale * learn_rate * L2 * w                  if L2 is weight decay and the decay comes first
        w' = the step, with g'
        w  = w' - lr_scale * learn_rate * L2 * w'                if L2 is weight decay and the decay comes last
        g  = 0, the average of w is updated

    Unlike Thinc's SGD and RAdam, a gradient that held nan is zero afterwards, too.
    """

    __slots__ = ()
    # As a config names it, for messages.
    name = ""
    decays_first = False

    def __call__(self, key: Key, weights: np.ndarray, gradient: np.ndarray, *, lr_scale: float = 1.0):
        """Update `weights` by `gradient`; returns both, the gradient zeroed.

        Raises:
            UserError: averages are on and the parameter is torch's.
        """
        if gradient.size < 1:
            return weights, gradient
        refuse_averages_of_torch(self, key, self.name)
        restart_if_resized(self, key, weights.size)
        self.nr_update[key] += 1
        ops = get_array_ops(weights)
        if self.L2 and not self.L2_is_weight_decay:
            gradient += float(self.L2) * weights
        if self.grad_clip:
            gradient = ops.clip_gradient(gradient, self.grad_clip)
        rate = lr_scale * float(self.learn_rate)
        factor = rate * self._decay_of(key, weights)
        if factor and self.decays_first:
            weights -= factor * weights
        weights = self._step(ops, key, weights, gradient, rate)
        gradient.fill(0)
        if factor and not self.decays_first:
            weights -= factor * weights
        average(self, ops, key, weights)
        return weights, gradient

    def _step(self, ops: Ops, key: Key, weights: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """Move `weights` by the clipped `gradient`, which may be overwritten."""
        raise NotImplementedError

    def _decay_of(self, key: Key, weights: np.ndarray) -> float:
        """L2 as far as it decays this tensor."""
        return float(self.L2) if self.L2_is_weight_decay else 0.0

    def decay_part(self, key: Key, before: np.ndarray, after: np.ndarray, lr_scale: float) -> np.ndarray | None:
        """See TellsItsFormula."""
        factor = lr_scale * float(self.learn_rate) * self._decay_of(key, after)
        if not factor:
            return None
        return -factor * before if self.decays_first else -share_of_result(factor) * after

    def effective_eps(self, key: Key) -> float | None:
        """See TellsItsFormula."""
        return None

    def own_settings(self) -> dict:
        """See TellsItsFormula."""
        return {}

    def _remembered(self, ops: Ops, store: dict, key: Key, size: int) -> np.ndarray:
        # Flat, as Thinc keeps its moments.
        if key not in store:
            store[key] = ops.alloc1f(size)
        return store[key]


def average(optimizer: Optimizer, ops: Ops, key: Key, weights: np.ndarray) -> None:
    """Update the running average of a tensor, where averages are kept."""
    if optimizer.averages is None:
        return
    if key not in optimizer.averages:
        optimizer.averages[key] = ops.alloc(weights.shape, dtype="float32")
    ops.update_averages(optimizer.averages[key], weights, optimizer.nr_update[key])


def restart_if_resized(optimizer: Optimizer, key: Key, size: int) -> None:
    """Forget what was remembered of a tensor that had another size."""
    stores = [store for store in (optimizer.mom1, optimizer.mom2, optimizer.averages) if store is not None]
    if any(key in store and store[key].size != size for store in stores):
        for store in stores:
            store.pop(key, None)
        optimizer.nr_update[key] = 0


def refuse_averages_of_torch(optimizer: Optimizer, key: Key, name: str) -> None:
    """Raise at the first torch parameter met while averages are on.

    Raises:
        UserError: as said.
    """
    if optimizer.averages is not None and key not in optimizer.averages and is_called_by_shim():
        raise UserError(
            f"{name}: use_averages = true, but the parameter {key[1]!r} is torch's, and spaCy never applies averages to "
            "those: the saved pipeline would mix averaged and plain weights. Set use_averages = false in [training.optimizer]"
        )


def is_called_by_shim() -> bool:
    """Whether the call of the optimizer now under way is for a torch parameter.

    The key does not tell: layers and shims count their ids separately, and either may call a parameter W. But
    Thinc hands its own parameters over in `Model.finish_update`, all others in the `finish_update` of a `Shim`.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "finish_update":
            return isinstance(frame.f_locals.get(frame.f_code.co_varnames[0]), Shim)
        frame = frame.f_back  # type: ignore[assignment]
    return False
