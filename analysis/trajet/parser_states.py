"""Walking a spaCy transition parser through its states, forward only.

spaCy's own `update` would draw random numbers, leave gradients and may resize the model; these functions
change nothing. They serve the parser and the entity recogniser alike.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example


def parser_loss(parser: Any, examples: Sequence[Example]) -> float:
    """Sum over the states the parser visits of the squared norm of its score gradient, as `update` counts it.

        loss = sum_s ||p_s - q_s||^2     p: softmax of the scores, q: the same over the zero-cost moves only

    Forward only: no dropout, no cut of long documents, no gradient.

    Args:
        examples: their predicted documents carry what the parser's listeners read.
    Source: spaCy 3.8 transition_parser.pyx, `update` and `get_batch_loss`.
    """
    losses = {parser.name: 0.0}
    with _walk(parser, examples) as (step_model, pairs):
        while pairs:
            states, golds = zip(*pairs, strict=True)
            scores = step_model.predict(list(states))
            parser.get_batch_loss(states, golds, scores, losses)
            parser.transition_states(states, scores)
            pairs = [pair for pair in pairs if not pair[0].is_final()]
    return float(losses[parser.name])


def gold_move_log_probs(parser: Any, examples: Sequence[Example]) -> np.ndarray:
    """Log-probability of the gold move in each state along the gold path.

        log p_s(gold) = score_gold - log sum_moves exp(score)

    Returns:
        float64 array, one value a state over all examples. exp(-mean) is the perplexity; a model that
        knows nothing gives about the number of moves.
    Raises:
        ValueError: a gold move is not among the model's (a label it does not know).
    """
    values = [log_probs[np.arange(len(moves)), moves] for _, moves, log_probs in gold_path(parser, examples)]
    return np.concatenate(values) if values else np.zeros(0)


def gold_path(parser: Any, examples: Sequence[Example]) -> Iterator[tuple[list[int], list[int], np.ndarray]]:
    """Walk the states along the gold path, all examples side by side.

    Yields:
        (index of the example of each state, its gold move, log-probabilities of all moves: float64, states x moves)
    Raises:
        ValueError: a gold move is not among the model's (a label it does not know).
    """
    with _walk(parser, examples) as (step_model, pairs):
        oracles = [parser.moves.get_oracle_sequence_from_state(state.copy(), gold) for state, gold in pairs]
        active = [
            (index, state, iter(oracle)) for index, ((state, _), oracle) in enumerate(zip(pairs, oracles, strict=True))
        ]
        while active:
            moves = [next(oracle, None) for _, _, oracle in active]
            # An oracle that cannot go on has met a label without a move.
            if None in moves:
                raise ValueError(
                    "a gold move is not among the model's moves; does the data have a label it does not know?"
                )
            states = [state for _, state, _ in active]
            scores = np.asarray(step_model.predict(states), dtype=np.float64)
            top = scores.max(axis=1, keepdims=True)
            log_z = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
            yield [index for index, _, _ in active], moves, scores - log_z  # type: ignore[misc]
            forced = np.zeros(scores.shape, dtype="float32")
            forced[np.arange(len(states)), moves] = 1.0
            parser.transition_states(states, forced)
            active = [entry for entry in active if not entry[1].is_final()]


def token_decisions(nlp: Language, reference: Doc, component: str) -> tuple[list[int], np.ndarray]:
    """What an entity recogniser thinks at each token of one document, along the gold path, dropout off.

    It takes one move a token.

    Returns:
        (gold move of each token, log-probabilities of all moves: float64, tokens x moves)
    Raises:
        ValueError: as `gold_path`.
    """
    doc = nlp.make_doc(reference.text)
    for name, pipe in nlp.pipeline:
        if name == component:
            break
        pipe.set_annotations([doc], pipe.predict([doc]))  # type: ignore[attr-defined]
    path = list(gold_path(nlp.get_pipe(component), [Example(doc, reference)]))
    return [moves[0] for _, moves, _ in path], np.concatenate([log_probs for _, _, log_probs in path])


@contextmanager
def _walk(parser: Any, examples: Sequence[Example]) -> Iterator[tuple[Any, list]]:
    """The step model and the (state, gold) pairs to start from; the model's attributes are kept."""
    examples = [example for example in examples if len(example.predicted) and parser.moves.has_gold(example)]
    if not examples:
        yield None, []
        return
    unseen = set(parser.model.attrs["unseen_classes"])
    step_model = parser.model.predict([example.predicted for example in examples])
    states, golds, _ = parser.moves.init_gold_batch(examples)
    try:
        yield step_model, [(state, gold) for state, gold in zip(states, golds, strict=True) if not state.is_final()]
    finally:
        step_model.clear_memory()
        parser.model.attrs["unseen_classes"].update(unseen)
