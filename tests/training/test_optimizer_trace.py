"""The trace of real trainings with this project's optimizers: it changes nothing, and what it says is what happened."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from thinc.api import SGD, Adam, Linear, Model, Optimizer, RAdam, Relu, chain, fix_random_seed

from tests.conftest import trace_block, weight_bytes
from trajet.adam import State, Step, ThincSettings, proximal_l1, thinc_adam, thinc_adamw, thinc_momentum
from trajet.trace import Trace, read_trace, trace_updates
from trajet.trace.parameters import name_parameters
from trajet.training.adamw import AdamW
from trajet.training.momentum import MomentumSGD
from trajet.training.optimizer import OwnOptimizer
from trajet.training.proximal_l1 import ProximalL1
from trajet.training.schedules import warmup_cosine

RATE = {"@schedules": "trajet.WarmupCosine.v1", "initial_rate": 0.02, "warmup_steps": 3, "total_steps": 30}


def _momentum(w, g, state: State, rate: float, name: str) -> Step:
    return thinc_momentum(w, g, state, ThincSettings(rate, L2=0.5, grad_clip=30.0), 0.9)


def _nesterov(w, g, state: State, rate: float, name: str) -> Step:
    settings = ThincSettings(rate, L2=0.5, grad_clip=1.0, L2_is_weight_decay=False)
    return thinc_momentum(w, g, state, settings, 0.8, nesterov=True)


def _adamw(w, g, state: State, rate: float, name: str) -> Step:
    spared = name.split("/")[-1] in ("b", "G", "pad")
    return thinc_adamw(w, g, state, ThincSettings(rate, L2=0.0 if spared else 2.0, grad_clip=1.0))


def _proximal(w, g, state: State, rate: float, name: str) -> Step:
    step = thinc_adam(w, g, state, ThincSettings(rate, L2=0.5, grad_clip=1.0))
    return proximal_l1(step, state, rate * 0.05)


BLOCKS = {
    "momentum": ({"@optimizers": "trajet.SGD.v1", "L2": 0.5, "grad_clip": 30.0}, _momentum),
    "AdamW": ({"@optimizers": "trajet.AdamW.v1", "L2": 2.0, "grad_clip": 1.0}, _adamw),
    "L1": ({"@optimizers": "trajet.ProximalL1.v1", "L1": 0.05, "optimizer": {"@optimizers": "Adam.v1", "L2": 0.5, "use_averages": False}}, _proximal),
}  # fmt: skip
# A corpus of this size is read, labelled and scored in no time.
SHORT = {"corpora.train.limit": 80, "corpora.dev.limit": 20, "training.max_steps": 15, "training.eval_frequency": 5}
STEPS = SHORT["training.max_steps"] + 1
WATCH = ["ner/precomputable_affine-0/b[1,:]", "tok2vec/maxout-1/W[3,1,:]", "tok2vec/layernorm-1/G[0]"]


class Call(NamedTuple):
    """The oracle's own note of one call of the optimizer, in float64; state flat, before and after."""

    key: tuple
    w: np.ndarray
    g: np.ndarray
    before: State
    after: np.ndarray
    m: np.ndarray
    v: np.ndarray | None
    rate: float


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What an independent note-taker inside the optimizers sees."""
    calls: list[Call] = []

    def note(owner: type) -> None:
        original = owner.__call__

        def noting(self, key, weights, gradient, *, lr_scale=1.0):
            flat = weights.astype(float).ravel(), gradient.astype(float).ravel()
            stores = self.mom1, self.mom2
            moments = [store[key].astype(float) if key in store else np.zeros(weights.size) for store in stores]
            before = State(self.nr_update.get(key, 0), *moments)
            result = original(self, key, weights, gradient, lr_scale=lr_scale)
            m, v = (store[key].astype(float) if key in store else None for store in stores)
            calls.append(Call(key, *flat, before, result[0].astype(float).ravel(), m, v, float(self.learn_rate)))
            return result

        monkeypatch.setattr(owner, "__call__", noting)

    note(OwnOptimizer)
    note(ProximalL1)
    return calls


@pytest.mark.parametrize("name", BLOCKS)
def test_a_training_is_not_changed_and_every_column_is_right(fit, noted: list[Call], tmp_path: Path, name: str) -> None:
    block, reference = BLOCKS[name]

    def edit(config) -> None:
        chosen = dict(block)
        if name == "L1":
            chosen["optimizer"] = {**chosen["optimizer"], "learn_rate": RATE}
        else:
            chosen["learn_rate"] = RATE
        config["training"]["optimizer"] = chosen

    plain = fit("plain", edit=edit, **SHORT)
    noted.clear()
    traced = fit("traced", trace_block(tmp_path / "t.jsonl", level="full", watch=WATCH), edit=edit, **SHORT)
    for part in ("model-best", "model-last"):
        assert weight_bytes(traced.output / part) == weight_bytes(plain.output / part)
    assert [row["losses"] for row in traced.log] == [row["losses"] for row in plain.log]

    trace = read_trace(tmp_path / "t.jsonl")
    assert trace.steps["learn_rate"].tolist() == pytest.approx([_rate(step) for step in range(STEPS)], rel=1e-12)
    names = _names(traced.nlp)
    assert len(noted) == len(trace.tensors) == STEPS * len(names)
    table = trace.tensors.set_index(["step", "parameter"])
    for number, call in enumerate(noted):
        parameter = names[call.key]
        row = table.loc[(number // len(names), parameter)]
        expected = reference(call.w, call.g, call.before, call.rate, parameter)
        _assert_row(row, call, expected, f"{name}, step {number // len(names)}, {parameter}")
    assert (table["clipped"] == 1).any()
    assert (table["clipped"] == 0).any()
    _assert_watched(trace, noted, names)
    if name == "AdamW":
        # After the first step, whose rate is 0.
        later = table[table.index.get_level_values("step") > 0]
        decayed = later["decay_part_norm"] > 0
        short = pd.Series([text.split("/")[-1] for text in later.index.get_level_values("parameter")], later.index)
        assert set(short[~decayed & (later["weight_norm"] > 0)]) == {"G", "b", "pad"}
        assert set(short[decayed]) == {"W", "E"}


def _rate(step: int) -> float:
    return 0.02 * step / 3 if step < 3 else 0.01 * (1 + np.cos(np.pi * (step - 3) / 27))


def _names(nlp) -> dict[tuple, str]:
    found = [p for name in ("tok2vec", "ner") for p in name_parameters(name, nlp.get_pipe(name).model)]
    return {parameter.key: parameter.name for parameter in found}


def _assert_row(row: pd.Series, call: Call, expected: Step, where: str) -> None:
    # Sums of squares in float32: off by less than n * 2^-24 in the worst case.
    close = {"rel": 2e-5, "abs": 1e-12}
    assert row["grad_norm"] == pytest.approx(np.linalg.norm(call.g), **close), where
    assert row["weight_norm"] == pytest.approx(np.linalg.norm(call.after), **close), where
    assert row["update_norm"] == pytest.approx(np.linalg.norm(call.after - call.w), **close), where
    assert row["clipped"] == (expected.clip_factor != 1), where
    # The float32 weights are rounded some three times on the way.
    rounding = 3 * 2.0**-23 * (np.linalg.norm(call.w) + np.linalg.norm(expected.gradient_part))
    for column in ("gradient_part", "decay_part"):
        wanted = np.linalg.norm(getattr(expected, column))
        assert row[f"{column}_norm"] == pytest.approx(wanted, rel=1e-4, abs=rounding), f"{where}: {column}"
    assert row["mom1_norm"] == pytest.approx(np.linalg.norm(call.m), **close), where
    if call.v is None:
        assert np.isnan(row["mom2_norm"]), where
        assert np.isnan(row["effective_eps"]), where
    else:
        assert row["mom2_norm"] == pytest.approx(np.linalg.norm(call.v), **close), where
        assert row["effective_eps"] == pytest.approx(expected.effective_eps, rel=1e-5), where


def _assert_watched(trace: Trace, noted: list[Call], names: dict[tuple, str]) -> None:
    """9 digits name a float32: what is watched is what the note-taker saw, and the parts add up."""
    watched = trace.watched
    assert watched["watch"].nunique() == len(WATCH)
    _assert_parts_add_up(watched)
    calls = {(number // len(names), names[call.key]): call for number, call in enumerate(noted)}
    for text, rows in watched.groupby("watch"):
        parameter, index = str(text).rstrip("]").split("[")
        for step, entries in rows.groupby("step"):
            call = calls[(step, parameter)]
            places = _places(parameter, index, call.w.size, len(entries))
            seen = {"w": call.w, "g": call.g, "m": call.m, "v": call.v, "w_after": call.after}
            for column, array in seen.items():
                if array is None:
                    assert entries[column].isna().all()
                else:
                    kept = entries[column].astype("float32").to_numpy()
                    np.testing.assert_array_equal(kept, array[places].astype("float32"), err_msg=f"{text} {column}")


def _assert_parts_add_up(watched: pd.DataFrame) -> None:
    w, after = (watched[column].astype("float32").astype(float) for column in ("w", "w_after"))
    parts = watched["gradient_part"], watched["decay_part"]
    # 9 digits each, so half of 1e-8 of what they are at most.
    written = 0.5e-8 * (parts[0].abs() + parts[1].abs())
    assert ((parts[0] + parts[1] - (after - w)).abs() <= written).all()


def _places(parameter: str, index: str, size: int, length: int) -> np.ndarray:
    # The watches above, by hand: maxout W is (24, 3, 24 * 9 or so), the affine b (16, 2).
    numbers = [int(part) for part in index.split(",") if part != ":"]
    start = {1: numbers[0] * length, 2: (numbers[0] * 3 + numbers[-1]) * length}[len(numbers)]
    return np.arange(start, start + length)


def test_every_column_is_right_where_L2_joins_the_gradient(noted: list[Call], tmp_path: Path) -> None:
    """What is clipped is the sum, what is recorded the gradient; there is no decay part."""
    optimizer = MomentumSGD(0.02, momentum=0.8, nesterov=True, L2=0.5, L2_is_weight_decay=False, grad_clip=1.0)
    _train(optimizer, tmp_path / "t.jsonl", "full", steps=60)
    trace = read_trace(tmp_path / "t.jsonl")
    assert len(noted) == len(trace.tensors) == 60 * 4
    for call, (_, row) in zip(noted, trace.tensors.iterrows(), strict=True):
        _assert_row(
            row, call, _nesterov(call.w, call.g, call.before, call.rate, ""), f"{row['step']} {row['parameter']}"
        )
    assert (trace.tensors["decay_part_norm"] == 0).all()
    assert set(trace.tensors["clipped"]) == {0, 1}


# -- a bare loop: where float32 and formulas end ---------------------------------------------------


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 6)).astype("float32"), rng.normal(size=(20, 3)).astype("float32")


def _train(optimizer: Optimizer, path: Path | None, level: str = "tensors", steps: int = 15) -> Model:
    fix_random_seed(0)
    X, Y = _data()
    model = chain(Relu(8), Linear(3)).initialize(X=X, Y=Y)

    def run(update: Callable) -> None:
        for _ in range(steps):
            predicted, backprop = model.begin_update(X)
            backprop(predicted - Y)
            update(optimizer)

    if path is None:

        def plain(optimizer: Optimizer) -> None:
            model.finish_update(optimizer)
            optimizer.step_schedules()

        run(plain)
    else:
        with trace_updates(model, path, level=level, watch=["model/relu-0/W[:,:]", "model/linear-0/b[:]"]) as update:
            run(update)
    return model


MAKERS = {
    "momentum": lambda: MomentumSGD(warmup_cosine(0.01, 4, 20), L2=0.1, grad_clip=0.5, use_averages=True),
    "plain SGD of ours": lambda: MomentumSGD(0.01, momentum=0.0),
    "AdamW": lambda: AdamW(warmup_cosine(0.01, 4, 20), L2=1.0, use_averages=True),
    "AdamW without decay": lambda: AdamW(0.01, L2=0.0),
    "L1 around Adam": lambda: ProximalL1(Adam(warmup_cosine(0.05, 4, 20), L2=1.0), 1.0),
    "L1 around RAdam": lambda: ProximalL1(RAdam(0.05, L2=1.0), 1.0),
    "L1 around SGD": lambda: ProximalL1(SGD(0.01, grad_clip=0.0), 3.0),
    "L1 around AdamW": lambda: ProximalL1(AdamW(0.05, L2=1.0, grad_clip=1.0), 1.0),
    "L1 of 0": lambda: ProximalL1(Adam(0.01, L2=1.0, use_averages=False), 0.0),
    "strongest L1": lambda: ProximalL1(Adam(0.05), 1e6),
}


@pytest.mark.parametrize("level", ["tensors", "full"])
@pytest.mark.parametrize("name", MAKERS)
def test_the_loop_is_not_changed_and_the_parts_add_up(tmp_path: Path, name: str, level: str) -> None:
    traced, plain = MAKERS[name](), MAKERS[name]()
    assert _train(traced, tmp_path / "t.jsonl", level).to_bytes() == _train(plain, None).to_bytes()
    for store in ("mom1", "mom2", "averages"):
        arrays = [[array.tobytes() for array in (getattr(o, store) or {}).values()] for o in (traced, plain)]
        assert arrays[0] == arrays[1], store
    trace = read_trace(tmp_path / "t.jsonl")
    watched = trace.watched
    _assert_parts_add_up(watched)
    # All of a tensor is watched: its norms are those of its rows.
    for parameter, text in (("model/relu-0/W", "model/relu-0/W[:,:]"), ("model/linear-0/b", "model/linear-0/b[:]")):
        rows = trace.tensors[trace.tensors["parameter"] == parameter].set_index("step")
        for column in ("gradient_part", "decay_part"):
            norms = watched[watched["watch"] == text].groupby("step")[column].apply(np.linalg.norm)
            np.testing.assert_allclose(rows[f"{column}_norm"], norms, rtol=2e-5, atol=1e-9)


def test_what_the_threshold_took_of_a_weight_that_became_zero_is_decay(tmp_path: Path) -> None:
    """The final weight 0 does not tell; only the optimizer knew."""
    _train(MAKERS["strongest L1"](), tmp_path / "t.jsonl", steps=3)
    first = read_trace(tmp_path / "t.jsonl").watched.query("step == 0 and watch == 'model/relu-0/W[:,:]'")
    assert (first["w_after"] == 0).all()
    # Adam's first update moves each weight by the rate, 0.05, against its gradient (eps is nothing beside these).
    moved = -0.05 * np.sign(first["g"])
    np.testing.assert_allclose(first["gradient_part"], moved, rtol=0, atol=1e-4)
    np.testing.assert_allclose(first["decay_part"], -(first["w"] + moved), rtol=0, atol=1e-4)


class Home(Optimizer):
    """An optimizer of somebody's own, whose formula the trace cannot know."""

    def __call__(self, key, weights, gradient, *, lr_scale=1.0):
        weights -= 0.01 * np.sign(gradient)
        gradient *= 0
        return weights, gradient


