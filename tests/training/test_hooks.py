"""What all training callbacks share: they leave no trace of themselves, and get along with each other."""

from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest
from spacy.language import Language

from tests.conftest import trace_block, weight_bytes
from tests.training import by_hand
from trajet.errors import UserError
from trajet.trace import OptimizerTrace, read_trace
from trajet.training.dropout import ScheduledDropout
from trajet.training.global_clip import GlobalClip
from trajet.training.hooks import TrainingCallback
from trajet.training.plateau import ReduceOnPlateau
from trajet.training.wrong_labels import WrongLabels


def in_a_row(*callbacks: Callable) -> Callable:
    def before_update(nlp: Language, info: dict) -> None:
        for callback in callbacks:
            callback(nlp, info)

    return before_update


def idle(path: Path) -> list[Callable]:
    """One of each, with settings that change nothing in a training with dropout 0.2."""
    return [
        GlobalClip(1e30),
        ScheduledDropout(repeat(0.2)),
        WrongLabels(0),
        ReduceOnPlateau(patience=1000),
        OptimizerTrace(path),
    ]


def test_all_of_them_idle_in_a_config_change_no_byte(fit, tmp_path: Path) -> None:
    constant = {"@schedules": "constant.v1", "rate": 0.3}
    members = {
        "clip": {"@callbacks": "trajet.GlobalClip.v1", "threshold": 1e30},
        "dropout": {"@callbacks": "trajet.Dropout.v1", "schedule": constant},
        "labels": {"@callbacks": "trajet.WrongLabels.v1", "updates": 0},
        "trace": trace_block(tmp_path / "t.jsonl", losses_on=8),
        "plateau": {"@callbacks": "trajet.ReduceOnPlateau.v1", "patience": 100},
    }
    settings = {"training.max_steps": 6, "training.eval_frequency": 3, "training.optimizer.grad_clip": 0.0}
    idle = fit("idle", {"@callbacks": "trajet.Chain.v1", "*": members}, **settings)
    plain = fit("plain", **settings)
    for part in ("model-best", "model-last"):
        assert weight_bytes(idle.output / part) == weight_bytes(plain.output / part)
    assert [row["losses"] for row in idle.log] == [row["losses"] for row in plain.log]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "settings", [{}, {"accumulate_gradient": 3, "eval_frequency": 2}, {"exclude": ["tagger", "textcat"]}]
)
def test_all_of_them_idle_change_no_byte_in_either_order(settings: dict, turned: bool, tmp_path: Path) -> None:
    results = []
    for callbacks in ([], idle(tmp_path / "t.jsonl")):
        nlp, examples = by_hand.pipeline()
        order = reversed(callbacks) if turned else callbacks
        by_hand.train(nlp, [examples[i % 3 :] for i in range(5)], in_a_row(*order), **settings)
        results.append(by_hand.weights(nlp))
    assert results[0] == results[1]
    assert len(read_trace(tmp_path / "t.jsonl").steps) == 5


