"""Which weights move one decision most: the gradient of a move's log-probability."""

from dataclasses import dataclass

import numpy as np
from spacy.language import Language

from trajet.errors import UserError
from trajet.marked import marked_example
from trajet.parser_states import move_names, token_decisions
from trajet.sentence.forward import begin_update, entity_recognizer
from trajet.trace.parameters import name_parameters


@dataclass(frozen=True)
class Influence:
    """One weight and what it does to the decision.

    Attributes:
        name: usable in `watch`.
        weight: its value.
        gradient: d log p(move) / d weight; a rise of the weight raises the probability where it is positive.
    """

    name: str
    weight: float
    gradient: float


@dataclass(frozen=True)
class Decision:
    """A decision and the weights behind it.

    Attributes:
        token: the word decided on.
        move: the parser's move, "U-DEP" for a place of one word.
        probability: of the move before anything is changed.
        weights: the most influential first.
        by_tensor: norm of the gradient in each parameter, largest first.
    """

    token: str
    move: str
    probability: float
    weights: list[Influence]
    by_tensor: list[tuple[str, float]]


def influence(nlp: Language, marked: str, token: str, label: str, count: int = 20, component: str = "ner") -> Decision:
    """Rank the weights by |d log p(move) / d weight|, through the parser and the shared layers.

    Args:
        nlp: a loaded pipeline; its dropout rates are set to 0 and its gradients used up.
        marked: the sentence, spans written as [Marseille](DEP).
        token: a word of it; its first occurrence.
        label: the label in question; the move is the one a span of one word takes, or its part in the gold span.
        count: weights to return.

    Raises:
        UserError: no such component, word or label; a bad mark.
    """
    parser = entity_recognizer(nlp, component)
    example = marked_example(nlp, marked, component)
    words = [word.text for word in example.reference]
    if token not in words:
        raise UserError(f"the word {token!r} is not a token of the sentence; its tokens are {' '.join(words)}")
    if label not in parser.labels:
        raise UserError(f"unknown label {label!r}; {component} knows {', '.join(parser.labels)}")
    position = words.index(token)
    moves, log_probs = token_decisions(nlp, example.reference, component)
    names = move_names(parser)
    gold = names[moves[position]]
    move = gold if gold.endswith(f"-{label}") else f"U-{label}"
    number = names.index(move)
    parameters = [p for name, pipe in nlp.pipeline if hasattr(pipe, "model") for p in name_parameters(name, pipe.model)]
    _backpropagate(nlp, parser, example, moves, position, number, component)
    return Decision(token, move, float(np.exp(log_probs[position, number])), *_rank(nlp, parameters, count))


def _backpropagate(nlp, parser, example, moves, position, number, component) -> None:
    absent = np.zeros(0, dtype=int)
    doc = example.predicted
    step_model, finish = begin_update(nlp, [doc], component)
    states, _, _ = parser.moves.init_gold_batch([example])
    for step, move in enumerate(moves):
        if step == position:
            absent = np.flatnonzero(step_model.get_token_ids(states)[0] < 0)
        scores, backprop = step_model.begin_update(states)
        if step == position:
            shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
            gradient = -shifted / shifted.sum(axis=1, keepdims=True)
            # d log p(move) / d score = 1 at the move, minus the probabilities
            gradient[0, number] += 1.0
        else:
            gradient = np.zeros_like(scores)
        backprop(gradient.astype("float32"))
        forced = np.zeros(scores.shape, dtype="float32")
        forced[0, move] = 1.0
        parser.transition_states(states, forced)
    finish()
    _clear_absent_features(parser, absent)


def _clear_absent_features(parser, absent: np.ndarray) -> None:
    """Take away the gradients of weights that had no part in the decision.

    A feature that a state lacks (no entity is open) is filled with `pad`, yet spaCy's backward pass multiplies
    its gradient with the last token's vector and adds it to W: an update moves such weights, the decision does not
    depend on them. Source: spaCy 3.8, ml/_precomputable_affine.py, `backward` (ids of -1 index the last row).
    """
    for node in parser.model.walk():
        if node.name == "precomputable_affine" and node.has_grad("W"):
            gradient = node.get_grad("W")
            gradient[absent] = 0.0
            node.set_grad("W", gradient)


def _rank(nlp: Language, parameters, count: int) -> tuple[list[Influence], list[tuple[str, float]]]:
    nodes = {node.id: node for _, pipe in nlp.pipeline if hasattr(pipe, "model") for node in pipe.model.walk()}
    found: list[Influence] = []
    tensors: list[tuple[str, float]] = []
    for parameter in parameters:
        node = nodes.get(parameter.key[0])
        if node is None or not node.has_grad(parameter.key[1]):
            continue
        gradient, weights = node.get_grad(parameter.key[1]), node.get_param(parameter.key[1])
        tensors.append((parameter.name, float(np.linalg.norm(gradient))))
        largest = np.argsort(-np.abs(gradient).ravel(), kind="stable")[:count]
        for flat in largest:
            index = np.unravel_index(flat, gradient.shape)
            if gradient[index] != 0:
                text = ",".join(str(int(i)) for i in index)
                found.append(Influence(f"{parameter.name}[{text}]", float(weights[index]), float(gradient[index])))
    found.sort(key=lambda entry: -abs(entry.gradient))
    return found[:count], sorted(tensors, key=lambda entry: -entry[1])
