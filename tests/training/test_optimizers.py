"""This project's optimizers against the reference mathematics in float64, against torch, and in real models."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import spacy
from spacy.training import Example
from thinc.api import SGD, Adam, LayerNorm, Linear, Model, Optimizer, RAdam, chain, fix_random_seed, registry

from tests.conformance.test_reference import GRADIENTS, SHAPE
from trajet.adam import (
    State,
    Step,
    ThincSettings,
    adamw,
    momentum,
    proximal_l1,
    thinc_adam,
    thinc_adamw,
    thinc_momentum,
    thinc_sgd,
)
from trajet.errors import UserError
from trajet.rounding import TINY, Bounds, U, _gradient_error, step_bounds
from trajet.trace import trace_updates
from trajet.training.adamw import AdamW
from trajet.training.momentum import MomentumSGD
from trajet.training.proximal_l1 import ProximalL1
from trajet.training.schedules import warmup_cosine

KEY = (1, "W")
HUNDRED = 100

# -- references and bounds ---------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An optimizer, the reference for one update of it, and how far float32 may lie from it."""

    make: Callable[[], Optimizer]
    reference: Callable[[np.ndarray, np.ndarray, State], Step]
    bounds: Callable[[Step, State], Bounds]
    lr_scale: float = 1.0


def _momentum_case(momentum: float = 0.9, dampening: float = 0.0, nesterov: bool = False, lr_scale: float = 1.0,
                   **settings) -> Case:  # fmt: skip
    known = ThincSettings(**settings, lr_scale=lr_scale)
    return Case(
        lambda: MomentumSGD(**settings, momentum=momentum, dampening=dampening, nesterov=nesterov),
        lambda w, g, state: thinc_momentum(w, g, state, known, momentum, dampening, nesterov),
        lambda step, before: _momentum_bounds(step, before, known, momentum, dampening, nesterov),
        lr_scale,
    )


def _adamw_case(lr_scale: float = 1.0, **settings) -> Case:
    known = ThincSettings(**settings, lr_scale=lr_scale)
    return Case(
        lambda: AdamW(**settings),
        lambda w, g, state: thinc_adamw(w, g, state, known),
        lambda step, before: _adamw_bounds(step, before, known),
        lr_scale,
    )


def _proximal_case(inner: Case, learn_rate: float, L1: float, use_averages: bool = False) -> Case:
    threshold = inner.lr_scale * learn_rate * L1
    known = ThincSettings(use_averages=use_averages)
    return Case(
        lambda: ProximalL1(inner.make(), L1),
        lambda w, g, state: proximal_l1(inner.reference(w, g, state), state, threshold, known),
        lambda step, before: _shrunk_bounds(inner.bounds(inner.reference(step.w, step.g, before), before), step, before, threshold),
        inner.lr_scale,
    )  # fmt: skip


def _thinc_case(make: Callable, reference: Callable, **settings) -> Case:
    known = ThincSettings(**settings)
    return Case(
        lambda: make(**settings),
        lambda w, g, state: reference(w, g, state, known),
        lambda step, before: step_bounds(step, before, known),
    )


def _momentum_bounds(step: Step, before: State, settings: ThincSettings, momentum: float, dampening: float,
                     nesterov: bool) -> Bounds:  # fmt: skip
    """Every factor is rounded once as float32, every product and sum once."""
    with np.errstate(all="ignore"):
        used, used_error, m = np.abs(step.g_used), _gradient_error(step, settings), np.abs(step.m)
        m_error = (
            2 * U * momentum * np.abs(before.m)
            + (1 - dampening) * (used_error + (2 * U if dampening else 0) * used)
            + U * m
        )
        direction_error, direction = m_error, m
        if nesterov:
            direction = np.abs(step.g_used + momentum * step.m)
            direction_error = used_error + momentum * m_error + 2 * U * momentum * m + U * direction
        rate = settings.lr_scale * settings.learn_rate
        part_error = rate * direction_error + 2 * U * np.abs(step.gradient_part)
        w_error = (
            part_error + U * np.abs(step.w + step.gradient_part) + 4 * U * np.abs(step.decay_part) + U * np.abs(step.w_after)
        )  # fmt: skip
        return _closed(m_error, np.zeros_like(m_error), w_error, step, before)


