"""How the update of one tensor splits into what the gradient and what the decay did.

Thinc's own optimizers all decay alike, `decays_like_thinc`. An optimizer of another formula tells it
by three methods, `TellsItsFormula`; the trace asks them. What neither holds for stays unknown.
"""

import math
from typing import Protocol

import numpy as np
from thinc.api import Optimizer

Key = tuple[int, str]


class TellsItsFormula(Protocol):
    """What the trace asks of an optimizer whose formula is not Thinc's; all of the tensor updated last."""

    def decay_part(self, key: Key, before: np.ndarray, after: np.ndarray, lr_scale: float) -> np.ndarray | None:
        """Change of the weights made by the decay, a new array; None if there was none.

        Args:
            before: the weights before the call, flat.
            after: the weights after it, flat.
        """

    def effective_eps(self, key: Key) -> float | None:
        """eps in terms of sqrt(v_hat); None without one."""

    def own_settings(self) -> dict:
        """Settings under their names in a config that Thinc's optimizers do not have."""


def tells_its_formula(optimizer: object) -> bool:
    """Whether an optimizer has the methods of `TellsItsFormula`."""
    return hasattr(optimizer, "decay_part")


def decays_like_thinc(optimizer: object) -> bool:
    """Whether Thinc's own call makes the update, and so its decay comes last: w = w' - factor * w'."""
    return type(optimizer).__call__ is Optimizer.__call__


def share_of_result(factor: float) -> float:
    """The decay w = w' - factor * w' as a share of the resulting w: factor / (1 - factor)."""
    return factor / (1 - factor) if factor != 1 else math.inf


def decay_part_of(optimizer: object, key: Key, before: np.ndarray, after: np.ndarray, lr_scale: float):
    """The decay part of the call just made by any optimizer; None if it had none or its formula is unknown."""
    if tells_its_formula(optimizer):
        return optimizer.decay_part(key, before, after, lr_scale)  # type: ignore[attr-defined]
    if not decays_like_thinc(optimizer) or not optimizer.L2 or not optimizer.L2_is_weight_decay:  # type: ignore[attr-defined]
        return None
    return -share_of_result(lr_scale * float(optimizer.learn_rate) * float(optimizer.L2)) * after  # type: ignore[attr-defined]


def effective_eps_of(optimizer: object, key: Key) -> float | None:
    """eps in terms of sqrt(v_hat) at the update just made by any optimizer; None without one.

    eps / sqrt(1 - beta2^t)        Thinc's Adam, which adds eps to sqrt(v) uncorrected
    """
    if tells_its_formula(optimizer):
        return optimizer.effective_eps(key)  # type: ignore[attr-defined]
    if not decays_like_thinc(optimizer) or optimizer.use_radam or key not in optimizer.mom2:  # type: ignore[attr-defined]
        return None
    return optimizer.eps / math.sqrt(1 - optimizer.b2 ** optimizer.nr_update[key])  # type: ignore[attr-defined]
