"""The forward pass of one sentence through shared layers and parser, with its way back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import Tok2Vec
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model, set_dropout_rate

from trajet.errors import UserError


def entity_recognizer(nlp: Language, component: str = "ner") -> Any:
    """The pipeline's entity recogniser.

    Raises:
        UserError: there is no such component, or it has no transitions.
    """
    if component not in nlp.pipe_names:
        raise UserError(f"the pipeline has no component {component!r}; it has {', '.join(nlp.pipe_names) or 'none'}")
    pipe = nlp.get_pipe(component)
    if not hasattr(pipe, "moves"):
        raise UserError(f"the component {component!r} is no entity recogniser with transitions")
    return pipe


def begin_update(nlp: Language, docs: list[Doc], component: str = "ner") -> tuple[Any, Callable[[], None]]:
    """The parser's step model over `docs`, dropout off, and the function that sends its gradients down to every layer.

    Call the step model's `begin_update(states)` and its backprop as often as there are states, then the function once.

    Raises:
        UserError: the model predicts otherwise than it trains even without dropout: batch normalisation.
    """
    for pipe_name, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        if isinstance(model, Model):
            if any(node.name == "batchnorm" for node in model.walk()):
                raise UserError(
                    f"{pipe_name} normalises over the batch: in training one sentence by itself has other numbers than "
                    "in a batch, so its gradient says nothing; use a model with layer norm (configs/base.cfg)"
                )
            set_dropout_rate(model, 0.0)
    for name, pipe in nlp.pipeline:
        if name == component:
            break
        if isinstance(pipe, Tok2Vec):
            _lend(pipe, docs)
    step_model, finish = nlp.get_pipe(component).model.begin_update(docs)  # type: ignore[attr-defined]
    return step_model, lambda: finish(docs)


def _lend(tok2vec: Tok2Vec, docs: list[Doc]) -> None:
    """Hand the shared layer's output to its listeners, the last of which sends the summed gradient back."""
    output, backprop = tok2vec.model.begin_update(docs)
    batch_id = Tok2VecListener.get_batch_id(docs)
    total = [np.zeros_like(vectors) for vectors in output]

    def add(gradients: list) -> list:
        for index, gradient in enumerate(gradients):
            total[index] += gradient
        return total

    def send(gradients: list) -> Any:
        return backprop(add(gradients))

    *others, last = tok2vec.listeners
    for listener in others:
        listener.receive(batch_id, output, add)
    last.receive(batch_id, output, send)