def _adamw_bounds(step: Step, before: State, settings: ThincSettings) -> Bounds:
    """Those of Thinc's Adam whose eps is scaled, and the rounding of the weights that were decayed first."""
    scaled = replace(settings, eps=settings.eps * np.sqrt(step.bias2))
    bounds = step_bounds(replace(step, average=None), before, scaled)
    w_error = bounds.w_after + U * np.abs(step.w + step.decay_part)
    return _closed(bounds.m, bounds.v, w_error, step, before)


def _shrunk_bounds(inner: Bounds, step: Step, before: State, threshold: float) -> Bounds:
    """The threshold does not enlarge a difference; itself it is rounded once, and so is the result."""
    return _closed(inner.m, inner.v, inner.w_after + U * threshold + U * np.abs(step.w_after), step, before)


def _closed(m_error, v_error, w_error, step: Step, before: State) -> Bounds:
    slack, average = 1.01, None
    if step.average is not None:
        kept = min((1 + step.t) / (10 + step.t), 0.9999)
        difference = np.abs((0 if before.average is None else before.average) - step.w_after)
        average = slack * ((1 - kept) * (w_error + 3 * U * difference) + U * np.abs(step.average)) + TINY
    m_error, v_error, w_error = (slack * error + TINY for error in (m_error, v_error, w_error))
    return Bounds(m_error, v_error, w_error, average)


