"""AdamW as published and as torch has it, biases and norms left out of the decay."""

import math
from collections.abc import Sequence

import numpy as np
from thinc.api import Ops
from thinc.optimizers import FloatOrSeq

from trajet.errors import UserError
from trajet.training.formula import Key
from trajet.training.optimizer import OwnOptimizer, is_called_by_shim

# Thinc's names of biases, of the gain of a layer norm, of a parser's padding.
NO_DECAY = ("b", "G", "pad")


class AdamW(OwnOptimizer):
    """Adam of Algorithm 1, and a decay that comes first and spares some tensors.

        g' = clip(g)
        w' = w_{t-1} - lr_scale * learn_rate * L2 * w_{t-1}      where the tensor decays
        m_t = beta1 * m_{t-1} + (1 - beta1) * g'                 m_hat = m_t / (1 - beta1^t)
        v_t = beta2 * v_{t-1} + (1 - beta2) * g'^2               v_hat = v_t / (1 - beta2^t)
        w_t = w' - lr_scale * learn_rate * m_hat / (sqrt(v_hat) + eps)

    Thinc's Adam.v1 decays after the step and adds eps to sqrt(v_t). torch multiplies by 1 - learn_rate * L2 rounded to
    float32, which at 5e-5 and 0.01 decays 5 % too little; here the product is rounded, not the factor.

    Args:
        learn_rate: a number, a list or a schedule.
        beta1, beta2: from 0 to below 1.
        eps: from 0.
        L2: the decay; torch calls it weight_decay.
        no_decay: Thinc parameters that do not decay, by name. A torch parameter does not where it is a bias or 1-D.
        grad_clip, use_averages: as in Thinc's Adam.v1.
    Raises:
        UserError: a setting is out of range (names it).
    Source: Loshchilov & Hutter 2019, Algorithm 2; torch.optim.AdamW.
    """

    __slots__ = ("_decaying", "no_decay")
    name = "trajet.AdamW.v1"
    decays_first = True

    def __init__(
        self,
        learn_rate: FloatOrSeq = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        L2: FloatOrSeq = 0.01,
        no_decay: Sequence[str] = NO_DECAY,
        grad_clip: FloatOrSeq = 0.0,
        use_averages: bool = False,
    ):
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= value < 1:
                raise UserError(f"{self.name}: {name} = {value!r}; it must be from 0 to below 1")
        if not 0 <= eps < math.inf:
            raise UserError(f"{self.name}: eps = {eps!r}; it must be a finite number from 0")
        super().__init__(
            learn_rate, L2=L2, beta1=beta1, beta2=beta2, eps=eps, grad_clip=grad_clip, use_averages=use_averages
        )
        self.no_decay = tuple(no_decay)
        self._decaying: dict[Key, bool] = {}

    def _decay_of(self, key: Key, weights: np.ndarray) -> float:
        if key not in self._decaying:
            # Asked for the first time inside the tensor's first update, where the caller can be seen.
            self._decaying[key] = self._is_to_decay(key[1], weights.ndim)
        return float(self.L2) if self._decaying[key] else 0.0

    def _is_to_decay(self, name: str, ndim: int) -> bool:
        if is_called_by_shim():
            return ndim > 1 and name.split(".")[-1] != "bias"
        return name not in self.no_decay

    def _step(self, ops: Ops, key: Key, weights: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        m, v = (self._remembered(ops, store, key, weights.size) for store in (self.mom1, self.mom2))
        t = self.nr_update[key]
        bias1, root2 = 1 - self.b1**t, math.sqrt(1 - self.b2**t)
        # Thinc's kernel adds its eps to sqrt(v): eps * root2 there is eps beside sqrt(v_hat).
        flat, *_ = ops.adam(
            ops.reshape1f(weights, weights.size), ops.reshape1f(gradient, gradient.size), m, v, self.b1, self.b2,
            self.eps * root2, rate * root2 / bias1,
        )  # fmt: skip
        return ops.reshape_f(flat, weights.shape)

    def effective_eps(self, key: Key) -> float | None:
        """See TellsItsFormula."""
        return self.eps

    def own_settings(self) -> dict:
        """See TellsItsFormula."""
        return {"no_decay": list(self.no_decay)}
