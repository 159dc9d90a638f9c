"""What the parser's moves, labels and losses are: a failure names the fact that has changed."""

from collections.abc import Callable

import numpy as np
import pytest
from spacy.language import Language
from spacy.training import Example
from thinc.api import compounding

from tests.conformance.conftest import (
    MOVES,
    NO_UPPER,
    as_example,
    examples,
    gradients,
    loss,
    norm,
    sentence,
    states_and_golds,
    walk,
)

# -- moves and labels --------------------------------------------------------------------------------


def test_with_two_labels_the_parser_has_10_moves(untrained: Callable) -> None:
    """With two labels the parser has 10 moves (BILUO for DEP and ARR, O, and one more)."""
    ner = untrained().get_pipe("ner")
    named = {f"{action}-{label}" for action in "BILU" for label in ("DEP", "ARR")} | {"O"}
    assert set(ner.move_names) == named, "the names of the parser's moves have changed"
    assert ner.moves.n_moves == len(named) + 1 == MOVES, "with two labels the parser no longer has 10 moves"


def test_the_entropy_of_an_untrained_parser_is_ln_10(untrained: Callable) -> None:
    """... uniform entropy ln 10."""
    nlp = untrained()
    batch = examples(nlp.vocab, 4)
    states, _ = states_and_golds(nlp, batch)
    scores = nlp.get_pipe("ner").model.predict([example.predicted for example in batch]).predict(states)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    entropy = -(p * np.log(p)).sum(axis=1)
    assert entropy == pytest.approx(np.log(10)), "an untrained parser with an output layer no longer scores all alike"


def test_a_one_token_place_is_u_dep_not_b_dep(untrained: Callable) -> None:
    """A one-token place is U-DEP, not B-DEP."""
    nlp = untrained()
    moves = nlp.get_pipe("ner").moves
    names = [moves.get_class_name(move) for move in moves.get_oracle_sequence(*examples(nlp.vocab, 1))]
    assert names == ["O", "O", "O", "U-DEP", "O", "U-ARR", "O"], "the gold moves of one-token places have changed"


@pytest.fixture
def unknown_label(moving: Callable) -> tuple[Language, float, tuple[int, int]]:
    """A pipeline after an update with an unknown label, its loss, the output layer's rows before and after."""
    nlp = moving()
    ner = nlp.get_pipe("ner")
    rows = ner.model.get_ref("upper").get_param("W").shape[0]
    value = loss(nlp, [as_example(sentence(nlp.vocab, "Lyon", "Nice", ("NEW", "ARR")))])
    return nlp, value, (rows, ner.model.get_ref("upper").get_param("W").shape[0])


def test_an_unknown_label_gives_neither_nan_nor_error(unknown_label) -> None:
    """A label the model does not know gives neither NaN nor error."""
    nlp, value, _ = unknown_label
    assert np.isfinite(value), "the loss of an unknown label is no longer finite"
    for _, component in nlp.pipeline:
        assert np.isfinite(norm(gradients(component).values())), "an unknown label now gives a gradient of NaN"


def test_an_unknown_label_makes_the_parsers_output_grow(unknown_label) -> None:
    """The parser's output grows in mid-training (10 moves became 14)."""
    nlp, _, rows = unknown_label
    assert nlp.get_pipe("ner").moves.n_moves == 14, "an unknown label no longer adds four moves"
    assert rows == (10, 14), "an unknown label no longer makes the output layer grow"


# -- what the losses mean ----------------------------------------------------------------------------


def test_loss_ner_is_the_sum_over_states_of_the_squared_norm_of_d_scores(moving: Callable) -> None:
    """LOSS NER is the sum over parser states of the squared norm of `d_scores`."""
    nlp = moving(**NO_UPPER)
    d_scores, _ = walk(nlp, examples(nlp.vocab))
    assert loss(nlp, examples(nlp.vocab)) == pytest.approx(float((d_scores**2).sum()), rel=1e-5), (
        "LOSS NER is another sum now"
    )


def test_the_initial_loss_per_state_is_1_over_k_minus_1_over_n_moves(untrained: Callable) -> None:
    """At initialisation, per state, it is 1/k - 1/n_moves for k zero-cost moves."""
    nlp = untrained()
    d_scores, _ = walk(nlp, examples(nlp.vocab))
    k = (d_scores < 0).sum(axis=1)
    assert set(k) > {1}, "the sentences no longer have states with several zero-cost moves"
    assert (d_scores**2).sum(axis=1) == pytest.approx(1 / k - 1 / MOVES, abs=1e-6), "a state's first loss has changed"
    assert loss(nlp, examples(nlp.vocab)) == pytest.approx(float((1 / k - 1 / MOVES).sum()), rel=1e-5)


def test_loss_ner_is_not_cross_entropy(untrained: Callable) -> None:
    """... not cross-entropy."""
    nlp = untrained()
    d_scores, value = walk(nlp, examples(nlp.vocab))
    k = (d_scores < 0).sum(axis=1)
    cross_entropy = float(np.log(MOVES / k).sum())
    assert value < 0.7 * cross_entropy, "LOSS NER has come near to the cross-entropy"


