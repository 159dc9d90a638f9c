"""Stable names for the parameters of a model, and single weights by name.

Thinc's own keys `(node.id, name)` change from run to run. Here a parameter is called
`component/leaf-index/param`: the component, the layer's name with the number of its kind in walk order
(from 0), the parameter. A torch parameter keeps its dotted name as the last part.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from thinc.api import Model

from trajet.errors import UserError

Key = tuple[int, str]
_WATCH = re.compile(r"^(?P<name>[^\[\]]+)\[(?P<index>[-\d:, ]+)\]$")


@dataclass(frozen=True)
class Parameter:
    """One tensor: its stable name, its key in the optimizer, its shape."""

    name: str
    component: str
    key: Key
    shape: tuple[int, ...]

    # Asked for at every update of every tensor.
    @cached_property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def describe(self) -> dict:
        """As it stands in the trace's header."""
        return {"name": self.name, "component": self.component, "shape": list(self.shape), "size": self.size}


def name_parameters(component: str, model: Model) -> list[Parameter]:
    """The parameters of `model` in the order in which `finish_update` hands them to the optimizer.

    Parameters that have no value yet (an uninitialised layer) are left out.
    """
    counts: Counter[str] = Counter()
    torch_parameters: list[Parameter] = []
    thinc_parameters: list[Parameter] = []
    for node in model.walk():
        names = [name for name in node.param_names if node.has_param(name)]
        if not names and not node.shims:
            continue
        leaf = f"{component}/{node.name.replace('/', '|')}-{counts[node.name]}"
        counts[node.name] += 1
        for shim in node.shims:
            for name, shape in _shim_parameters(shim):
                torch_parameters.append(Parameter(f"{leaf}/{name}", component, (shim.id, name), shape))
        for name in names:
            shape = tuple(node.get_param(name).shape)
            thinc_parameters.append(Parameter(f"{leaf}/{name}", component, (node.id, name), shape))
    return torch_parameters + thinc_parameters


def _shim_parameters(shim: object) -> Iterator[tuple[str, tuple[int, ...]]]:
    module = getattr(shim, "_model", None)
    if hasattr(module, "named_parameters"):
        for name, value in module.named_parameters():
            yield name, tuple(value.shape)


@dataclass(frozen=True)
class Watch:
    """Chosen weights of one parameter.

    Attributes:
        text: as the user wrote it.
        name: of the parameter.
        flat: positions in the flattened tensor.
    """

    text: str
    name: str
    flat: np.ndarray


def parse_watches(texts: Iterable[str], parameters: Sequence[Parameter]) -> list[Watch]:
    """Resolve `NAME[5,0,17]` (one weight) and `NAME[5,:]` (a row) against the parameters of a run.

    Raises:
        UserError: bad syntax, unknown name (the nearest is named), index outside the shape.
    """
    known = {parameter.name: parameter for parameter in parameters}
    watches = []
    for text in texts:
        match = _WATCH.match(text.strip())
        if not match:
            raise UserError(f"watch {text!r}: write a parameter and its index, for example tok2vec/maxout-2/W[5,0,17]")
        name = match["name"].strip()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise UserError(f"watch {text!r}: no parameter {name!r} is trained here; the nearest is {near[0]!r}" if near else
                            f"watch {text!r}: nothing is trained here")  # fmt: skip
        watches.append(Watch(text, name, _flat_index(text, match["index"], known[name].shape)))
    return watches


def _flat_index(text: str, index: str, shape: tuple[int, ...]) -> np.ndarray:
    parts = [part.strip() for part in index.split(",")]
    if len(parts) != len(shape):
        raise UserError(f"watch {text!r}: {len(parts)} indices for a tensor of shape {shape}")
    try:
        selection = tuple(
            slice(*(int(p) if p else None for p in part.split(":"))) if ":" in part else int(part) for part in parts
        )
        return np.atleast_1d(np.arange(int(np.prod(shape, dtype=int))).reshape(shape)[selection]).ravel()
    except (ValueError, IndexError, TypeError) as error:
        raise UserError(f"watch {text!r}: bad index for a tensor of shape {shape} ({error})") from None
