"""How sure an entity recogniser is of each span it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc

from trajet.parser_states import greedy_path, move_names


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
    """
    names = move_names(parser)
    paths: list[list[tuple[str, float]]] = [[] for _ in docs]
    for indices, taken, log_probs in greedy_path(parser, [_without_entities(doc) for doc in docs]):
        for index, move, row in zip(indices, taken, log_probs, strict=True):
            paths[index].append((names[move], float(np.exp(row[move]))))
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