def test_loss_ner_is_not_normalised_by_the_batch(moving: Callable) -> None:
    """... not normalised by batch."""
    nlp = moving(**NO_UPPER)
    once, twice = loss(nlp, examples(nlp.vocab)), loss(nlp, examples(nlp.vocab) * 2)
    assert twice == pytest.approx(2 * once, rel=1e-5), "the same batch twice no longer has twice the loss"


def test_loss_tok2vec_is_the_squared_norm_of_the_gradients_that_arrive(moving: Callable) -> None:
    """LOSS TOK2VEC is the squared norm of the gradients that arrive at the shared layer, not a loss."""
    nlp, losses, arrived = moving(), {}, []
    batch = examples(nlp.vocab)
    tok2vec, ner = nlp.get_pipe("tok2vec"), nlp.get_pipe("ner")
    tok2vec.update(batch, losses=losses)
    assert losses["tok2vec"] == 0.0, "tok2vec now has a loss of its own"
    (listener,) = tok2vec.listeners
    backprop = listener._backprop

    def noting(d_tokvecs):
        arrived.extend(array.copy() for array in d_tokvecs)
        return backprop(d_tokvecs)

    listener._backprop = noting
    ner.update(batch, losses=losses)
    assert losses["tok2vec"] == pytest.approx(norm(arrived) ** 2, rel=1e-5), "LOSS TOK2VEC is something else now"


def test_loss_tok2vec_can_be_0_when_the_parser_knows_nothing(untrained: Callable) -> None:
    """... not a loss: an output layer of zeros hands nothing down, at the worst predictions there are."""
    nlp = untrained()
    losses = nlp.update(examples(nlp.vocab), sgd=False)
    assert losses["tok2vec"] == 0.0, "an output layer of zeros now hands a gradient down"
    assert losses["ner"] > 0


def test_ner_gradients_grow_with_the_batch(moving: Callable) -> None:
    """NER gradients grow with the batch."""
    norms = []
    for count in (1, 8, 32):
        nlp = moving(**NO_UPPER)
        nlp.update(examples(nlp.vocab, count), drop=0.0, sgd=False)
        norms.append(norm(gradients(nlp.get_pipe("ner")).values()))
    assert norms[1] > 3 * norms[0], "the parser's gradient no longer grows with the batch"
    assert norms[2] > 2 * norms[1], "the parser's gradient no longer grows with the batch"


def test_a_compounding_batch_size_inflates_losses_and_norms_of_one_and_the_same_model(moving: Callable) -> None:
    """The compounding batch size inflates norms and raw losses as training goes on. Compare per word or per state."""
    sizes = compounding(4, 32, 1.5)
    counts = [int(next(sizes)) for _ in range(6)]
    raw, per_word, norms = [], [], []
    for count in counts:
        nlp = moving(**NO_UPPER)
        batch = examples(nlp.vocab, count)
        raw.append(loss(nlp, batch))
        per_word.append(raw[-1] / sum(len(example) for example in batch))
        norms.append(norm(gradients(nlp.get_pipe("ner")).values()))
    assert counts == [4, 6, 9, 13, 20, 30], "compounding batch sizes have changed"
    assert all(np.diff(raw) > 0), "raw losses no longer grow with the batch"
    assert all(np.diff(norms) > 0), "norms no longer grow with the batch"
    assert max(per_word) < 1.25 * min(per_word), "the loss per word no longer stays when only the batch grows"


def test_the_train_loss_is_taken_with_dropout_on(moving: Callable) -> None:
    """Train loss as reported is taken with dropout on."""
    nlp = moving(**NO_UPPER)
    assert loss(nlp, examples(nlp.vocab), drop=0.5) != pytest.approx(loss(nlp, examples(nlp.vocab)), rel=1e-3), (
        "the loss that nlp.update reports is no longer taken with dropout on"
    )


@pytest.mark.parametrize("learn_rate", [0.0, 0.02])
def test_the_train_loss_is_taken_while_weights_move(tiny_train: Callable, learn_rate: float) -> None:
    """... and while weights move; minus dev loss it is no generalisation gap."""
    batches: list[list[Example]] = []

    def before_update(nlp: Language, info: dict) -> None:
        if info["step"] == 0:
            update = nlp.update

            def replaced(batch, **kwargs):
                batches.append(list(batch))
                return update(batch, **kwargs)

            nlp.update = replaced  # type: ignore[method-assign]

    # Without any dropout nothing but the weights can make a difference.
    still = {**NO_UPPER, "training.dropout": 0.0, "training.optimizer.learn_rate": learn_rate}
    run = tiny_train(before_update, **still, **{"training.max_steps": 4, "training.eval_frequency": 4})
    logged = run.rows[-1]["losses"]["ner"]
    at_the_end = sum(walk(run.nlp, batch)[1] for batch in batches[1:])
    if learn_rate:
        assert logged > 1.05 * at_the_end, "the logged loss is no longer that of the weights of each step"
    else:
        assert logged == pytest.approx(at_the_end, rel=1e-5), (
            "without updates the logged loss differs from a walk's now"
        )
