"""trajet.GlobalClip.v1 in real trainings, against torch.nn.utils.clip_grad_norm_ and notes taken inside Thinc."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spacy.language import Language
from thinc.api import Optimizer

from tests.conftest import trace_block, weight_bytes
from tests.training import by_hand
from trajet.errors import UserError
from trajet.trace import OptimizerTrace, read_trace
from trajet.trace.read import read_rows
from trajet.training.global_clip import GlobalClip, ScaledGradients, global_norm

SHORT = {"training.max_steps": 6, "training.eval_frequency": 3, "training.optimizer.grad_clip": 0.0}
WATCHED = "tok2vec/maxout-1/W[3,1,:]"


def clip_block(threshold: float) -> dict[str, Any]:
    return {"@callbacks": "trajet.GlobalClip.v1", "threshold": threshold}


def chain_block(**members: dict) -> dict[str, Any]:
    return {"@callbacks": "trajet.Chain.v1", "*": members}


class Notes:
    """What an independent note-taker saw: raw gradients by key before each step's updates, and what reached the optimizer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.raw: list[dict[tuple, np.ndarray]] = []
        self.arrived: list[dict[tuple, np.ndarray]] = []
        update, call = Language.update, Optimizer.__call__

        def noting_update(nlp, *args, **kwargs):
            if len(self.raw) == len(self.arrived):
                self.raw.append({})
            result = update(nlp, *args, **kwargs)
            self.raw[-1] = _complete_gradients(nlp, kwargs["exclude"])
            return result

        def noting_call(optimizer, key, weights, gradient, **kwargs):
            if len(self.arrived) < len(self.raw):
                self.arrived.append({})
            self.arrived[-1][key] = gradient.copy()
            return call(optimizer, key, weights, gradient, **kwargs)

        monkeypatch.setattr(Language, "update", noting_update)
        monkeypatch.setattr(Optimizer, "__call__", noting_call)


def _complete_gradients(nlp: Language, exclude: list[str]) -> dict[tuple, np.ndarray]:
    found = {}
    for name, pipe in nlp.pipeline:
        if name in exclude:
            continue
        for node in pipe.model.walk():
            for shim in node.shims:
                for dotted, parameter in shim._model.named_parameters():
                    if parameter.grad is not None:
                        found[shim.id, dotted] = parameter.grad.detach().numpy().copy()
            found |= {(node.id, name): node.get_grad(name).copy() for name in node.param_names if node.has_grad(name)}
    return found


def _clipped_by_torch(raw: dict[tuple, np.ndarray], threshold: float) -> tuple[dict[tuple, np.ndarray], float]:
    torch = pytest.importorskip("torch")
    parameters = {key: torch.nn.Parameter(torch.zeros(array.shape)) for key, array in raw.items()}
    for key, parameter in parameters.items():
        parameter.grad = torch.tensor(raw[key])
    norm = torch.nn.utils.clip_grad_norm_(parameters.values(), threshold)
    return {key: parameter.grad.numpy() for key, parameter in parameters.items()}, float(norm)


@pytest.mark.parametrize("encode", [by_hand.CNN, by_hand.LSTM], ids=["thinc", "torch"])
@pytest.mark.parametrize(
    "settings", [{}, {"accumulate_gradient": 3}, {"exclude": ["tagger"]}], ids=["plain", "accumulated", "frozen"]
)
def test_what_reaches_the_optimizer_is_what_torch_makes_of_the_same_gradients(
    encode: str, settings: dict, monkeypatch
) -> None:
    pytest.importorskip("torch")
    nlp, examples = by_hand.pipeline(encode)
    # Gradients that lie about, also in what is frozen afterwards.
    nlp.update(examples, sgd=False)
    notes = Notes(monkeypatch)
    threshold = 20.0
    # Batches of one and of six documents: norms on both sides of the threshold.
    by_hand.train(
        nlp, [examples, examples[4:5], examples[:3], examples[4:5], examples], GlobalClip(threshold), **settings
    )
    assert len(notes.raw) == len(notes.arrived) == 5
    norms = []
    for raw, arrived in zip(notes.raw, notes.arrived, strict=True):
        expected, norm = _clipped_by_torch(raw, threshold)
        norms.append(norm)
        assert arrived.keys() == expected.keys()
        for key, array in arrived.items():
            # torch divides by n + 1e-6.
            np.testing.assert_allclose(array, expected[key], rtol=1e-5, atol=1e-12)
        if norm < threshold:
            assert all((array == raw[key]).all() for key, array in arrived.items())
    assert min(norms) < threshold < max(norms)


