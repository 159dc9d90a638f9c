"""The size of the first weights.

Where a layer norm follows, the size of a weight tensor changes no output: LN(c W x) = LN(W x) for c > 0 (as
long as the variance of c W x stays far above the norm's epsilon, 1e-8). It does change how fast the layer
learns. Adam moves each weight by about the learning rate whatever the gradient's size, so the relative
change of a tensor in one update is about

    learn_rate / rms(W)

and a tensor drawn c times as large, c < 1, turns 1/c times as fast at the same learning rate.
"""

import difflib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from spacy.language import Language
from thinc.api import Model

from trajet.errors import UserError
from trajet.trace.parameters import name_parameters


def scale_weights(nlp: Language, parameters: Sequence[str], factor: float) -> list[str]:
    """Multiply the first weights of some Thinc parameters, in place.

    Args:
        nlp: a pipeline just initialised; its disabled components are left as they are.
        parameters: names as a trace has them, `tok2vec/maxout-0/W`; `*` stands for anything.
        factor: finite and above 0.

    Returns:
        The names of the parameters scaled.
    Raises:
        UserError: a name that fits no parameter, a factor out of range.
    """
    if not 0 < factor < float("inf"):
        raise UserError(f"trajet.ScaleWeights.v1: factor is {factor}; it must be finite and above 0")
    known = _thinc_parameters(nlp.components)
    for pattern in parameters:
        if not any(fnmatchcase(name, pattern) for name in known):
            near = difflib.get_close_matches(pattern, known, n=1, cutoff=0.0)
            hint = f"; the nearest is {near[0]!r}" if near else "; the pipeline has none"
            raise UserError(f"trajet.ScaleWeights.v1: {pattern!r} fits no Thinc parameter{hint}")
    # spaCy disables what it does not initialise (frozen and resumed components): those weights are not first ones.
    fresh = _thinc_parameters(nlp.pipeline)
    chosen = [name for name in fresh if any(fnmatchcase(name, pattern) for pattern in parameters)]
    for name in chosen:
        node, key = fresh[name]
        node.set_param(key, node.get_param(key) * factor)
    return chosen


def _thinc_parameters(components: Sequence[tuple[str, Callable]]) -> dict[str, tuple[Model, str]]:
    found = {}
    for component, pipe in components:
        model = getattr(pipe, "model", None)
        if not isinstance(model, Model):
            continue
        nodes = {node.id: node for node in model.walk()}
        for parameter in name_parameters(component, model):
            node, key = nodes.get(parameter.key[0]), parameter.key[1]
            # A torch parameter's key holds the id of a shim, which may equal that of a layer.
            if node is not None and node.has_param(key):
                found[parameter.name] = (node, key)
    return found