LARGE = {"learn_rate": 1e-2, "L2": 0.5, "grad_clip": 1.0}
ADAM = _thinc_case(Adam, thinc_adam, learn_rate=1e-2, L2=0.5, grad_clip=1.0, use_averages=False)
CASES = {
    "momentum": _momentum_case(**LARGE),
    "momentum, no clip": _momentum_case(learn_rate=1e-3, L2=0.0, grad_clip=0.0),
    "momentum, L2 in the gradient": _momentum_case(**LARGE, L2_is_weight_decay=False),
    "momentum, dampening": _momentum_case(**LARGE, dampening=0.9),
    "nesterov": _momentum_case(**LARGE, nesterov=True),
    "nesterov, averages, lr_scale": _momentum_case(**LARGE, nesterov=True, use_averages=True, lr_scale=0.3),
    "AdamW": _adamw_case(learn_rate=1e-3, L2=0.01, grad_clip=0.0),
    "AdamW, clip and strong decay": _adamw_case(learn_rate=1e-2, L2=10.0, grad_clip=1.0),
    "AdamW, other betas and eps": _adamw_case(learn_rate=1e-3, L2=0.1, beta1=0.5, beta2=0.9, eps=1e-3),
    "AdamW, averages, lr_scale": _adamw_case(learn_rate=1e-2, L2=0.1, grad_clip=1.0, use_averages=True, lr_scale=0.3),
    "AdamW, documented rate": _adamw_case(learn_rate=5e-5, L2=0.01, grad_clip=1.0),
    "L1 around Adam": _proximal_case(ADAM, 1e-2, 1.0),
    "L1 around SGD": _proximal_case(_thinc_case(SGD, thinc_sgd, **LARGE, use_averages=False), 1e-2, 1.0),
    "L1 around AdamW, averages": _proximal_case(_adamw_case(**LARGE, use_averages=True, lr_scale=0.5), 1e-2, 2.0, True),
    "L1 around nesterov": _proximal_case(_momentum_case(**LARGE, nesterov=True), 1e-2, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("gradients", GRADIENTS, ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("name", CASES)
def test_every_update_is_what_the_reference_says(name: str, gradients: Callable) -> None:
    """Each starts from the optimizer's own float32 state, so that only one update's rounding is in between."""
    case = CASES[name]
    optimizer = case.make()
    rng = np.random.default_rng(0)
    w = rng.normal(size=SHAPE).astype(np.float32)
    for step in range(HUNDRED):
        g = gradients(rng, step).astype(np.float32)
        before = _state(optimizer, step, w)
        expected = case.reference(w, g, before)
        own_g, own_w = g.copy(), w.copy()
        with np.errstate(all="ignore"):
            result, own_g = optimizer(KEY, own_w, own_g, lr_scale=case.lr_scale)
        assert np.shares_memory(result, own_w), "the weights were not updated in place"
        if not isinstance(optimizer, ProximalL1):
            assert not own_g.any(), "the gradient was not zeroed"
        w = own_w
        _assert_within(f"{name}, update {step + 1}", case.bounds(expected, before), expected, optimizer, w)


def _state(optimizer: Optimizer, t: int, w: np.ndarray) -> State:
    def kept(store: dict | None) -> np.ndarray:
        return store[KEY].reshape(w.shape).astype(float) if store and KEY in store else np.zeros(w.shape)

    return State(t, kept(optimizer.mom1), kept(optimizer.mom2), kept(optimizer.averages))


def _assert_within(where: str, bounds: Bounds, expected: Step, optimizer: Optimizer, w: np.ndarray) -> None:
    state = _state(optimizer, expected.t, w)
    results = [("w", w.astype(float), expected.w_after, bounds.w_after)]
    results += [("m", state.m, expected.m, bounds.m)] if KEY in optimizer.mom1 else []
    results += [("v", state.v, expected.v, bounds.v)] if KEY in optimizer.mom2 else []
    if optimizer.averages is not None:
        results.append(("average", state.average, expected.average, bounds.average))
    for what, actual, wanted, bound in results:
        finite = np.isfinite(wanted)
        if not finite.all():
            np.testing.assert_array_equal(actual[~finite], wanted[~finite], err_msg=f"{where}: {what}")
        distance = np.abs(actual[finite] - wanted[finite])
        assert (distance <= bound[finite]).all(), (
            f"{where}: {what} off by {(distance / bound[finite]).max():.3g} bounds"
        )


def test_the_references_are_the_published_algorithms_where_nothing_is_clipped() -> None:
    """Those are held against torch in float64 (tests/conformance)."""
    rng = np.random.default_rng(0)
    w, states = rng.normal(size=SHAPE), [State.of(np.zeros(SHAPE))] * 3
    known = ThincSettings(1e-2, L2=0.1, lr_scale=0.5)
    for _ in range(5):
        g = rng.normal(size=SHAPE)
        pairs = [
            (thinc_adamw(w, g, states[0], known), adamw(w, g, states[0], 0.5e-2, weight_decay=0.1)),
            (thinc_momentum(w, g, states[1], replace(known, L2=0.0), 0.8), momentum(w, g, states[1], 0.5e-2, 0.8)),
            (
                thinc_momentum(w, g, states[2], replace(known, L2_is_weight_decay=False), 0.8, 0.3, True),
                momentum(w, g + 0.1 * w, states[2], 0.5e-2, 0.8, 0.3, True),
            ),
        ]
        for mine, published in pairs:
            np.testing.assert_allclose(mine.w_after, published.w_after, rtol=1e-14)
            np.testing.assert_allclose(mine.m, published.m, rtol=1e-14)
            np.testing.assert_allclose(mine.w + mine.gradient_part + mine.decay_part, mine.w_after, rtol=1e-14)
        states = [mine.state for mine, _ in pairs]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("momentum", _momentum_case(**LARGE, momentum=0.901)),
        ("momentum", _momentum_case(**LARGE, nesterov=True)),
        ("momentum", _momentum_case(**LARGE, L2_is_weight_decay=False)),
        ("nesterov", _momentum_case(**LARGE)),
        ("momentum, dampening", _momentum_case(**LARGE, dampening=0.901)),
        ("AdamW, clip and strong decay", _adamw_case(learn_rate=1e-2, L2=10.1, grad_clip=1.0)),
        # Decay after the step, eps beside sqrt(v): Thinc's Adam.
        ("AdamW, clip and strong decay", _thinc_case(Adam, thinc_adam, learn_rate=1e-2, L2=10.0, grad_clip=1.0)),
        ("AdamW, other betas and eps", _thinc_case(Adam, thinc_adam, learn_rate=1e-3, L2=0.1, beta1=0.5, beta2=0.9, eps=1e-3)),
        ("L1 around Adam", _proximal_case(ADAM, 1e-2, 1.01)),
        ("L1 around Adam", ADAM),
    ],
)  # fmt: skip
def test_the_bounds_see_a_wrong_formula(name: str, wrong: Case) -> None:
    rng, case = np.random.default_rng(0), CASES[name]
    w, state = rng.normal(size=SHAPE), State.of(np.zeros(SHAPE))
    seen = False
    for _ in range(3):
        g = rng.normal(size=SHAPE)
        step = case.reference(w, g, state)
        bound = case.bounds(step, state).w_after
        seen |= bool((np.abs(wrong.reference(w, g, state).w_after - step.w_after) > bound).any())
        w, state = step.w_after, step.state
    assert seen


def test_proximal_l1_makes_weights_exactly_zero_and_leaves_large_ones() -> None:
    """By hand: zero gradients, SGD, threshold 0.1 * 2 = 0.2 an update."""
    optimizer, w = ProximalL1(SGD(0.1, use_averages=False), 2.0), np.array([1.0, -0.5, 0.25, -0.1, 0.0], "f")
    optimizer(KEY, w, np.zeros(5, "f"))
    assert w.tolist() == pytest.approx([0.8, -0.3, 0.05, 0, 0], rel=1e-6)
    assert (w[3:] == 0).all()
    optimizer(KEY, w, np.zeros(5, "f"))
    assert w.tolist() == pytest.approx([0.6, -0.1, 0, 0, 0], rel=1e-6)
    assert (w[2:] == 0).all()


def test_momentum_of_0_is_thincs_sgd() -> None:
    rng = np.random.default_rng(0)
    thincs, ours = (
        SGD(1e-2, L2=0.1, grad_clip=2.0),
        MomentumSGD(1e-2, momentum=0.0, L2=0.1, grad_clip=2.0, use_averages=True),
    )
    w = rng.normal(size=SHAPE).astype("f")
    twin = w.copy()
    for _ in range(20):
        g = rng.normal(size=SHAPE).astype("f")
        thincs(KEY, w, g.copy())
        ours(KEY, twin, g)
    np.testing.assert_array_equal(w, twin)
    np.testing.assert_array_equal(thincs.averages[KEY], ours.averages[KEY])


def test_proximal_l1_of_0_is_the_wrapped_optimizer() -> None:
    rng = np.random.default_rng(0)
    alone, wrapped = Adam(1e-2, L2=0.1), ProximalL1(Adam(1e-2, L2=0.1), 0.0)
    w = rng.normal(size=SHAPE).astype("f")
    twin = w.copy()
    for _ in range(20):
        g = rng.normal(size=SHAPE).astype("f")
        alone(KEY, w, g.copy())
        wrapped(KEY, twin, g)
    np.testing.assert_array_equal(w, twin)
    np.testing.assert_array_equal(alone.averages[KEY], wrapped.averages[KEY])


# -- torch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e3], ids=["ordinary", "eps matters", "large"])
@pytest.mark.parametrize("settings", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-4}], ids=["defaults", "others"])
def test_adamw_is_torchs_over_100_updates(settings: dict, scale: float) -> None:
    """torch in float64, biases in a group without decay, as this class does it by name."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours = {name: rng.normal(size=shape).astype("f") for name, shape in (("W", SHAPE), ("b", SHAPE[:1]))}
    theirs = {name: torch.nn.Parameter(torch.tensor(w, dtype=torch.float64)) for name, w in ours.items()}
    betas = settings.get("beta1", 0.9), settings.get("beta2", 0.999)
    groups = [{"params": [theirs["W"]], "weight_decay": 0.1}, {"params": [theirs["b"]], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=1e-2, betas=betas, eps=settings.get("eps", 1e-8))
    optimizer, other = AdamW(1e-2, L2=0.1, **settings), Adam(1e-2, L2=0.1, grad_clip=0.0, **settings)
    thincs = {name: w.copy() for name, w in ours.items()}
    for step in range(HUNDRED):
        # A spike in between: what is remembered of it has to fade alike.
        gradients = {name: (rng.normal(size=w.shape) * scale * (1e3 if step == 20 else 1)).astype("f") for name, w in ours.items()}  # fmt: skip
        for name, g in gradients.items():
            theirs[name].grad = torch.tensor(g, dtype=torch.float64)
            other((1, name), thincs[name], g.copy())
            optimizer((1, name), ours[name], g)
        reference.step()
    # 1 - beta2 in float32 is off by up to 2^-24 / (1 - beta2) of itself, the root by half of that, and with it the way
    # walked, lr an update at most; and each update rounds weights of size 4 some three times.
    tolerance = 1e-2 * HUNDRED * 2.0**-25 / (1 - betas[1]) + HUNDRED * 3 * 4 * U
    for name, w in ours.items():
        np.testing.assert_allclose(w, theirs[name].detach().numpy(), rtol=0, atol=tolerance)
    # The comparison can fail: Thinc's Adam decays b too, and gradients this small tell where its eps stands.
    for name in ("W", "b") if scale == 1e-7 else ("b",):
        assert np.abs(thincs[name] - theirs[name].detach().numpy()).max() > 4 * tolerance


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("L2", [0.0, 0.1])
def test_momentum_is_torchs_over_100_updates(nesterov: bool, L2: float) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    w = rng.normal(size=SHAPE).astype("f")
    theirs = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))
    reference = torch.optim.SGD([theirs], lr=1e-2, momentum=0.9, nesterov=nesterov, weight_decay=L2)
    # torch adds its decay to the gradient.
    optimizer = MomentumSGD(1e-2, momentum=0.9, nesterov=nesterov, L2=L2, L2_is_weight_decay=False)
    largest = 0.0
    for step in range(HUNDRED):
        g = (rng.normal(size=SHAPE) * (50 if step == 20 else 1)).astype("f")
        theirs.grad = torch.tensor(g, dtype=torch.float64)
        optimizer(KEY, w, g)
        reference.step()
        largest = max(largest, float(np.abs(w).max()), 1e-2 * float(np.abs(optimizer.mom1[KEY]).max()))
    # Six roundings an update of nothing larger; an error in m goes on for 1 / (1 - 0.9) updates.
    np.testing.assert_allclose(w, theirs.detach().numpy(), rtol=0, atol=HUNDRED * 6 * 10 * U * largest)


def _wrapped(module) -> Model:
    from thinc.api import PyTorchWrapper

    model = chain(PyTorchWrapper(module), LayerNorm(4), Linear(3, 4)).initialize()
    # Layers and shims count their ids separately: no layer here shall have this one's.
    model.layers[0].shims[0].id = -1
    return model


@pytest.fixture
def module():
    """A torch module with parameters of every kind that matters."""
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(6, 4)
            self.lstm = torch.nn.LSTM(4, 4, 1)
            self.norm = torch.nn.LayerNorm(4)
            # Thinc would not spare it, torch's rule does not either: a matrix under the name of a Thinc bias.
            self.b = torch.nn.Parameter(torch.ones(4, 4))

        def forward(self, x):
            return self.norm(self.lstm(self.linear(x))[0]) @ self.b

    return Module()


def _parameters(model: Model) -> dict[str, np.ndarray]:
    found = {
        f"torch {name}": value.detach().numpy().copy()
        for name, value in model.layers[0].shims[0]._model.named_parameters()
    }
    for node in model.walk():
        found |= {f"{node.name} {name}": node.get_param(name).copy() for name in node.param_names}
    return found


def _zero_gradients(model: Model) -> None:
    for value in model.layers[0].shims[0]._model.parameters():
        value.grad = value.detach() * 0
    for node in model.walk():
        for name in node.param_names:
            node.set_grad(name, node.get_param(name) * 0)


@pytest.mark.parametrize("inner", [lambda o: o, lambda o: ProximalL1(o, 0.0)], ids=["AdamW", "AdamW within"])
def test_adamw_decays_no_bias_and_no_norm(module, tmp_path, inner: Callable) -> None:
    """With zero gradients nothing but the decay moves a weight; also with a trace in between."""
    fix_random_seed(0)
    model = _wrapped(module)
    before = _parameters(model)
    _zero_gradients(model)
    optimizer = inner(AdamW(0.5, L2=0.5))
    with trace_updates(model, tmp_path / "t.jsonl") as update:
        update(optimizer)
    after = _parameters(model)
    spared = {name for name in before if np.array_equal(before[name], after[name])}
    assert spared == {
        "torch linear.bias", "torch lstm.bias_ih_l0", "torch lstm.bias_hh_l0", "torch norm.weight", "torch norm.bias",
        "layernorm G", "layernorm b", "linear b",
    }  # fmt: skip
    for name in before.keys() - spared:
        assert after[name] == pytest.approx(0.75 * before[name], rel=1e-6), name


def test_no_decay_is_the_users_to_choose() -> None:
    optimizer = AdamW(0.5, L2=0.5, no_decay=["E"])
    moved = {}
    for name in ("W", "b", "E"):
        w = np.ones((2, 2), "f")
        optimizer((1, name), w, np.zeros((2, 2), "f"))
        moved[name] = w[0, 0]
    assert moved == {"W": 0.75, "b": 0.75, "E": 1.0}


# -- averages ----------------------------------------------------------------------------------

AVERAGING = {
    "momentum": lambda **more: MomentumSGD(0.01, **more),
    "AdamW": lambda **more: AdamW(0.01, **more),
    "L1 around Adam": lambda **more: ProximalL1(Adam(0.01, **more), 0.1),
    "L1 around AdamW": lambda **more: ProximalL1(AdamW(0.01, **more), 0.1),
}


@pytest.mark.parametrize("traced", [False, True], ids=["bare", "traced"])
@pytest.mark.parametrize("name", AVERAGING)
def test_averages_beside_torch_parameters_are_refused(module, tmp_path, name: str, traced: bool) -> None:
    model = _wrapped(module)
    before = _parameters(model)
    _zero_gradients(model)
    optimizer = AVERAGING[name](use_averages=True)
    with trace_updates(model, tmp_path / "t.jsonl") as traced_update:
        update = traced_update if traced else model.finish_update
        with pytest.raises(UserError) as caught:
            update(optimizer)
    said = str(caught.value)
    assert "'b' is torch's" in said
    assert "Set use_averages = false in [training.optimizer]" in said
    assert said.startswith(optimizer.name)
    assert "\n" not in said
    for key, value in _parameters(model).items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("name", AVERAGING)
def test_without_averages_torch_parameters_are_trained(module, name: str) -> None:
    model = _wrapped(module)
    before = _parameters(model)
    _zero_gradients(model)
    for value in module.parameters():
        value.grad += 1
    model.finish_update(AVERAGING[name](use_averages=False))
    assert all((after < before[key]).any() for key, after in _parameters(model).items() if key.startswith("torch"))


@pytest.mark.parametrize("name", AVERAGING)
def test_thinc_models_are_averaged(name: str) -> None:
    """As use_params takes them: under the layers' keys, and of the weights that the model has."""
    fix_random_seed(0)
    model = chain(LayerNorm(6), Linear(3, 6)).initialize()
    optimizer = AVERAGING[name](use_averages=True)
    expected: dict[tuple, np.ndarray] = {}
    for t in range(1, 6):
        predicted, backprop = model.begin_update(np.ones((5, 6), "f"))
        backprop(predicted - np.eye(3, dtype="f")[[0, 1, 2, 0, 1]])
        model.finish_update(optimizer)
        kept = min((1 + t) / (10 + t), 0.9999)
        for node in model.walk():
            for parameter in node.param_names:
                key = (node.id, parameter)
                expected[key] = kept * expected.get(key, 0) + (1 - kept) * node.get_param(parameter)
    assert optimizer.averages.keys() == expected.keys()
    for key, value in expected.items():
        assert optimizer.averages[key] == pytest.approx(value, rel=1e-5, abs=1e-7)


