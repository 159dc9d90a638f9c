"""Gradient descent with momentum, and with Nesterov's look ahead."""

import numpy as np
from thinc.api import Ops
from thinc.optimizers import FloatOrSeq

from trajet.errors import UserError
from trajet.training.formula import Key
from trajet.training.optimizer import OwnOptimizer


class MomentumSGD(OwnOptimizer):
    """Gradient descent with momentum; with nesterov, looking ahead.

        g' = clip(g, or g + L2 * w_{t-1} if L2 is not weight decay)
        m_t = momentum * m_{t-1} + (1 - dampening) * g'
        w' = w_{t-1} - lr_scale * learn_rate * (g' + momentum * m_t  if nesterov else  m_t)
        w_t = w' - lr_scale * learn_rate * L2 * w'       if L2 is weight decay

    A steady gradient moves a weight by learn_rate * g * (1 - dampening) / (1 - momentum) an update: at momentum 0.9
    ten times as far as without. Unlike torch.optim.SGD, dampening holds for the first update too.

    Args:
        learn_rate: a number, a list or a schedule.
        momentum: from 0 to below 1.
        nesterov: needs momentum above 0 and dampening 0.
        dampening: from 0 to 1.
        L2, L2_is_weight_decay, grad_clip, use_averages: as in Thinc's SGD.v1.
    Raises:
        UserError: a setting is out of range (names it).
    Source: Polyak 1964; Sutskever et al. 2013; torch.optim.SGD.
    """

    __slots__ = ("dampening", "momentum", "nesterov")
    name = "trajet.SGD.v1"

    def __init__(
        self,
        learn_rate: FloatOrSeq,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        dampening: float = 0.0,
        L2: FloatOrSeq = 0.0,
        L2_is_weight_decay: bool = True,
        grad_clip: FloatOrSeq = 0.0,
        use_averages: bool = False,
    ):
        if not 0 <= momentum < 1:
            raise UserError(f"{self.name}: momentum = {momentum!r}; it must be from 0 to below 1")
        if not 0 <= dampening <= 1:
            raise UserError(f"{self.name}: dampening = {dampening!r}; it must be from 0 to 1")
        if nesterov and (momentum == 0 or dampening != 0):
            raise UserError(
                f"{self.name}: nesterov = true needs momentum above 0 and dampening = 0, not {momentum!r} and {dampening!r}"
            )
        # With both betas 0, as Thinc's SGD: what reads them sees no Adam.
        super().__init__(
            learn_rate, L2=L2, beta1=0.0, beta2=0.0, grad_clip=grad_clip, use_averages=use_averages,
            L2_is_weight_decay=L2_is_weight_decay,
        )  # fmt: skip
        self.momentum, self.nesterov, self.dampening = float(momentum), nesterov, float(dampening)

    def _step(self, ops: Ops, key: Key, weights: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        m = self._remembered(ops, self.mom1, key, weights.size).reshape(weights.shape)
        m *= self.momentum
        m += (1 - self.dampening) * gradient if self.dampening else gradient
        if self.nesterov:
            gradient += self.momentum * m
        else:
            gradient[...] = m
        gradient *= rate
        weights -= gradient
        return weights

    def own_settings(self) -> dict:
        """See TellsItsFormula."""
        return {"momentum": self.momentum, "nesterov": self.nesterov, "dampening": self.dampening}
