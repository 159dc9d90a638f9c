"""A poisoned start: the first updates learn from wrong labels."""

import random
from collections.abc import Callable, Iterable
from typing import Any

from spacy.language import Language
from spacy.pipeline import EntityRecognizer
from spacy.tokens import Span
from spacy.training import Example

from trajet.errors import UserError
from trajet.training.hooks import Hooks, TrainingCallback, trained_components


class WrongLabels(TrainingCallback):
    """The callback `trajet.WrongLabels.v1`: for some updates every entity has another label than its own.

    With DEP and ARR the two are exchanged. With more labels each entity gets one of the others of the component that
    knows its own, drawn anew each time it is seen. Spans stay where they are, other annotations too; the documents
    themselves are never touched, the update is given copies. It draws from a generator of its own, so what
    follows the wrong phase depends on the weights alone.

    Args:
        updates: how many, from the first; 0 changes nothing.
        seed: of the draws.

    Raises:
        UserError: a negative number; at the first step, no entity recogniser with two labels.
    """

    def __init__(self, updates: int, seed: int = 0):
        if not isinstance(updates, int) or updates < 0:
            raise UserError(
                f"[training.before_update]: trajet.WrongLabels.v1: updates = {updates!r}; it must be a whole number from 0"
            )
        self.updates, self.seed = updates, seed
        self._rng = random.Random(seed)

    def on_start(self, hooks: Hooks) -> None:
        self._rng = random.Random(self.seed)
        if self.updates and not any(len(labels) > 1 for labels in _label_sets(hooks.nlp, ())):
            raise UserError(
                "[training.before_update]: trajet.WrongLabels.v1 needs an entity recogniser with two labels or more "
                "in the pipeline; delete the callback or set updates = 0"
            )

    def on_update(self, update: Callable, examples: list[Example], **settings: Any) -> dict[str, float]:
        assert self.hooks is not None
        if self.hooks.step < self.updates:
            sets = _label_sets(self.hooks.nlp, settings.get("exclude", ()))
            examples = [self._wrong(example, sets) for example in examples]
        return update(examples, **settings)

    def _wrong(self, example: Example, sets: list[tuple[str, ...]]) -> Example:
        reference = example.reference.copy()
        entities = []
        for entity in reference.ents:
            others = sorted({label for labels in sets if entity.label_ in labels for label in labels} - {entity.label_})
            # A label that no component knows has no other.
            label = self._rng.choice(others) if others else entity.label_
            entities.append(Span(reference, entity.start, entity.end, label, kb_id=entity.kb_id, span_id=entity.id))
        # Tokens outside keep what they have: outside, or unknown.
        reference.set_ents(entities, default="unmodified")
        return Example(example.predicted, reference)


def _label_sets(nlp: Language, exclude: Iterable[str]) -> list[tuple[str, ...]]:
    pipes = [nlp.get_pipe(name) for name in trained_components(nlp, exclude)]
    return [tuple(pipe.labels) for pipe in pipes if isinstance(pipe, EntityRecognizer)]
