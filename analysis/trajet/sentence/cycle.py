"""The training cycle on one sentence: prediction, truth, gradient, update, and what the update changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry

from trajet.errors import UserError
from trajet.marked import marked_example
from trajet.parser_states import move_names, token_decisions
from trajet.sentence.forward import entity_recognizer
from trajet.trace.measure import Measured, Measurer
from trajet.trace.parameters import name_parameters


@dataclass(frozen=True)
class Decided:
    """One token: the right move, what the model held of it, and what it would rather have done.

    Attributes:
        gold: the right move, which is also the token's BILUO tag.
        predicted: the tag the pipeline gave it.
        before, after: probability of the right move before and after the updates.
        favourite: the most probable move before, and its probability.
    """

    token: str
    gold: str
    predicted: str
    before: float
    after: float
    favourite: str
    favourite_probability: float


@dataclass(frozen=True)
class Cycle:
    """All of it.

    Attributes:
        tokens: a row a token.
        moves: names of the parser's moves.
        probabilities: before the updates, tokens x moves.
        loss: spaCy's loss of the component on this sentence, at the first update.
        learn_rate: of each update.
        updates: how many were made.
        measured: what the first update did, tensor by tensor.
        parameters: names of the tensors.
        entities_after: the entities predicted afterwards, as (text, label).
    """

    tokens: list[Decided]
    moves: list[str]
    probabilities: np.ndarray
    loss: float
    learn_rate: float
    updates: int
    measured: Measured
    parameters: list[str]
    entities_after: list[tuple[str, str]]


def training_cycle(nlp: Language, marked: str, learn_rate: float, updates: int = 1, component: str = "ner") -> Cycle:
    """Train `nlp` on one sentence and tell what happened; the optimizer is that of its config, its moments empty.

    spaCy does not save the optimizer with the pipeline, so the first update here is a first update: each
    weight that has a gradient moves by about the learning rate.

    Args:
        nlp: a trained pipeline; it is changed.
        marked: the sentence, spans written as [Marseille](DEP).
        learn_rate: constant; the config's schedule begins at 0.
        updates: how many to make.

    Raises:
        UserError: no such component, a bad mark, an optimizer that cannot be made.
    """
    parser = entity_recognizer(nlp, component)
    reference = marked_example(nlp, marked, component).reference
    gold, before = token_decisions(nlp, reference, component)
    predicted = nlp(reference.text)
    names = move_names(parser)
    optimizer = _optimizer(nlp, learn_rate)
    trainable = [(name, pipe) for name, pipe in nlp.pipeline if getattr(pipe, "is_trainable", False)]
    parameters = [parameter for name, pipe in trainable for parameter in name_parameters(name, pipe.model)]  # type: ignore[attr-defined]
    measurer = Measurer(optimizer, parameters, "tensors", [])
    losses: list[float] = []
    measured: list[Measured] = []
    for _ in range(updates):
        found: dict[str, float] = {}
        nlp.update([Example(nlp.make_doc(reference.text), reference)], sgd=False, drop=0.0, losses=found)  # type: ignore[arg-type]
        for _, pipe in trainable:
            pipe.finish_update(measurer)  # type: ignore[attr-defined]
        measured.append(measurer.take())
        losses.append(float(found[component]))
    _, after = token_decisions(nlp, reference, component)
    return Cycle(
        tokens=_tokens(reference, predicted, gold, before, after, names),
        moves=names,
        probabilities=np.exp(before),
        loss=losses[0],
        learn_rate=learn_rate,
        updates=updates,
        measured=measured[0],
        parameters=[parameter.name for parameter in parameters],
        entities_after=[(entity.text, entity.label_) for entity in nlp(reference.text).ents],
    )


def _tokens(reference: Doc, predicted: Doc, gold: Sequence[int], before, after, names: list[str]) -> list[Decided]:
    rows = []
    for position, (token, move) in enumerate(zip(reference, gold, strict=True)):
        best = int(before[position].argmax())
        rows.append(
            Decided(token.text, names[move], _tag(predicted, position), float(np.exp(before[position, move])),
                    float(np.exp(after[position, move])), names[best], float(np.exp(before[position, best])))
        )  # fmt: skip
    return rows


def _tag(doc: Doc, position: int) -> str:
    """The BILUO tag of a token."""
    span = next((span for span in doc.ents if span.start <= position < span.end), None)
    if span is None:
        return "O"
    if len(span) == 1:
        return f"U-{span.label_}"
    return f"{'B' if position == span.start else 'L' if position == span.end - 1 else 'I'}-{span.label_}"


def _optimizer(nlp: Language, learn_rate: float):
    block = nlp.config.interpolate().get("training", {}).get("optimizer")
    try:
        return registry.resolve({"optimizer": {**block, "learn_rate": learn_rate}})["optimizer"]
    except Exception as error:  # confection and the registries raise several kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the pipeline's [training.optimizer] cannot be made ({reason})") from None
