"""Looking at a run without changing it: what prediction and loss passes touch is put back."""

import copy
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from spacy.language import Language
from thinc.api import Model

# What a pass may move among a layer's attributes; the running statistics are those of trajet.encoders.norms.
_MOVED_ATTRIBUTES = ("dropout_rate", "unseen_classes", "running_mean", "running_var")


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Python's, NumPy's, torch's and CuPy's random states are afterwards what they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (the state that spaCy and Thinc draw from)
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    torch_state = torch.get_rng_state() if torch is not None else None
    cuda_states = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_available() else None
    cupy_state = copy.copy(cupy.random.get_random_state()) if cupy is not None and cupy.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch_state is not None:
            torch.set_rng_state(torch_state)
        if cuda_states is not None:
            torch.cuda.set_rng_state_all(cuda_states)
        if cupy_state is not None:
            cupy.random.set_random_state(cupy_state)


@contextmanager
def training_state_kept(nlp: Language) -> Iterator[None]:
    """Gradients, `dropout_rate` attributes, unseen classes, torch gradients and buffers are afterwards what they were."""
    nodes = {
        id(node): node
        for _, pipe in nlp.pipeline
        if isinstance(getattr(pipe, "model", None), Model)
        for node in pipe.model.walk()
    }
    saved = [_save_node(node) for node in nodes.values()]
    try:
        yield
    finally:
        for restore in saved:
            restore()


def _save_node(node: Model) -> Callable[[], None]:
    attrs = {name: copy.copy(node.attrs[name]) for name in _MOVED_ATTRIBUTES if name in node.attrs}
    grads = {name: node.get_grad(name).copy() for name in node.param_names if node.has_grad(name)}
    modules = [shim._model for shim in node.shims if hasattr(getattr(shim, "_model", None), "named_parameters")]
    torch_grads = [
        {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}
        for module in modules
    ]
    buffers = [{name: buffer.clone() for name, buffer in module.named_buffers()} for module in modules]
    training = [module.training for module in modules]

    def restore() -> None:
        for name in _MOVED_ATTRIBUTES:
            if name in attrs:
                node.attrs[name] = attrs[name]
            else:
                node.attrs.pop(name, None)
        for name in node.param_names:
            if name in grads:
                node.get_grad(name)[...] = grads[name]
            elif node.has_grad(name):
                # Thinc has no public way to take a gradient away; a zero one would make the optimizer decay the weight.
                node._params._grads.pop((node.id, name), None)
        for module, old_grads, old_buffers, mode in zip(modules, torch_grads, buffers, training, strict=True):
            for name, parameter in module.named_parameters():
                parameter.grad = old_grads[name]
            for name, buffer in module.named_buffers():
                buffer.data.copy_(old_buffers[name])
            module.train(mode)

    return restore