# -- in a model that changes -------------------------------------------------------------------

PLAIN = {
    "momentum": lambda: MomentumSGD(0.01, nesterov=True, L2=0.1, use_averages=True),
    "AdamW": lambda: AdamW(0.01, grad_clip=1.0, use_averages=True),
    "L1 around Adam": lambda: ProximalL1(Adam(0.01), 0.1),
    "L1 around RAdam": lambda: ProximalL1(RAdam(0.01), 0.01),
    "L1 around momentum": lambda: ProximalL1(MomentumSGD(0.01, use_averages=True), 0.1),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_tensor_of_another_size_starts_afresh_and_others_go_on(name: str) -> None:
    rng = np.random.default_rng(0)
    optimizer, untouched, fresh = PLAIN[name](), PLAIN[name](), PLAIN[name]()
    small, other, same = (rng.normal(size=(3, 4)).astype("f") for _ in range(3))
    same[...] = other
    for _ in range(5):
        g = rng.normal(size=(3, 4)).astype("f")
        optimizer(KEY, small, g.copy())
        optimizer((2, "W"), other, g.copy())
        untouched((2, "W"), same, g.copy())
    larger = np.vstack([small, rng.normal(size=(2, 4)).astype("f")])
    twin = larger.copy()
    for _ in range(5):
        g = rng.normal(size=(5, 4)).astype("f")
        optimizer(KEY, larger, g.copy())
        fresh(KEY, twin, g.copy())
        optimizer((2, "W"), other, g[:3].copy())
        untouched((2, "W"), same, g[:3].copy())
    np.testing.assert_array_equal(larger, twin)
    np.testing.assert_array_equal(optimizer.averages[KEY], fresh.averages[KEY])
    np.testing.assert_array_equal(other, same)


@pytest.mark.parametrize("name", PLAIN)
def test_a_label_added_in_mid_run_is_learnt(name: str) -> None:
    """A real parser whose output grows: the loss on the new label falls."""
    fix_random_seed(0)
    nlp = spacy.blank("fr")
    nlp.add_pipe("ner", config={"model": {"hidden_width": 16, "tok2vec": {"width": 16}}})
    known = [_example(nlp, "Je pars de Lyon", (11, 15), "DEP"), _example(nlp, "Marie quitte Nice", (13, 17), "DEP")]
    nlp.initialize(lambda: known)
    optimizer, losses = PLAIN[name](), []
    optimizer.grad_clip = 1.0
    moves = nlp.get_pipe("ner").moves.n_moves
    for step in range(30):
        batch = known if step < 3 else [*known, _example(nlp, "Un billet pour Pau", (15, 18), "ARR")]
        found: dict[str, float] = {}
        nlp.update(batch, sgd=False, losses=found, drop=0.0)
        nlp.get_pipe("ner").finish_update(optimizer)
        losses.append(found["ner"])
    assert nlp.get_pipe("ner").moves.n_moves > moves
    assert losses[-1] < 0.7 * losses[3]


def _example(nlp, text: str, span: tuple[int, int], label: str) -> Example:
    return Example.from_dict(nlp.make_doc(text), {"entities": [(*span, label)]})


# -- state and settings ------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["copy", "pickle"])
@pytest.mark.parametrize(
    "make",
    [
        lambda rate: MomentumSGD(rate, nesterov=True, use_averages=True),
        lambda rate: AdamW(rate, L2=0.1, grad_clip=1.0),
        lambda rate: ProximalL1(AdamW(rate, L2=0.1), 0.5),
    ],
    ids=["momentum", "AdamW", "L1"],
)
def test_a_copy_in_mid_run_goes_on_alike(make: Callable, clone: Callable) -> None:
    rng = np.random.default_rng(0)
    optimizer, w = make(warmup_cosine(0.01, 3, 20)), rng.normal(size=SHAPE).astype("f")

    def go(one: Optimizer, weights: np.ndarray, seed: int) -> None:
        gradients = np.random.default_rng(seed)
        for _ in range(6):
            one(KEY, weights, gradients.normal(size=SHAPE).astype("f"))
            one.step_schedules()

    go(optimizer, w, 1)
    twin, other = clone(optimizer), w.copy()
    go(optimizer, w, 2)
    assert not np.array_equal(w, other)
    go(twin, other, 2)
    np.testing.assert_array_equal(w, other)
    assert twin.learn_rate == optimizer.learn_rate


def test_proximal_l1_is_the_wrapped_optimizer_but_for_the_threshold() -> None:
    inner = Adam(warmup_cosine(0.01, 3, 20), L2=warmup_cosine(1.0, 1, 9), grad_clip=2.0)
    optimizer = ProximalL1(inner, 0.1)
    for name in Optimizer.__slots__:
        assert getattr(optimizer, name) is getattr(inner, name), name
    rates = []
    for _ in range(5):
        rates.append(optimizer.learn_rate)
        optimizer.step_schedules()
    assert rates == list(islice(warmup_cosine(0.01, 3, 20), 5))
    optimizer.learn_rate = 0.5
    assert inner.learn_rate == 0.5
    with pytest.raises(AttributeError):
        optimizer.learning_rate = 0.5


def test_a_rate_that_a_schedule_gives_is_used_at_its_step() -> None:
    """Threshold and momentum follow the rate of the update under way."""
    rates = [0.0, 0.5, 0.25]
    optimizer, w = ProximalL1(MomentumSGD(iter(rates)), 0.1), np.full(1, 2.0, "f")
    seen = []
    for _ in rates:
        optimizer(KEY, w, np.zeros(1, "f"))
        optimizer.step_schedules()
        seen.append(float(w[0]))
    assert seen == pytest.approx([2.0, 1.95, 1.925], rel=1e-6)


@pytest.mark.parametrize("name", PLAIN)
def test_views_and_empty_tensors(name: str) -> None:
    """A transposed view is updated like a copy of it; nothing is done to a tensor of size 0."""
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(3, 4)).astype("f"), rng.normal(size=(3, 4)).astype("f")
    straight, _ = PLAIN[name]()(KEY, w.T.copy(), g.T.copy())
    turned, _ = PLAIN[name]()(KEY, w.copy().T, g.copy().T)
    np.testing.assert_array_equal(turned, straight)
    optimizer = PLAIN[name]()
    empty = np.zeros((0, 4), "f")
    assert optimizer(KEY, empty, empty.copy())[0] is empty
    assert not optimizer.nr_update.get(KEY)


