"""What spaCy's training loop does with optimizers, callbacks and loggers: a failure names the fact that has changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from confection import ConfigValidationError
from spacy.language import Language
from spacy.training.initialize import init_nlp
from thinc.api import Adam, Config, Optimizer

from tests.conformance.conftest import (
    block,
    forget,
    gradients,
    norm,
    parameters,
    swap_class,
)
from tests.conftest import weight_bytes

STEPS = [0, 1, 2, 3]
DOCUMENTED = {"@optimizers": "Adam.v1", "learn_rate": 0.01, "L2": 0.01, "grad_clip": 1.0, "use_averages": False}


class Watched(Optimizer):
    """An optimizer that is Adam in all it does, and says in `events` when it is called."""

    __slots__ = ("events",)

    def __init__(self, adam: Optimizer, events: list) -> None:
        for name in Optimizer.__slots__:
            setattr(self, name, getattr(adam, name))
        self.events = events

    def __call__(self, key, weights, gradient, **settings):
        self.events.append(key)
        return super().__call__(key, weights, gradient, **settings)

    def step_schedules(self) -> None:
        self.events.append("step_schedules")
        super().step_schedules()


def watched(events: list) -> dict[str, Any]:
    """A [training.optimizer] block that wraps the documented one."""
    return block("optimizers", "watched", lambda wrapped: Watched(wrapped, events), wrapped=DOCUMENTED)


# -- the optimizer -------------------------------------------------------------------------------


@pytest.fixture
def made(tiny_train: Callable) -> tuple[Language, list[Optimizer]]:
    """A trained pipeline and every optimizer that was built from its block, in order."""
    built: list[Optimizer] = []

    def build(learn_rate: float) -> Optimizer:
        built.append(Adam(learn_rate, use_averages=False))
        return built[-1]

    run = tiny_train(**{"training.optimizer": block("optimizers", "built", build, learn_rate=0.01)})
    return run.nlp, built


def test_the_training_optimizer_is_built_from_the_training_optimizer_block(made) -> None:
    """`spacy train` builds the optimizer from [training.optimizer]."""
    nlp, built = made
    updated = [optimizer for optimizer in built if optimizer.nr_update]
    assert updated == built[-1:], "the optimizer that trains is no longer the one built last from [training.optimizer]"
    keys = {key for name in nlp.pipe_names for key in parameters(nlp.get_pipe(name))}
    assert set(updated[0].nr_update) == keys, "the training optimizer no longer updates every parameter"


def test_nlp_optimizer_is_another_instance(made) -> None:
    """`nlp._optimizer` is another instance, made at initialisation."""
    nlp, built = made
    assert nlp._optimizer is built[0], "nlp._optimizer is no longer the instance that initialisation built"
    assert built[0] is not built[-1], "initialisation and training now share one optimizer"


def test_nlp_optimizer_is_never_called(made) -> None:
    """`nlp._optimizer` ... is never called."""
    nlp, _ = made
    assert not nlp._optimizer.nr_update, "the training loop now calls nlp._optimizer"


def test_the_optimizer_must_be_an_instance_of_thinc_optimizer(tiny_config: Callable) -> None:
    """The optimizer must be an instance of `thinc.api.Optimizer` (schema check)."""

    def sgd_step(key, weights, gradient, lr_scale=1.0):
        return weights - 0.01 * gradient, gradient * 0

    function = block("optimizers", "function", lambda: sgd_step)
    with pytest.raises(ConfigValidationError, match="optimizer"):
        init_nlp(tiny_config(**{"training.optimizer": function}))


def test_finish_update_hands_the_real_optimizer_to_each_trainable_component(tiny_train: Callable) -> None:
    """The real optimizer is handed to each trainable component: `proc.model.finish_update(optimizer)`."""
    got: dict[str, set[int]] = {"tok2vec": set(), "ner": set()}
    events: list = []
    optimizers: list[Any] = []

    def before_update(nlp: Language, info: dict) -> None:
        if info["step"] == 0:
            for name in got:

                def seen(optimizer, key, name=name):
                    optimizers.append(optimizer)
                    got[name].add(key[0])

                swap_class(nlp.get_pipe(name).model, seen)

    run = tiny_train(before_update, **{"training.optimizer": watched(events)})
    assert all(isinstance(optimizer, Watched) for optimizer in optimizers), "a component got something else"
    for name, nodes in got.items():
        expected = {key[0] for key in parameters(run.nlp.get_pipe(name))}
        assert nodes == expected, f"{name}.model.finish_update is no longer how the optimizer reaches {name}"


def test_the_optimizer_is_called_with_node_id_and_name(tiny_train: Callable) -> None:
    """... which calls `optimizer((node.id, name), weights, gradient)` for each Thinc parameter."""
    events: list = []
    run = tiny_train(**{"training.optimizer": watched(events), "training.max_steps": 0, "training.max_epochs": 1})
    keys = [key for name in run.nlp.pipe_names for key in parameters(run.nlp.get_pipe(name))]
    called = [event for event in events if event != "step_schedules"]
    assert sorted(called) == sorted(keys * 4), "the optimizer is no longer called once a parameter with (node.id, name)"


def test_step_schedules_is_called_once_a_step_after_all_components(tiny_train: Callable) -> None:
    """Then `optimizer.step_schedules()`, once a step."""
    events: list = []
    run = tiny_train(**{"training.optimizer": watched(events), "training.accumulate_gradient": 2})
    a_step = sum(len(parameters(run.nlp.get_pipe(name))) for name in run.nlp.pipe_names)
    places = [place for place, event in enumerate(events) if event == "step_schedules"]
    expected = [(a_step + 1) * (step + 1) - 1 for step in STEPS]
    assert places == expected, "step_schedules no longer ends each step, exactly once"


def test_the_optimizer_sees_one_tensor_at_a_time(tiny_train: Callable) -> None:
    """It sees one tensor at a time."""
    shapes: list[tuple] = []

    class Shapes(Watched):
        __slots__ = ()

        def __call__(self, key, weights, gradient, **settings):
            shapes.append((key, weights.shape, gradient.shape))
            return super().__call__(key, weights, gradient, **settings)

    optimizer = block("optimizers", "shapes", lambda wrapped: Shapes(wrapped, []), wrapped=DOCUMENTED)
    run = tiny_train(**{"training.optimizer": optimizer})
    own = {key: array.shape for name in run.nlp.pipe_names for key, array in parameters(run.nlp.get_pipe(name)).items()}
    assert {key for key, _, _ in shapes} == set(own)
    assert all(own[key] == weights == gradient for key, weights, gradient in shapes), "tensors are now passed together"


def test_all_gradients_are_complete_before_the_first_finish_update(tiny_train: Callable) -> None:
    """A global norm has to be taken before the first `finish_update`, when all gradients are complete."""
    norms: dict[str, list[float]] = {"tok2vec": [], "ner": []}
    whole: list[float] = []

    def before_update(nlp: Language, info: dict) -> None:
        if info["step"]:
            return

        def global_norm() -> float:
            return norm(array for name in norms for array in gradients(nlp.get_pipe(name)).values())

        update = nlp.update

        def replaced(*args, **kwargs):
            result = update(*args, **kwargs)
            whole.append(global_norm())
            return result

        nlp.update = replaced  # type: ignore[method-assign]
        for name in norms:
            first = next(iter(parameters(nlp.get_pipe(name))))

            def seen(optimizer, key, name=name, first=first):
                if key == first:
                    norms[name].append(global_norm())

            swap_class(nlp.get_pipe(name).model, seen)

    tiny_train(before_update)
    assert len(whole) == len(STEPS)
    assert norms["tok2vec"] == whole, "gradients are no longer complete when the first component is finished"
    assert norms["ner"][-1] < whole[-1], "gradients of a finished component are no longer zeroed before the next"


# -- two ways in ---------------------------------------------------------------------------------


def test_methods_of_the_entity_recognizer_cannot_be_replaced_on_the_instance(untrained: Callable) -> None:
    """`EntityRecognizer` is a Cython class: its methods cannot be replaced on the instance."""
    with pytest.raises(AttributeError, match="read-only"):
        untrained().get_pipe("ner").finish_update = lambda optimizer: None


def test_a_class_swapped_in_before_update_records_and_changes_no_byte(tiny_train: Callable, tmp_path: Path) -> None:
    """From `before_update`, at the first step, give each root `model` a subclass: byte-identical saved models."""
    keys: list = []

    def before_update(nlp: Language, info: dict) -> None:
        if info["step"] == 0:
            for _, component in nlp.pipeline:
                swap_class(component.model, lambda optimizer, key: keys.append(key))

    plain = tiny_train(output=tmp_path / "plain")
    swapped = tiny_train(before_update, output=tmp_path / "swapped")
    assert len(keys) == 4 * sum(len(parameters(component)) for _, component in swapped.nlp.pipeline), "not all is seen"
    assert weight_bytes(tmp_path / "plain") == weight_bytes(tmp_path / "swapped"), "a swapped class changes the bytes"
    ours, theirs = (run.nlp.config["training"]["optimizer"] for run in (swapped, plain))
    assert ours == theirs, "a swapped class no longer leaves the optimizer block untouched"


def test_a_pipeline_trained_with_a_callback_loads_without_its_code(
    tiny_train: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved pipelines load without this project's code."""
    tiny_train(lambda nlp, info: None, output=tmp_path / "out")
    forget(monkeypatch, "callbacks", "before_update")
    forget(monkeypatch, "loggers", "rows")
    loaded = spacy.load(tmp_path / "out" / "model-last")
    assert loaded.pipe_names == ["tok2vec", "ner"], "loading a pipeline now resolves its [training] block"


