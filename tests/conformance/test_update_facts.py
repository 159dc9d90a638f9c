"""What `nlp.update` does with optimizers, dropout and dev documents: a failure names the fact that has changed."""

from collections.abc import Callable

import numpy as np
import pytest
from thinc.api import Adam, fix_random_seed, set_dropout_rate, warmup_linear

from tests.conformance.conftest import (
    MOVES,
    NO_UPPER,
    as_example,
    examples,
    gradients,
    loss,
    norm,
    parameters,
    random_states,
    same,
    sentence,
    states_and_golds,
    walk,
)

# -- nlp.update and optimizers ---------------------------------------------------------------------


def test_nlp_update_with_an_optimizer_updates_nothing_of_tok2vec_in_the_first_call(moving: Callable) -> None:
    """`nlp.update(..., sgd=optimizer)` updates tok2vec one batch late (nothing after the first call)."""
    nlp = moving()
    tok2vec, ner = (nlp.get_pipe(name) for name in ("tok2vec", "ner"))
    before = parameters(tok2vec), parameters(ner)
    nlp.update(examples(nlp.vocab), sgd=Adam(0.01, use_averages=False))
    assert same(parameters(tok2vec), before[0]), "nlp.update(sgd=optimizer) now updates tok2vec in its first call"
    assert not same(parameters(ner), before[1]), "nlp.update(sgd=optimizer) no longer updates the parser at once"


def test_nlp_update_with_an_optimizer_updates_tok2vec_one_batch_late(moving: Callable) -> None:
    """... one batch late: the second call applies the first batch's gradient."""
    nlp, used = moving(), {}
    tok2vec = nlp.get_pipe("tok2vec")

    class Noting(Adam(0.01).__class__):
        __slots__ = ()

        def __call__(self, key, weights, gradient, **settings):
            used[key] = gradient.copy()
            return super().__call__(key, weights, gradient, **settings)

    optimizer = Noting(0.01, grad_clip=0.0)
    batch = examples(nlp.vocab, 16)
    nlp.update(batch[:8], sgd=optimizer)
    of_the_first = gradients(tok2vec)
    assert norm(of_the_first.values()) > 0, "nlp.update no longer leaves the first batch's gradient in tok2vec"
    nlp.update(batch[8:], sgd=optimizer)
    assert same({key: used[key] for key in of_the_first}, of_the_first), "tok2vec is no longer updated one batch late"


def test_sgd_false_and_finish_update_update_tok2vec_with_its_own_batch(moving: Callable) -> None:
    """Use `sgd=False`, then `finish_update` on each component, as the loop does."""
    nlp, optimizer = moving(), Adam(0.01)
    before = parameters(nlp.get_pipe("tok2vec"))
    nlp.update(examples(nlp.vocab), sgd=False)
    assert same(parameters(nlp.get_pipe("tok2vec")), before), "sgd=False now updates weights"
    for _, component in nlp.pipeline:
        component.finish_update(optimizer)
    assert not same(parameters(nlp.get_pipe("tok2vec")), before), "finish_update after sgd=False updates nothing now"
    assert norm(gradients(nlp.get_pipe("tok2vec")).values()) == 0, "finish_update no longer empties the gradients"


def test_in_a_bare_loop_nobody_calls_step_schedules(moving: Callable) -> None:
    """In a bare loop with `nlp.update(..., sgd=optimizer)` nobody calls `step_schedules()`: the rate stays 0."""
    nlp, optimizer = moving(), Adam(warmup_linear(0.01, 2, 10), use_averages=False)
    before = [parameters(component) for _, component in nlp.pipeline]
    for _ in range(5):
        nlp.update(examples(nlp.vocab), sgd=optimizer)
    assert optimizer.learn_rate == 0.0, "nlp.update now steps the optimizer's schedules"
    after = [parameters(component) for _, component in nlp.pipeline]
    assert all(map(same, before, after)), "a learning rate of 0 now moves weights"
    optimizer.step_schedules()
    assert optimizer.learn_rate == pytest.approx(0.005), "step_schedules no longer steps warmup_linear"


# -- dropout and random numbers --------------------------------------------------------------------


