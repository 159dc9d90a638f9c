"""trajet.Dropout.v1: the rate of every update is the schedule's, and 0 means none at all."""

from collections.abc import Callable
from itertools import groupby

import pytest
import spacy.ml.parser_model as parser_model
from spacy.language import Language
from thinc.api import decaying, fix_random_seed

from tests.training import by_hand
from trajet.errors import UserError
from trajet.parser_states import parser_loss
from trajet.training.dropout import ScheduledDropout

SHORT = {"training.max_steps": 4, "training.eval_frequency": 2}


def block(schedule: dict) -> dict:
    return {"@callbacks": "trajet.Dropout.v1", "schedule": schedule}


@pytest.fixture
def drops(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The `drop` of each `nlp.update` that reaches spaCy."""
    seen: list[float] = []
    update = Language.update

    def noting(nlp, *args, **kwargs):
        seen.append(kwargs["drop"])
        return update(nlp, *args, **kwargs)

    monkeypatch.setattr(Language, "update", noting)
    return seen


def test_a_constant_schedule_is_the_same_as_the_number_byte_for_byte() -> None:
    results = []
    for dropout, callback in ((0.45, None), (0.1, ScheduledDropout([0.45]))):
        nlp, examples = by_hand.pipeline()
        by_hand.train(nlp, [examples[i % 3 :] for i in range(5)], callback, dropout=dropout)
        results.append(by_hand.weights(nlp))
    assert results[0] == results[1]


def test_each_step_has_its_value_and_its_parts_share_it(fit, drops: list[float]) -> None:
    schedule = {"@schedules": "decaying.v1", "base_rate": 0.6, "decay": 0.5}
    fit("a", block(schedule), **SHORT, **{"training.accumulate_gradient": 3, "training.batcher.size": 300})
    # decaying: base_rate / (1 + decay * step)
    expected = [0.6, 0.4, 0.3, 0.24, 0.2]
    groups = [(drop, len(list(same))) for drop, same in groupby(drops)]
    assert [drop for drop, _ in groups] == pytest.approx(expected)
    # Three parts, and a fourth where a batch is no multiple of three.
    assert {count for _, count in groups} <= {3, 4}


def test_a_schedule_that_ends_keeps_its_last_value_and_begins_again(drops: list[float]) -> None:
    nlp, examples = by_hand.pipeline()
    dropout = ScheduledDropout(rate for rate in (0.5, 0.25, 0.125))
    for _ in range(2):
        by_hand.train(nlp, [examples] * 5, dropout)
    assert drops == [0.5, 0.25, 0.125, 0.125, 0.125] * 2


# -- the parser's own dropout ----------------------------------------------------------------------


def _loss(nlp: Language, examples: list, seed: int, before_update: Callable | None) -> float:
    fix_random_seed(seed)
    if before_update:
        before_update(nlp, {"step": seed, "epoch": 0})
    losses: dict[str, float] = {}
    nlp.update(examples, drop=0.0, sgd=False, losses=losses)
    return losses["ner"]


def test_at_zero_the_hidden_layer_is_whole_where_spacys_own_zero_leaves_it_a_dropout() -> None:
    nlp, examples = by_hand.pipeline()
    # The output layer begins at zero: without some updates no dropout could be seen.
    by_hand.train(nlp, [examples] * 10, None)
    assert len({_loss(nlp, examples, seed, None) for seed in range(3)}) == 3
    with_callback = {_loss(nlp, examples, seed, ScheduledDropout([0.0])) for seed in range(3)}
    assert len(with_callback) == 1
    # The oracle goes forward only, with spaCy's prediction pass.
    for name in ("tok2vec", "tagger"):
        pipe = nlp.get_pipe(name)
        docs = [example.predicted for example in examples]
        pipe.set_annotations(docs, pipe.predict(docs))
    assert with_callback.pop() == pytest.approx(parser_loss(nlp.get_pipe("ner"), examples), rel=1e-5)


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rate of each mask that the parser's hidden layer draws."""
    drawn: list[float] = []

    class Noting(type(parser_model.NUMPY_OPS)):
        def get_dropout_mask(self, shape, drop):
            drawn.append(drop)
            return super().get_dropout_mask(shape, drop)

    monkeypatch.setattr(parser_model, "NUMPY_OPS", Noting())
    return drawn


@pytest.mark.parametrize(("rate", "hidden"), [(0.0, set()), (0.01, {0.1}), (0.6, {0.1})])
def test_the_limit_above_zero_the_hidden_layer_keeps_spacys_ten_percent(
    rate: float, hidden: set, masks: list[float]
) -> None:
    nlp, examples = by_hand.pipeline()
    by_hand.train(nlp, [examples] * 2, ScheduledDropout([rate]))
    assert set(masks) == hidden


def test_a_training_at_zero_draws_nothing(fit, masks: list[float]) -> None:
    zero = block({"@schedules": "constant.v1", "rate": 0.0})
    fit("zero", zero, **SHORT, **{"components.ner.model.use_upper": True})
    assert not masks


def test_spacys_own_zero_draws_all_the_same(masks: list[float]) -> None:
    nlp, examples = by_hand.pipeline()
    by_hand.train(nlp, [examples] * 2, None, dropout=0.0)
    assert set(masks) == {0.1}


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_a_rate_outside_is_refused_when_its_step_comes(rate: float, drops: list[float]) -> None:
    nlp, examples = by_hand.pipeline()
    with pytest.raises(UserError, match="at step 2; it must stay from 0"):
        by_hand.train(nlp, [examples] * 5, ScheduledDropout([0.1, 0.1, rate, 0.1]))
    assert drops == [0.1, 0.1]


def test_a_config_with_such_a_schedule_leaves_with_one_line(fit, capsys) -> None:
    rising = {"@schedules": "compounding.v1", "start": 0.5, "stop": 2.0, "compound": 1.5}
    with pytest.raises(SystemExit) as left:
        fit("refused", block(rising), **SHORT)
    assert left.value.code == 2
    # 0.5, 0.75, 1.125
    assert capsys.readouterr().err.count("the schedule gives 1.125 at step 2") == 1


def test_an_empty_schedule_is_refused() -> None:
    nlp, examples = by_hand.pipeline()
    with pytest.raises(UserError, match="the schedule is empty"):
        by_hand.train(nlp, [examples], ScheduledDropout([]))


def test_thincs_own_schedules_are_generators_that_are_drawn_once_a_step(drops: list[float]) -> None:
    nlp, examples = by_hand.pipeline()
    by_hand.train(nlp, [examples] * 4, ScheduledDropout(decaying(0.5, 1.0)))
    assert drops == pytest.approx([0.5, 0.25, 0.5 / 3, 0.125])