def test_a_factory_that_wraps_another_optimizer_block_records_and_changes_no_byte(
    tiny_train: Callable, tmp_path: Path
) -> None:
    """A registered `@optimizers` factory that wraps another optimizer block."""
    events: list = []
    tiny_train(output=tmp_path / "plain", **{"training.optimizer": DOCUMENTED})
    tiny_train(output=tmp_path / "wrapped", **{"training.optimizer": watched(events)})
    assert events, "the wrapping optimizer is no longer called"
    assert weight_bytes(tmp_path / "plain") == weight_bytes(tmp_path / "wrapped"), "wrapping now changes the bytes"


# -- before_update, losses, loggers ----------------------------------------------------------------


def test_before_update_gets_the_pipeline_and_step_and_epoch_but_no_optimizer(tiny_train: Callable) -> None:
    """A `[training.before_update]` callback gets `(nlp, {"step", "epoch"})`, no optimizer."""
    calls: list[tuple] = []
    run = tiny_train(lambda *args, **kwargs: calls.append((args, kwargs)))
    assert all(len(args) == 2 and not kwargs for args, kwargs in calls), "before_update gets other arguments now"
    assert all(args[0] is run.nlp for args, _ in calls), "before_update no longer gets the pipeline"
    assert [args[1] for args, _ in calls] == [{"step": step, "epoch": 0} for step in STEPS], "its second argument moved"