@pytest.mark.parametrize("drop", [0.0, 0.9])
def test_drop_does_not_reach_the_parsers_hidden_layer(untrained: Callable, drop: float) -> None:
    """`drop` does not reach the parser's hidden layer (a fixed 10 % when use_upper is true)."""
    nlp = untrained(**{"components.ner.model.hidden_width": MOVES})
    ner, batch = nlp.get_pipe("ner"), examples(nlp.vocab, 50)
    # The output layer hands its input on: scores are the hidden layer, and dropped units are exact zeros.
    ner.model.get_ref("upper").set_param("W", np.eye(MOVES, dtype="float32"))
    states, _ = states_and_golds(nlp, batch)
    set_dropout_rate(ner.model, drop)
    step_model, _ = ner.model.begin_update([example.predicted for example in batch])
    fix_random_seed(0)
    scores, _ = step_model.begin_update(states)
    assert 0.05 < float((scores == 0).mean()) < 0.15, "the parser's hidden dropout is no longer a fixed 10 %"


def test_without_drop_the_hidden_layer_is_still_dropped_with_use_upper(moving: Callable) -> None:
    """... (a fixed 10 % when use_upper is true) [code, and seen in losses]."""
    nlp = moving()
    seen = {loss(nlp, examples(nlp.vocab), drop=0.0, seed=seed) for seed in range(3)}
    assert len(seen) == 3, "with use_upper and drop = 0 losses no longer vary with the random state"


def test_without_drop_nothing_is_dropped_without_use_upper(moving: Callable) -> None:
    """... a fixed 10 % *when use_upper is true*."""
    nlp = moving(**NO_UPPER)
    seen = {loss(nlp, examples(nlp.vocab), drop=0.0, seed=seed) for seed in range(3)}
    assert len(seen) == 1, "without use_upper and with drop = 0 losses now vary with the random state"


@pytest.mark.parametrize("settings", [{}, NO_UPPER], ids=["use_upper", "no_upper"])
def test_nlp_update_draws_from_pythons_and_numpys_random_states(moving: Callable, settings: dict) -> None:
    """All update calls draw from Python's and NumPy's random states."""
    nlp = moving(**settings)
    python, numpy = random_states()
    nlp.update(examples(nlp.vocab), drop=0.1, sgd=False)
    assert random_states()[0] != python, "nlp.update no longer draws from Python's random state"
    assert random_states()[1] != numpy, "nlp.update no longer draws from NumPy's random state"


def test_without_upper_and_drop_numpys_random_state_stays(moving: Callable) -> None:
    """All update calls draw ...: but for NumPy's state when there is nothing to drop."""
    nlp = moving(**NO_UPPER)
    python, numpy = random_states()
    nlp.update(examples(nlp.vocab), drop=0.0, sgd=False)
    assert random_states()[0] != python, "nlp.update no longer draws from Python's random state"
    assert random_states()[1] == numpy, "with nothing to drop, nlp.update now draws from NumPy's state"


# -- a look at dev documents -----------------------------------------------------------------------


def test_an_update_on_dev_documents_changes_saved_bytes(moving: Callable) -> None:
    """A naive `nlp.update` on dev documents writes `dropout_rate` into serialised node attributes (bytes differ)."""
    nlp = moving()
    tok2vec = nlp.get_pipe("tok2vec")
    weights, saved = parameters(tok2vec), tok2vec.model.to_bytes()
    nlp.update(examples(nlp.vocab), drop=0.37, sgd=False)
    rates = {node.attrs["dropout_rate"] for node in tok2vec.model.walk() if "dropout_rate" in node.attrs}
    assert rates == {0.37}, "nlp.update no longer leaves its dropout rate in the nodes"
    assert same(parameters(tok2vec), weights)
    assert tok2vec.model.to_bytes() != saved, "the dropout rate of an update is no longer saved"


def test_an_update_on_dev_documents_leaves_gradients_behind(moving: Callable) -> None:
    """... leaves gradients behind."""
    nlp = moving()
    nlp.update(examples(nlp.vocab), sgd=False)
    left = [norm(gradients(component).values()) for _, component in nlp.pipeline]
    assert all(value > 0 for value in left), "nlp.update(sgd=False) no longer leaves gradients"


def test_an_update_without_sgd_trains_with_nlp_optimizer(moving: Callable) -> None:
    """A naive `nlp.update` on dev documents changes the run: with no `sgd` at all it even trains."""
    nlp = moving()
    before = parameters(nlp.get_pipe("ner"))
    nlp.update(examples(nlp.vocab))
    assert not same(parameters(nlp.get_pipe("ner")), before), "nlp.update without sgd no longer moves weights"
    assert nlp._optimizer.nr_update, "nlp.update without sgd no longer uses nlp._optimizer"


def test_an_update_on_dev_documents_can_resize_the_parser(moving: Callable) -> None:
    """... can resize the parser on an unknown label."""
    nlp = moving()
    nlp.update([as_example(sentence(nlp.vocab, "Lyon", "Nice", ("DEP", "NEW")))], sgd=False)
    assert nlp.get_pipe("ner").moves.n_moves > MOVES, "nlp.update no longer adds labels that it meets"