def test_around_an_unknown_optimizer_the_threshold_alone_is_decay(tmp_path: Path) -> None:
    _train(ProximalL1(Home(0.01, use_averages=False), 0.1), tmp_path / "t.jsonl", level="full", steps=3)
    trace = read_trace(tmp_path / "t.jsonl")
    rows = trace.watched[np.abs(trace.watched["w_after"]) > 0]
    np.testing.assert_allclose(np.abs(rows["decay_part"]), 0.001, rtol=1e-4)
    np.testing.assert_allclose(np.abs(rows["gradient_part"]), 0.01 * (rows["g"] != 0), rtol=1e-4, atol=1e-8)
    assert trace.tensors["effective_eps"].isna().all()


def test_the_header_has_the_settings_that_thincs_optimizers_lack(tmp_path: Path) -> None:
    headers = {}
    for name in ("momentum", "L1 around AdamW", "L1 around Adam"):
        _train(MAKERS[name](), tmp_path / "t.jsonl", steps=1)
        headers[name] = read_trace(tmp_path / "t.jsonl").header["optimizer"]
    own = headers["momentum"]
    assert own["class"] == "trajet.training.momentum.MomentumSGD"
    assert (own["momentum"], own["nesterov"], own["dampening"]) == (0.9, False, 0.0)
    assert (own["L2"], own["grad_clip"], own["use_averages"], own["scheduled"]) == (0.1, 0.5, True, ["learn_rate"])
    own = headers["L1 around AdamW"]
    assert own["class"] == "trajet.training.proximal_l1.ProximalL1"
    assert (own["optimizer"], own["L1"]) == ("trajet.training.adamw.AdamW", 1.0)
    assert (own["L2"], own["grad_clip"], own["no_decay"]) == (1.0, 1.0, ["b", "G", "pad"])
    own = headers["L1 around Adam"]
    assert (own["optimizer"], own["L2"], own["beta2"]) == ("thinc.optimizers.Optimizer", 1.0, 0.999)
    assert own["scheduled"] == ["learn_rate"]


def test_torch_parameters_are_traced_and_spared_alike(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from thinc.api import PyTorchWrapper

    fix_random_seed(0)
    X, Y = _data()
    model = chain(PyTorchWrapper(torch.nn.Linear(6, 5)), Linear(3)).initialize(X=X, Y=Y)
    with trace_updates(model, tmp_path / "t.jsonl", watch=["model/pytorch-0/weight[1,:]"]) as update:
        for _ in range(4):
            predicted, backprop = model.begin_update(X)
            backprop(predicted - Y)
            update(AdamW(0.01, L2=1.0))
    trace = read_trace(tmp_path / "t.jsonl")
    decay = trace.tensors.groupby("parameter", observed=True)["decay_part_norm"].min()
    assert (decay > 0).to_dict() == {
        "model/pytorch-0/weight": True, "model/pytorch-0/bias": False, "model/linear-0/W": True, "model/linear-0/b": False,
    }  # fmt: skip
    watched = trace.watched
    assert watched["decay_part"].to_numpy() == pytest.approx(-0.01 * watched["w"].to_numpy(), rel=1e-6)
