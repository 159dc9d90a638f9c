"""How sure an entity recogniser is of each span it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc

from trajet.sentence.forward import move_names


@dataclass(frozen=True)
class Score:
    """Probabilities of the moves that made a span, one a token: their mean and the least of them."""

    mean: float
    least: float


def span_scores(parser: Any, docs: Sequence[Doc]) -> list[dict[tuple[int, int, str], Score]]:
    """Scores of the spans that `parser` finds, walking its greedy path once more.

        p_s(move) = exp(score_move) / sum over valid moves exp(score)      in each state s

    Forward only: neither the documents nor the model are changed.

    Args:
        docs: predicted documents, with what the parser's listeners read (their tensors).
    Returns:
        For each document: (start token, end token, label) -> score.
    Source: spaCy 3.8 transition_parser.pyx, `greedy_parse`.
    """
    moves = parser.moves
    names = move_names(parser)
    paths: list[list[tuple[str, float]]] = [[] for _ in docs]
    step_model = parser.model.predict(fresh := [_without_entities(doc) for doc in docs])
    try:
        active = [(i, state) for i, state in enumerate(moves.init_batch(fresh)) if not state.is_final()]
        while active:
            states = [state for _, state in active]
            scores = step_model.predict(states)
            valid = np.array([[moves.is_valid(state, name) for name in names] for state in states], dtype=bool)
            logits = np.where(valid, np.asarray(scores, dtype=np.float64), -np.inf)
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
            taken = logits.argmax(axis=1)
            for row, (index, _) in enumerate(active):
                paths[index].append((names[taken[row]], float(probabilities[row, taken[row]])))
            parser.transition_states(states, scores)
            active = [entry for entry in active if not entry[1].is_final()]
    finally:
        step_model.clear_memory()
    return [_spans(path) for path in paths]


def _without_entities(doc: Doc) -> Doc:
    """A copy in which every token is still to be decided: entities that are set would leave but one valid move."""
    copy = doc.copy()
    copy.set_ents([], default="missing")
    return copy


def _spans(path: Sequence[tuple[str, float]]) -> dict[tuple[int, int, str], Score]:
    spans, start = {}, 0
    for token, (name, _) in enumerate(path):
        action, _, label = name.partition("-")
        if action in ("B", "U"):
            start = token
        if action in ("L", "U") and label:
            values = [probability for _, probability in path[start : token + 1]]
            spans[start, token + 1, label] = Score(float(np.mean(values)), min(values))
    return spans
