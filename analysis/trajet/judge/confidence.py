"""How sure a pipeline is of each span it predicts.

The recogniser takes one move a token: B, I, L or U with a label, or O. A span's confidence is the product of the
probabilities of its moves along the path that was taken:

    confidence(span) = prod over its tokens t of p(move_t | the moves before)

By the chain rule that is the probability the model gives to exactly this span with this label, given all it decided to
the left of it. The least of these probabilities would be kinder to long names, but it is the probability of nothing;
a product can be held against how often spans are right, which is what calibration does. Probabilities are shared out
among the moves that the state allows: inside a name begun as DEP only I-DEP and L-DEP can follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from trajet.errors import UserError
from trajet.evaluation import Span
from trajet.judge.calibration import tempered
from trajet.parser_states import gold_path, greedy_path, move_names, run_before, spans_of_moves
from trajet.sentence.forward import entity_recognizer


@dataclass(frozen=True)
class Walk:
    """What the recogniser decided at each token of one document.

    Attributes:
        borders: first and last border of each token in characters.
        moves: name of the move taken at each ("B-DEP", "O").
        taken: its index. log_probs: shape (tokens, moves), -inf where a move is not allowed.
    """

    borders: list[tuple[int, int]]
    moves: list[str]
    taken: np.ndarray
    log_probs: np.ndarray

    def confidences(self, temperature: float = 1.0) -> dict[Span, float]:
        """The predicted spans with their confidences at a temperature."""
        if not self.moves:
            return {}
        log_probs = tempered(self.log_probs, temperature)[np.arange(len(self.taken)), self.taken]
        return {
            (self.borders[start][0], self.borders[end - 1][1], label): float(np.exp(log_probs[start:end].sum()))
            for start, end, label in spans_of_moves(self.moves)
        }


def walks(nlp: Language, texts: Sequence[str], component: str = "ner") -> list[Walk]:
    """Predict each text and keep what was decided on the way; the spans are those of `nlp(text).ents`.

    Raises:
        UserError: the pipeline has no such component, or one that does not decide token by token.
    """
    parser = _recogniser(nlp, component)
    names = move_names(parser)
    found = []
    for start in range(0, len(texts), nlp.batch_size):
        docs = [nlp.make_doc(text) for text in texts[start : start + nlp.batch_size]]
        run_before(nlp, docs, component)
        taken: list[list[int]] = [[] for _ in docs]
        rows: list[list[np.ndarray]] = [[] for _ in docs]
        for indices, moves, log_probs in greedy_path(parser, docs):
            for index, move, row in zip(indices, moves, log_probs, strict=True):
                taken[index].append(move)
                rows[index].append(row)
        for doc, moves, log_probs in zip(docs, taken, rows, strict=True):
            borders = [(token.idx, token.idx + len(token)) for token in doc]
            table = np.array(log_probs).reshape(len(moves), len(names))
            found.append(Walk(borders, [names[move] for move in moves], np.array(moves, dtype=int), table))
    return found


def gold_decisions(nlp: Language, golds: Sequence[Doc], component: str = "ner") -> tuple[np.ndarray, np.ndarray]:
    """The right move of each token along the gold path, and the log-probabilities there.

    Returns:
        (log-probabilities among the valid moves, shape (states, moves); right moves, shape (states,))
    Raises:
        UserError: as `walks`; a gold label that the component does not know.
    """
    parser = _recogniser(nlp, component)
    if unknown := {ent.label_ for doc in golds for ent in doc.ents} - set(parser.labels):
        raise UserError(f"the documents have the label {min(unknown)!r}; {component} knows {', '.join(parser.labels)}")
    log_probs, moves = [np.zeros((0, parser.moves.n_moves))], [np.zeros(0, dtype=int)]
    for start in range(0, len(golds), nlp.batch_size):
        examples = [Example(nlp.make_doc(doc.text), doc) for doc in golds[start : start + nlp.batch_size]]
        run_before(nlp, [example.predicted for example in examples], component)
        for _, right, rows in gold_path(parser, examples, valid_only=True):
            log_probs.append(rows)
            moves.append(np.array(right))
    return np.concatenate(log_probs), np.concatenate(moves)


def judged(
    found: Sequence[Walk], golds: Sequence[frozenset[Span]], temperature: float
) -> tuple[list[float], list[bool]]:
    """The confidence of every predicted span, and whether a gold span has its label and both borders."""
    confidences, right = [], []
    for walk, gold in zip(found, golds, strict=True):
        for span, confidence in walk.confidences(temperature).items():
            confidences.append(confidence)
            right.append(span in gold)
    return confidences, right


def _recogniser(nlp: Language, component: str) -> Any:
    parser = entity_recognizer(nlp, component)
    if parser.cfg.get("beam_width", 1) != 1:
        raise UserError(f"{component!r} searches with a beam; confidences are read off a greedy path")
    return parser