def test_a_block_beside_a_null_line_is_refused(tiny_config: Callable) -> None:
    """A block `[training.before_update]` beside a line `before_update = null` is refused ("found conflicting values")."""
    text = tiny_config().to_str() + '\n[training.before_update]\n@callbacks = "facts.before_update.v1"\n'
    with pytest.raises(ConfigValidationError, match="found conflicting values"):
        Config().from_str(text)


def test_nlp_update_replaced_in_before_update_sees_the_losses_of_each_step(tiny_train: Callable) -> None:
    """`nlp.update` can be replaced: the difference of `losses` gives per-step losses (their sum is the logger's)."""
    steps: list[dict[str, float]] = []

    def before_update(nlp: Language, info: dict) -> None:
        if info["step"] == 0:
            original = nlp.update

            def update(batch, *, losses, **kwargs):
                before = dict(losses)
                result = original(batch, losses=losses, **kwargs)
                steps.append({name: losses[name] - before.get(name, 0.0) for name in losses})
                return result

            nlp.update = update  # type: ignore[method-assign]

    rows = tiny_train(before_update, **{"training.max_steps": 4}).rows
    for name in ("tok2vec", "ner"):
        logged = [row["losses"][name] for row in rows if row]
        parts = [steps[0][name], steps[1][name] + steps[2][name], steps[3][name] + steps[4][name]]
        assert parts == pytest.approx(logged, rel=1e-5), f"the logger's loss of {name} is no longer the steps' sum"


def test_nlp_evaluate_can_be_replaced_in_before_update(tiny_train: Callable) -> None:
    """`nlp.evaluate` likewise."""

    def before_update(nlp: Language, info: dict) -> None:
        nlp.evaluate = lambda batch: {"ents_f": 0.25 + info["step"]}  # type: ignore[method-assign]

    rows = tiny_train(before_update).rows
    assert [row["score"] for row in rows if row] == [0.25, 2.25], (
        "the loop no longer calls nlp.evaluate on the instance"
    )


def test_loggers_get_none_on_every_step_without_an_evaluation(tiny_train: Callable) -> None:
    """Loggers receive `None` on every step without an evaluation."""
    rows = tiny_train(**{"training.max_steps": 7, "training.eval_frequency": 3}).rows
    assert [row and row["step"] for row in rows] == [0, None, None, 3, None, None, 6, None], (
        "what loggers get has moved"
    )


def test_an_exception_in_a_logger_propagates_and_finalize_is_called(tiny_train: Callable) -> None:
    """An exception raised in a logger propagates cleanly and `finalize` is called."""

    class Pruned(Exception):
        pass

    calls: list[str] = []

    def log_step(info: dict | None) -> None:
        calls.append("step")
        if len(calls) == 2:
            raise Pruned

    logger = block("loggers", "pruning", lambda: lambda *args: (log_step, lambda: calls.append("finalize")))
    with pytest.raises(Pruned):
        tiny_train(**{"training.logger": logger})
    assert calls == ["step", "step", "finalize"], "finalize is no longer called once after a logger's exception"


def test_a_console_logger_with_an_existing_output_file_stops_logging_to_it(
    tiny_train: Callable, tmp_path: Path
) -> None:
    """ConsoleLogger with an existing `output_file` stops logging to it: no error, one line among what is printed."""
    path = tmp_path / "log.jsonl"
    settings = {"progress_bar": None, "console_output": False, "output_file": str(path)}
    logger = {"training.logger": {"@loggers": "spacy.ConsoleLogger.v3", **settings}}
    assert "disabled" not in tiny_train(**logger).printed
    first = path.read_bytes()
    assert first.count(b"\n") == 2, "the console logger no longer writes a line an evaluation"
    printed = tiny_train(**logger, **{"training.max_steps": 5}).printed
    assert path.read_bytes() == first, "the console logger now writes to a file that exists"
    assert "Saving logs is disabled" in printed, "the console logger no longer says that it does not log"