def test_a_huge_threshold_changes_no_byte() -> None:
    results = []
    for callback in (None, GlobalClip(1e30)):
        nlp, examples = by_hand.pipeline()
        by_hand.train(nlp, [examples[i % 3 :] for i in range(5)], callback)
        results.append(by_hand.weights(nlp))
    assert results[0] == results[1]


def test_the_trace_has_the_norms_before_the_clip_in_either_order(fit, tmp_path: Path, monkeypatch) -> None:
    notes = Notes(monkeypatch)
    runs = []
    for name, order in (("before", ("clip", "trace")), ("after", ("trace", "clip"))):
        members = {
            "clip": clip_block(5.0),
            "trace": trace_block(tmp_path / f"{name}.jsonl", level="full", watch=[WATCHED]),
        }
        runs.append(fit(name, chain_block(**{member: members[member] for member in order}), **SHORT))
    assert weight_bytes(runs[0].output / "model-last") == weight_bytes(runs[1].output / "model-last")
    traces = [read_trace(tmp_path / f"{name}.jsonl") for name in ("before", "after")]
    assert traces[0].tensors.equals(traces[1].tensors)
    assert traces[0].watched.equals(traces[1].watched)

    trace = traces[0]
    rows = [row for _, row in read_rows(tmp_path / "before.jsonl") if row["kind"] == "step"]
    factors = [row["global_clip_factor"] for row in rows]
    for raw, row, factor in zip(notes.raw[:7], rows, factors, strict=True):
        norm = math.sqrt(sum((array.astype("float64") ** 2).sum() for array in raw.values()))
        assert row["global_grad_norm"] == pytest.approx(norm, rel=1e-5)
        assert factor == pytest.approx(min(1.0, 5.0 / norm), rel=1e-5)
        assert sorted(row["grad_norm"]) == pytest.approx(
            sorted(np.linalg.norm(array) for array in raw.values()), rel=1e-4
        )
    assert min(factors) < 1
    assert (trace.tensors["clipped"] == 0).all()
    assert (trace.steps["tensors_clipped"] == 0).all()
    # Adam's first moment is that of the scaled gradient; the gradient kept is the one before.
    m = np.zeros(len(trace.watched[trace.watched["step"] == 0]))
    for step, factor in enumerate(factors):
        seen = trace.watched[trace.watched["step"] == step]
        assert seen["clip_factor"].to_numpy() == pytest.approx(factor, rel=1e-8)
        m = 0.9 * m + 0.1 * factor * seen["g"].to_numpy()
        assert seen["m"].to_numpy() == pytest.approx(m, rel=1e-4, abs=1e-9)


def test_a_trace_without_a_global_clip_has_no_such_column(tmp_path: Path) -> None:
    nlp, examples = by_hand.pipeline()
    by_hand.train(nlp, [examples] * 2, OptimizerTrace(tmp_path / "t.jsonl"))
    assert not any("global_clip_factor" in row for _, row in read_rows(tmp_path / "t.jsonl"))


# -- gradients that are not finite ---------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_gradient_that_is_not_finite_does_to_all_others_what_it_does_in_torch(bad: float, monkeypatch) -> None:
    nlp, examples = by_hand.pipeline()
    clip, optimizer = GlobalClip(1.0), by_hand.adam()
    clip(nlp, {"step": 0, "epoch": 0})
    nlp.update(examples, sgd=False, exclude=[])
    spoilt = next(node for node in nlp.get_pipe("tagger").model.walk() if node.name == "softmax")
    spoilt.get_grad("b")[1] = bad
    raw = _complete_gradients(nlp, [])
    arrived: dict[tuple, np.ndarray] = {}
    call = Optimizer.__call__

    def noting(self, key, weights, gradient, **kwargs):
        arrived[key] = gradient.copy()
        return call(self, key, weights, gradient, **kwargs)

    monkeypatch.setattr(Optimizer, "__call__", noting)
    for _, pipe in nlp.pipeline:
        pipe.finish_update(optimizer)
    expected, _ = _clipped_by_torch(raw, 1.0)
    assert arrived.keys() == expected.keys()
    for key, array in arrived.items():
        np.testing.assert_array_equal(array, expected[key])
    finite = np.concatenate([array[np.isfinite(raw[key])] for key, array in arrived.items()])
    assert np.isnan(finite).all() if math.isnan(bad) else (finite == 0).all()
    assert np.isnan(arrived[spoilt.id, "b"][1])


