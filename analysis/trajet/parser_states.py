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


def gold_path(
    parser: Any, examples: Sequence[Example], valid_only: bool = False
) -> Iterator[tuple[list[int], list[int], np.ndarray]]:
    """Walk the states along the gold path, all examples side by side.

    Args:
        valid_only: whether probability is shared out among the moves that the state allows (those the parser chooses
            from) and all others get -inf, instead of among all moves (what training does).
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
            log_probs = _log_probs(parser, states, step_model.predict(states), valid_only)
            yield [index for index, _, _ in active], moves, log_probs  # type: ignore[misc]
            _force(parser, states, moves)  # type: ignore[arg-type]
            active = [entry for entry in active if not entry[1].is_final()]


def greedy_path(parser: Any, docs: Sequence[Doc]) -> Iterator[tuple[list[int], list[int], np.ndarray]]:
    """Walk the states as prediction does, in each taking the likeliest move that it allows; all documents side by side.

    Args:
        docs: carry what the parser's listeners read.
    Yields:
        (index of the document of each state, the move taken, log-probabilities among the valid moves: float64,
        states x moves, -inf for the others)
    """
    if not any(map(len, docs)):
        return
    step_model = parser.model.predict(list(docs))
    try:
        states = enumerate(parser.moves.init_batch(docs))
        active = [(index, state) for index, state in states if not state.is_final()]
        while active:
            states = [state for _, state in active]
            log_probs = _log_probs(parser, states, step_model.predict(states), valid_only=True)
            moves = log_probs.argmax(axis=1).tolist()
            yield [index for index, _ in active], moves, log_probs
            _force(parser, states, moves)
            active = [entry for entry in active if not entry[1].is_final()]
    finally:
        step_model.clear_memory()


def spans_of_moves(names: Sequence[str]) -> list[tuple[int, int, str]]:
    """The entities that an entity recogniser's moves make, one a token: U alone, or B with all up to its L.

    Args:
        names: of the moves ("B-DEP", "L-DEP", "O"), see `move_names`.
    Returns:
        (first token, token after the last, label), from left to right.
    """
    spans, start = [], 0
    for token, name in enumerate(names):
        kind, _, label = name.partition("-")
        if kind in ("B", "U"):
            start = token
        # "U-" without a label is spaCy's internal move.
        if kind in ("L", "U") and label:
            spans.append((start, token + 1, label))
    return spans


def move_names(parser: Any) -> list[str]:
    """Names of the moves by class number: "U-DEP", "O" ..., and "U-", spaCy's internal one."""
    return [parser.moves.get_class_name(index) for index in range(parser.moves.n_moves)]


def run_before(nlp: Language, docs: Sequence[Doc], component: str) -> None:
    """Let the components before one annotate the documents, so that its listeners have what they read."""
    for name, pipe in nlp.pipeline:
        if name == component:
            break
        pipe.set_annotations(docs, pipe.predict(docs))  # type: ignore[attr-defined]


def token_decisions(nlp: Language, reference: Doc, component: str) -> tuple[list[int], np.ndarray]:
    """What an entity recogniser thinks at each token of one document, along the gold path, dropout off.

    It takes one move a token.

    Returns:
        (gold move of each token, log-probabilities of all moves: float64, tokens x moves)
    Raises:
        ValueError: as `gold_path`.
    """
    doc = nlp.make_doc(reference.text)
    run_before(nlp, [doc], component)
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


def _log_probs(parser: Any, states: list, scores: np.ndarray, valid_only: bool) -> np.ndarray:
    scores = np.array(scores, dtype=np.float64)
    if valid_only:
        names = move_names(parser)
        valid = [[parser.moves.is_valid(state, name) for name in names] for state in states]
        scores[~np.array(valid, dtype=bool)] = -np.inf
    top = scores.max(axis=1, keepdims=True)
    return scores - (top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True)))


def _force(parser: Any, states: list, moves: list[int]) -> None:
    forced = np.zeros((len(states), parser.moves.n_moves), dtype="float32")
    forced[np.arange(len(states)), moves] = 1.0
    parser.transition_states(states, forced)
