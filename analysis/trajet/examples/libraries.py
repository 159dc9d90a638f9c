"""One weight tensor updated by the libraries themselves: Thinc, and torch where it is installed."""

import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from thinc.api import Adam, NumpyOps

# The documented block, under Thinc's names.
DOCUMENTED: dict[str, Any] = {
    "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "L2": 0.01, "grad_clip": 1.0,
    "L2_is_weight_decay": True, "use_averages": False,
}  # fmt: skip


class Updated(NamedTuple):
    """A tensor after its last update, and what the library remembers of it; float32 arrays."""

    w: np.ndarray
    m: np.ndarray
    v: np.ndarray


def has_torch() -> bool:
    """Whether torch is installed."""
    return importlib.util.find_spec("torch") is not None


def thinc_update(w: Any, gradients: Sequence[Any], learn_rates: Sequence[float], **settings: Any) -> Updated:
    """The last of a series of Adam.v1 updates, made on `w`; the earlier ones only fill the moments.

    Args:
        w: weights before the last update.
        gradients: one an update, each of the shape of `w`.
        learn_rates: one an update.
        settings: in place of the documented ones.
    """
    optimizer, key = Adam(0.0, **{**DOCUMENTED, **settings}), (1, "W")
    weights = np.atleast_1d(np.asarray(w, dtype=np.float32))
    for number, (gradient, rate) in enumerate(zip(gradients, learn_rates, strict=True), 1):
        optimizer.learn_rate = float(rate)
        gradient = np.atleast_1d(np.asarray(gradient, dtype=np.float32)).copy()
        after, _ = optimizer(key, weights.copy(), gradient)
        if number == len(gradients):
            weights = after
    return Updated(weights, optimizer.mom1[key].copy(), optimizer.mom2[key].copy())


def thinc_run(w: Any, gradients: Sequence[Any], learn_rates: Sequence[float], **settings: Any) -> np.ndarray:
    """The weights after each of a series of Adam.v1 updates, a row an update."""
    optimizer, key = Adam(0.0, **{**DOCUMENTED, **settings}), (1, "W")
    weights = np.atleast_1d(np.asarray(w, dtype=np.float32)).copy()
    rows = []
    for gradient, rate in zip(gradients, learn_rates, strict=True):
        optimizer.learn_rate = float(rate)
        weights, _ = optimizer(key, weights, np.atleast_1d(np.asarray(gradient, dtype=np.float32)).copy())
        rows.append(weights.copy())
    return np.array(rows)


def thinc_clip_vector(vector: Sequence[float], threshold: float) -> np.ndarray:
    """Thinc's own clip of one gradient."""
    with np.errstate(over="ignore", invalid="ignore"):
        return NumpyOps().clip_gradient(np.array(vector, dtype=np.float32), threshold)


def torch_clip_vector(vector: Sequence[float], threshold: float) -> tuple[float, np.ndarray] | None:
    """(norm, clipped gradient) by torch's clip_grad_norm_; None without torch."""
    if not has_torch():
        return None
    import torch

    parameter = torch.nn.Parameter(torch.zeros(len(vector)))
    parameter.grad = torch.tensor(vector, dtype=torch.float32)
    norm = torch.nn.utils.clip_grad_norm_([parameter], threshold)
    return float(norm), parameter.grad.numpy()


def torch_update(w: Any, gradients: Sequence[Any], learn_rates: Sequence[float], L2: float = 0.0,
                 decoupled: bool = True) -> Updated | None:  # fmt: skip
    """As `thinc_update`, by torch.optim.AdamW (decoupled) or Adam, without a clip; None without torch."""
    if not has_torch():
        return None
    import torch

    start = torch.tensor(np.atleast_1d(np.asarray(w, dtype=np.float32)))
    parameter = torch.nn.Parameter(start.clone())
    make = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = make([parameter], lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=L2)
    for gradient, rate in zip(gradients, learn_rates, strict=True):
        with torch.no_grad():
            parameter.copy_(start)
        optimizer.param_groups[0]["lr"] = float(rate)
        parameter.grad = torch.tensor(np.atleast_1d(np.asarray(gradient, dtype=np.float32)))
        optimizer.step()
    state = optimizer.state[parameter]
    return Updated(parameter.detach().numpy().copy(), state["exp_avg"].numpy(), state["exp_avg_sq"].numpy())