def test_a_second_training_without_callbacks_meets_none(tmp_path: Path) -> None:
    results = []
    for callbacks in ([], [GlobalClip(0.01), ScheduledDropout(repeat(0.5)), OptimizerTrace(tmp_path / "t.jsonl")]):
        nlp, examples = by_hand.pipeline()
        classes = {name: type(nlp.get_pipe(name).model) for name in nlp.pipe_names}
        saved = nlp.to_bytes()
        by_hand.train(nlp, [examples] * 3, in_a_row(*callbacks))
        nlp.from_bytes(saved)
        by_hand.train(nlp, [examples] * 3, None)
        results.append(by_hand.weights(nlp))
        assert {name: type(nlp.get_pipe(name).model) for name in nlp.pipe_names} == classes
        assert not {"update", "evaluate"} & set(vars(nlp))
        assert not [name for name in vars(nlp) if "trajet" in name]
    assert results[0] == results[1]
    assert read_trace(tmp_path / "t.jsonl").steps["step"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("anew", [False, True], ids=["the same callbacks", "new ones"])
def test_a_second_training_begins_again(anew: bool, tmp_path: Path) -> None:
    # Three labels: what a wrong one is, is drawn.
    nlp, examples = by_hand.pipeline(sentences=(*by_hand.SENTENCES, by_hand.VIA))
    saved = nlp.to_bytes()
    results = []
    callbacks = None
    for number in range(2):
        if callbacks is None or anew:
            callbacks = [
                ScheduledDropout(iter([0.5, 0.3, 0.1])),
                WrongLabels(2),
                GlobalClip(3.0),
                OptimizerTrace(tmp_path / f"{number if anew else 0}.jsonl"),
            ]
        nlp.from_bytes(saved)
        by_hand.train(nlp, [examples] * 4, in_a_row(*callbacks))
        results.append(by_hand.weights(nlp))
    assert results[0] == results[1]
    for number in range(1 + anew):
        assert read_trace(tmp_path / f"{number}.jsonl").steps["step"].tolist() == [0, 1, 2, 3]


def test_two_traces_and_a_second_training_leave_the_first_files_alone(tmp_path: Path) -> None:
    nlp, examples = by_hand.pipeline()
    by_hand.train(nlp, [examples] * 2, in_a_row(*(OptimizerTrace(tmp_path / f"{name}.jsonl") for name in "ab")))
    before = [(tmp_path / f"{name}.jsonl").read_bytes() for name in "ab"]
    by_hand.train(nlp, [examples] * 3, OptimizerTrace(tmp_path / "c.jsonl"))
    assert [(tmp_path / f"{name}.jsonl").read_bytes() for name in "ab"] == before
    assert len(read_trace(tmp_path / "c.jsonl").steps) == 3


def test_a_refusal_at_the_first_step_leaves_nothing_behind() -> None:
    nlp, examples = by_hand.pipeline()
    with pytest.raises(UserError):
        by_hand.train(nlp, [examples], in_a_row(WrongLabels(1), ScheduledDropout([1.5])))
    assert not {"update", "evaluate"} & set(vars(nlp))
    assert not [name for name in vars(nlp) if "trajet" in name]


def test_somebody_elses_update_is_called_and_put_back() -> None:
    nlp, examples = by_hand.pipeline()
    calls = []
    original = nlp.update

    def theirs(*args, **kwargs):
        calls.append(kwargs["drop"])
        return original(*args, **kwargs)

    nlp.update = theirs
    by_hand.train(nlp, [examples] * 2, ScheduledDropout([0.4, 0.1]))
    assert calls == [0.4, 0.1]
    by_hand.train(nlp, [examples], None)
    assert calls == [0.4, 0.1, 0.2]
    assert nlp.update is theirs


class Counts(TrainingCallback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list = []

    def on_start(self, hooks) -> None:
        self.events.append("start")

    def on_step(self, step) -> None:
        self.events.append(step)

    def on_update(self, update, examples, **settings):
        self.events.append(len(examples))
        return update(examples, **settings)

    def on_gradients(self, optimizer) -> None:
        self.events.append(type(optimizer).__name__)

    def on_finish_update(self, component, finish, optimizer) -> None:
        finish(optimizer)
        self.events.append(component)

    def on_evaluated(self, examples, scores) -> None:
        self.events.append("ents_f" in scores)


def test_everything_is_told_once_and_in_the_order_of_the_loop() -> None:
    nlp, examples = by_hand.pipeline()
    counts = Counts()
    by_hand.train(
        nlp, [examples, examples[:1], examples[:1]], counts, accumulate_gradient=3, exclude=["tagger"], eval_frequency=2
    )
    finished = ["Optimizer", "tok2vec", "ner", "textcat"]
    assert counts.events == ["start", 0, 2, 2, 2, *finished, True, 1, 1, *finished, 2, 1, *finished, True]
    # An evaluation after the loop's is nobody's business.
    told = list(counts.events)
    nlp.evaluate(examples)
    assert counts.events == told