def test_a_torch_module_whose_gradients_overflowed_in_mixed_precision_does_not_count(monkeypatch) -> None:
    pytest.importorskip("torch")
    nlp, examples = by_hand.pipeline(by_hand.LSTM)
    clip = GlobalClip(1.0)
    clip(nlp, {"step": 0, "epoch": 0})
    nlp.update(examples, sgd=False)
    (shim,) = (shim for node in nlp.get_pipe("tok2vec").model.walk() for shim in node.shims)
    shim._grad_scaler._found_inf = True
    for parameter in shim._model.parameters():
        parameter.grad.fill_(math.inf)
    finite = [array for array in _complete_gradients(nlp, []).values() if np.isfinite(array).all()]
    for _, pipe in nlp.pipeline:
        pipe.finish_update(by_hand.adam())
    assert clip.factor == pytest.approx(
        1 / math.sqrt(sum((array.astype("float64") ** 2).sum() for array in finite)), rel=1e-5
    )
    assert all(np.isfinite(parameter.detach().numpy()).all() for parameter in shim._model.parameters())


def test_a_norm_too_large_for_float32_is_taken_all_the_same() -> None:
    arrays = [np.full((3, 4), 1e25, dtype="float32"), np.zeros(5, dtype="float32"), np.full(4, -2e25, dtype="float32")]
    with np.errstate(over="ignore"):
        assert np.isinf(np.linalg.norm(arrays[0]))
    # 12 * 1^2 + 4 * 2^2 = 28
    assert global_norm(arrays) == pytest.approx(1e25 * math.sqrt(28), rel=1e-6)
    assert global_norm([]) == 0
    scaled = ScaledGradients(lambda key, weights, gradient, lr_scale: gradient, 2.0 / global_norm(arrays))
    assert global_norm([scaled((0, "W"), None, array) for array in arrays]) == pytest.approx(2.0, rel=1e-5)


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        {"@optimizers": "Adam.v1", "learn_rate": 0.001, "grad_clip": 1.0},
        # Nothing said: Thinc's own default is 1.0.
        {"@optimizers": "SGD.v1", "learn_rate": 0.001},
    ],
    ids=["written", "default"],
)
def test_a_config_with_a_second_clip_is_refused_before_any_update(optimizer: dict) -> None:
    nlp, _ = by_hand.pipeline()
    nlp.config["training"] |= {"optimizer": optimizer, "before_update": clip_block(1.0)}
    with pytest.raises(UserError, match=r"\[training.optimizer\]: grad_clip = 1.0"):
        GlobalClip(1.0)(nlp, {"step": 0, "epoch": 0})


def test_such_a_training_leaves_with_one_line(fit, capsys, monkeypatch) -> None:
    notes = Notes(monkeypatch)
    with pytest.raises(SystemExit) as left:
        fit("refused", clip_block(1.0), **{"training.max_steps": 2})
    assert left.value.code == 2
    assert capsys.readouterr().err.count("[training.optimizer]: grad_clip = 1.0") == 1
    assert not notes.raw


def test_in_a_loop_by_hand_the_optimizer_that_trains_decides() -> None:
    nlp, examples = by_hand.pipeline()
    # Which leaves its dropout rate in the layers.
    nlp.update(examples, drop=0.0, sgd=False)
    before = by_hand.weights(nlp)
    # The config's own optimizer block, which nobody uses here, has a clip.
    assert nlp.create_optimizer().grad_clip == 1.0
    with pytest.raises(UserError, match=r"grad_clip = 2\.0"):
        by_hand.train(nlp, [examples], GlobalClip(1.0), by_hand.adam(grad_clip=2.0), dropout=0.0)
    assert by_hand.weights(nlp) == before


def test_two_global_clips_are_refused() -> None:
    nlp, examples = by_hand.pipeline()
    first, second = GlobalClip(1.0), GlobalClip(2.0)

    def both(nlp, info) -> None:
        first(nlp, info)
        second(nlp, info)

    with pytest.raises(UserError, match="twice"):
        by_hand.train(nlp, [examples], both)


@pytest.mark.parametrize("threshold", [0, -1.0, math.nan, math.inf])
def test_a_threshold_that_is_no_length_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="it must be a number above 0"):
        GlobalClip(threshold)
