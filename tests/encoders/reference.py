"""A window encoder written down a second time, in float64 and without Thinc: what trajet's is held against."""

from collections.abc import Callable

import numpy as np
from thinc.api import Model

EPSILON = {"layer": 1e-8, "batch": 1e-5}


def by_layer(encoder: Model, read: Callable[[Model, str], np.ndarray]) -> list[dict[str, np.ndarray]]:
    """W, b of each maxout and G, beta of each norm as `read(node, name)` gives them, first layer first, in float64."""
    maxouts = [node for node in encoder.walk() if node.name == "maxout"]
    norms = [node for node in encoder.walk() if node.name in ("layernorm", "batchnorm")]
    layers = [{"W": read(node, "W"), "b": read(node, "b")} for node in maxouts]
    for layer, node in zip(layers, norms, strict=False):
        layer |= {"G": read(node, "G"), "beta": read(node, "b"), **node.attrs}
    return [{name: value.astype("float64") for name, value in layer.items()} for layer in layers]


def encode(docs: list[np.ndarray], layers: list[dict], window: int, norm: str, training: bool) -> list[np.ndarray]:
    """The outputs, document by document."""
    pad = window * len(layers)
    width = docs[0].shape[1]
    rows, is_token = [], []
    for doc in docs:
        rows += [*np.zeros((pad, width)), *doc]
        is_token += [False] * pad + [True] * len(doc)
    x = np.array([*rows, *np.zeros((pad, width))], dtype="float64")
    tokens = np.array(is_token + [False] * pad)
    for layer in layers:
        y = np.array([_maxout(_neighbours(x, place, window), layer) for place in range(len(x))])
        if norm == "layer":
            mean, variance = y.mean(axis=1, keepdims=True), y.var(axis=1, keepdims=True)
        elif norm == "batch":
            of_batch = y[tokens].mean(axis=0), y[tokens].var(axis=0)
            mean, variance = of_batch if training else (layer["running_mean"], layer["running_var"])
        if norm != "none":
            y = (y - mean) / np.sqrt(variance + EPSILON[norm]) * layer["G"] + layer["beta"]
        x = x + y
    outputs, start = [], 0
    for doc in docs:
        outputs.append(x[start + pad : start + pad + len(doc)])
        start += pad + len(doc)
    return outputs


def _neighbours(x: np.ndarray, place: int, window: int) -> np.ndarray:
    seen = [x[i] if 0 <= i < len(x) else np.zeros(x.shape[1]) for i in range(place - window, place + window + 1)]
    return np.concatenate(seen)


def _maxout(inputs: np.ndarray, layer: dict) -> np.ndarray:
    return (layer["W"] @ inputs + layer["b"]).max(axis=1)
