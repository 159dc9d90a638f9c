"""The probability of the right moves on a few sentences, as training goes on."""

from collections.abc import Sequence

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from trajet.errors import UserError
from trajet.marked import marked_example
from trajet.parser_states import token_decisions
from trajet.trace.format import short_number
from trajet.trace.unchanged import random_states_kept

# A forward pass of some words, each time: often enough to see a curve, rare enough to cost nothing.
FOLLOW_EVERY = 25


class FollowedSentences:
    """Sentences whose gold moves an entity recogniser is asked about before an update, dropout off.

    Args:
        nlp: the pipeline in training.
        marked: sentences with their spans, "de [Marseille](DEP) à [Paris](ARR)".

    Raises:
        UserError: no entity recogniser in the pipeline, a bad mark, an unknown label.
    """

    def __init__(self, nlp: Language, marked: Sequence[str]):
        self.nlp = nlp
        self.component = next((name for name, pipe in nlp.pipeline if _recognises(pipe)), "")
        if marked and not self.component:
            raise UserError("trace: follow needs an entity recogniser in the pipeline; set follow = []")
        self.references = [marked_example(nlp, sentence, self.component).reference for sentence in marked]

    def describe(self) -> list[dict]:
        """Text, tokens and right moves of each sentence, for the trace's header."""
        moves = self.nlp.get_pipe(self.component).moves if self.references else None  # type: ignore[attr-defined]
        return [
            {
                "text": reference.text,
                "tokens": [token.text for token in reference],
                "moves": [moves.get_class_name(move) for move in self._decisions(reference)[0]],
            }
            for reference in self.references
        ]

    def probabilities(self) -> list[list[float]]:
        """For each sentence the probability of the right move at each of its tokens."""
        found = []
        for reference in self.references:
            moves, log_probs = self._decisions(reference)
            found.append([short_number(float(np.exp(row[move]))) for row, move in zip(log_probs, moves, strict=True)])
        return found

    def _decisions(self, reference: Doc) -> tuple[list[int], np.ndarray]:
        # Even a prediction may draw: spacy-transformers decides by chance when to empty a cache.
        with random_states_kept():
            return token_decisions(self.nlp, reference, self.component)


def _recognises(pipe: object) -> bool:
    return hasattr(pipe, "moves") and hasattr(pipe, "get_batch_loss") and not hasattr(pipe, "deprojectivize")