@pytest.mark.parametrize("name", ["momentum", "AdamW"])
def test_a_gradient_of_nan_is_zero_afterwards(name: str) -> None:
    g = np.full(3, np.nan, "f")
    PLAIN[name]()(KEY, np.ones(3, "f"), g)
    assert (g == 0).all()


def test_a_config_names_them() -> None:
    config = {
        "sgd": {"@optimizers": "trajet.SGD.v1", "learn_rate": 0.1, "nesterov": True},
        "adamw": {
            "@optimizers": "trajet.AdamW.v1",
            "learn_rate": {"@schedules": "trajet.Steps.v1", "initial_rate": 0.1, "steps": [1]},
        },
        "l1": {
            "@optimizers": "trajet.ProximalL1.v1",
            "L1": 0.5,
            "optimizer": {"@optimizers": "Adam.v1", "learn_rate": 0.2, "use_averages": False},
        },
    }
    found = registry.resolve(config)
    assert all(isinstance(optimizer, Optimizer) for optimizer in found.values())
    assert (found["sgd"].momentum, found["sgd"].nesterov, found["sgd"].averages) == (0.9, True, None)
    assert (found["adamw"].L2, found["adamw"].no_decay, found["adamw"].averages) == (0.01, ("b", "G", "pad"), None)
    found["adamw"].step_schedules()
    assert found["adamw"].learn_rate == pytest.approx(0.01)
    assert (found["l1"].L1, found["l1"].learn_rate, found["l1"].averages) == (0.5, 0.2, None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MomentumSGD(0.1, momentum=1.0), "trajet.SGD.v1: momentum = 1.0; it must be from 0 to below 1"),
        (lambda: MomentumSGD(0.1, momentum=float("nan")), "momentum = nan"),
        (lambda: MomentumSGD(0.1, dampening=1.5), "dampening = 1.5; it must be from 0 to 1"),
        (lambda: MomentumSGD(0.1, nesterov=True, dampening=0.5), "nesterov = true needs"),
        (lambda: MomentumSGD(0.1, nesterov=True, momentum=0), "nesterov = true needs"),
        (lambda: AdamW(0.1, beta1=1.0), "trajet.AdamW.v1: beta1 = 1.0; it must be from 0 to below 1"),
        (lambda: AdamW(0.1, beta2=-0.1), "beta2 = -0.1"),
        (lambda: AdamW(0.1, eps=float("inf")), "eps = inf"),
        (lambda: ProximalL1(Adam(0.1), -1.0), "trajet.ProximalL1.v1: L1 = -1.0; it must be a finite number from 0"),
        (lambda: ProximalL1("Adam.v1", 1.0), "optimizer = 'Adam.v1' is none"),
    ],
)
def test_a_bad_setting_is_refused_by_name(make: Callable, says: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert says in str(caught.value)
