"""Batch normalisation in Thinc: no torch needed, saved with the pipeline.

The running statistics are attributes of the layer, not parameters: an optimizer never sees them, Thinc writes
them into `to_bytes` like any attribute. They are NumPy arrays also where the model runs on a GPU (Thinc drops
attributes that it cannot write), and they are replaced, never written into: whoever keeps the old ones can put
them back.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from thinc.api import Model, to_numpy
from thinc.types import Floats1d, Floats2d, Ragged

RUNNING = ("running_mean", "running_var")
# As torch.nn.BatchNorm1d has them.
_MOMENTUM = 0.1
_EPSILON = 1e-5


def batch_norm(width: int) -> Model[Any, Any]:
    """Each feature normalised over the tokens of a batch, then scaled and shifted.

        training:   mu = mean(x), s2 = mean((x - mu)^2)                      over the N tokens
                    y = G * (x - mu) / sqrt(s2 + 1e-5) + b
                    running_mean = 0.9 * running_mean + 0.1 * mu
                    running_var  = 0.9 * running_var  + 0.1 * s2 * N / (N - 1)
        predicting: y = G * (x - running_mean) / sqrt(running_var + 1e-5) + b

    A Ragged input alternates padding and documents, beginning and ending with padding: the rows of padding are
    transformed with the rest and take no part in the statistics. In a two-dimensional array every row is a token.
    A batch with fewer than two tokens has no variance: it is normalised by the running statistics and leaves them.

    Args:
        width: the number of features.
    Returns:
        A layer with the parameters G and b (as LayerNorm names them) and the attributes running_mean, running_var.
    Source: Ioffe & Szegedy 2015, Algorithms 1 and 2; torch.nn.BatchNorm1d, whose epsilon, momentum and unbiased
    running variance these are.
    """
    return Model(
        "batchnorm",
        _forward,
        init=_init,
        dims={"nI": width, "nO": width},
        params={"G": None, "b": None},
        attrs=_fresh_statistics(width),
    )


def _fresh_statistics(width: int) -> dict[str, np.ndarray]:
    return {"running_mean": np.zeros(width, dtype="float32"), "running_var": np.ones(width, dtype="float32")}


def _init(model: Model, X: Any = None, Y: Any = None) -> None:
    width = model.get_dim("nO")
    model.set_param("G", model.ops.alloc1f(width) + 1)
    model.set_param("b", model.ops.alloc1f(width))
    model.attrs.update(_fresh_statistics(width))


def _forward(model: Model, X: Any, is_train: bool) -> tuple[Any, Callable]:
    if not isinstance(X, Ragged):
        return _normalise(model, X, slice(None), is_train)
    lengths = to_numpy(X.lengths)
    is_document = np.arange(len(lengths)) % 2 == 1
    tokens = model.ops.xp.asarray(np.repeat(is_document, lengths))
    Y, backprop = _normalise(model, X.dataXd, tokens, is_train)
    return Ragged(Y, X.lengths), lambda dY: Ragged(backprop(dY.dataXd), X.lengths)


def _normalise(model: Model, X: Floats2d, tokens: Any, is_train: bool) -> tuple[Floats2d, Callable]:
    """`tokens` chooses the rows that count: a slice or a mask."""
    G, b = model.get_param("G"), model.get_param("b")
    counted = X[tokens]
    of_batch = is_train and len(counted) > 1
    if of_batch:
        mean, variance = counted.mean(axis=0), counted.var(axis=0)
        _move_statistics(model, mean, variance * (len(counted) / (len(counted) - 1)))
    else:
        mean, variance = (model.ops.asarray1f(model.attrs[name]) for name in RUNNING)
    scale = 1 / model.ops.xp.sqrt(variance + _EPSILON)
    normalised = (X - mean) * scale

    def backprop(dY: Floats2d) -> Floats2d:
        model.inc_grad("G", (dY * normalised).sum(axis=0))
        model.inc_grad("b", dY.sum(axis=0))
        d_normalised = dY * G
        if of_batch:
            # All rows were divided by what the counted ones are: their share of the mean and of the variance goes back.
            shift = d_normalised.sum(axis=0) / len(counted)
            turn = (d_normalised * normalised).sum(axis=0) / len(counted)
            d_normalised[tokens] -= shift + normalised[tokens] * turn
        return d_normalised * scale

    return normalised * G + b, backprop


def _move_statistics(model: Model, mean: Floats1d, variance: Floats1d) -> None:
    for name, value in zip(RUNNING, (mean, variance), strict=True):
        moved = (1 - _MOMENTUM) * model.attrs[name] + _MOMENTUM * to_numpy(value)
        model.attrs[name] = moved.astype("float32")
