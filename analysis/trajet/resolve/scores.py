"""How sure an entity recogniser is of each span it found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.tokens import Doc

from trajet.parser_states import greedy_path, move_names, spans_of_moves


@dataclass(frozen=True)
class Score:
    """Probabilities of the moves that made a span, one a token.

    Attributes:
        confidence: their product, the probability of this span given all that was decided to its left; what
            `trajet.judge.confidence` holds against how often spans are right.
        mean, least: of them.
    """

    confidence: float
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
    moves: list[list[str]] = [[] for _ in docs]
    chances: list[list[float]] = [[] for _ in docs]
    for indices, taken, log_probs in greedy_path(parser, [_without_entities(doc) for doc in docs]):
        for index, move, row in zip(indices, taken, log_probs, strict=True):
            moves[index].append(names[move])
            chances[index].append(float(np.exp(row[move])))
    return [
        {(start, end, label): _score(values[start:end]) for start, end, label in spans_of_moves(path)}
        for path, values in zip(moves, chances, strict=True)
    ]


def _without_entities(doc: Doc) -> Doc:
    """A copy in which every token is still to be decided: entities that are set would leave but one valid move."""
    copy = doc.copy()
    copy.set_ents([], default="missing")
    return copy


def _score(probabilities: Sequence[float]) -> Score:
    return Score(math.prod(probabilities), float(np.mean(probabilities)), min(probabilities))