@pytest.fixture
def frozen(moving: Callable) -> Callable[[bool], None]:
    """frozen(exclude): a training update with a frozen tok2vec, a look at dev documents, a training update."""

    def run(exclude: bool) -> None:
        nlp = moving()
        train = {"exclude": ["tok2vec"], "annotates": ["tok2vec"], "sgd": False}
        batch = examples(nlp.vocab, 16)
        nlp.update(batch[:8], **train)
        nlp.update(batch[8:12], **(train if exclude else {"sgd": False}))
        nlp.update(batch[12:], **train)

    return run


def test_an_update_with_a_frozen_tok2vec_and_no_exclude_breaks_the_next_step(frozen: Callable) -> None:
    """With a frozen tok2vec and no `exclude` [it] breaks the next step (E953)."""
    with pytest.raises(ValueError, match="E953"):
        frozen(exclude=False)
    frozen(exclude=True)


def test_a_forward_only_pass_changes_nothing(moving: Callable) -> None:
    """A forward-only pass avoids all of it: `model.predict`, `moves.init_gold_batch`, `get_batch_loss`."""
    nlp = moving()
    states = random_states()
    saved = [component.model.to_bytes() for _, component in nlp.pipeline]
    d_scores, value = walk(nlp, examples(nlp.vocab))
    assert d_scores.shape == (56, MOVES)
    assert value > 0
    assert [component.model.to_bytes() for _, component in nlp.pipeline] == saved, "a forward pass changes saved bytes"
    assert not any(gradients(component) for _, component in nlp.pipeline), "a forward pass now leaves gradients"
    assert random_states() == states, "a forward pass now draws random numbers"


def test_a_forward_only_pass_gives_the_loss_of_update(moving: Callable) -> None:
    """For the parser a forward-only pass avoids all of it: and its loss is that of `nlp.update` without dropout."""
    nlp = moving(**NO_UPPER)
    assert walk(nlp, examples(nlp.vocab))[1] == pytest.approx(loss(nlp, examples(nlp.vocab)), rel=1e-5), (
        "the two losses differ now"
    )


def test_get_batch_loss_marks_classes_as_seen(moving: Callable) -> None:
    """A forward-only pass avoids all of it, but one thing: `get_batch_loss` takes moves out of `unseen_classes`."""
    nlp = moving()
    ner = nlp.get_pipe("ner")
    classes = [ner.moves.get_class_name(move) for move in range(ner.moves.n_moves)]
    ner.model.attrs["unseen_classes"].add(classes.index("O"))
    walk(nlp, examples(nlp.vocab))
    assert not ner.model.attrs["unseen_classes"], "get_batch_loss no longer takes gold moves out of unseen_classes"


def test_parser_states_are_usable_from_python(moving: Callable) -> None:
    """Also usable from Python: `moves.init_batch`, `transition_states`, `get_oracle_sequence`."""
    nlp = moving()
    ner, (example,) = nlp.get_pipe("ner"), examples(nlp.vocab, 1)
    oracle = ner.moves.get_oracle_sequence(example)
    (state,) = ner.moves.init_batch([example.predicted])
    for move in oracle:
        assert not state.is_final()
        forced = np.zeros((1, ner.moves.n_moves), dtype="float32")
        forced[0, move] = 1.0
        ner.transition_states([state], forced)
    assert state.is_final(), "an oracle sequence no longer ends in a final state"
    ner.set_annotations([example.predicted], [state])
    found = [(entity.text, entity.label_) for entity in example.predicted.ents]
    assert found == [("Lyon", "DEP"), ("Nice", "ARR")], "an oracle sequence no longer gives the gold entities"


def test_score_gradients_reach_tok2vec_through_the_listener(moving: Callable) -> None:
    """... score gradients through the listener."""
    nlp = moving()
    tok2vec, ner, batch = nlp.get_pipe("tok2vec"), nlp.get_pipe("ner"), examples(nlp.vocab)
    states, golds, _ = ner.moves.init_gold_batch(batch)
    tok2vec.update(batch)
    step_model, backprop_tok2vec = ner.model.begin_update([example.predicted for example in batch])
    scores, backprop = step_model.begin_update(states)
    backprop(ner.get_batch_loss(states, golds, scores, {}))
    assert not gradients(tok2vec)
    backprop_tok2vec(golds)
    assert norm(gradients(tok2vec).values()) > 0, "score gradients no longer reach tok2vec through the listener"
