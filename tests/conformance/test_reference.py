"""Thinc's and torch's optimizers against the reference mathematics, update by update."""

from collections.abc import Callable

import numpy as np
import pytest
from thinc.api import SGD, Adam, Optimizer, RAdam

from trajet.adam import (
    State,
    Step,
    ThincSettings,
    adam,
    adam_epsilon_hat,
    adamw,
    momentum,
    radam,
    rms_scaling,
    sgd,
    thinc_adam,
    thinc_radam,
    thinc_sgd,
)
from trajet.rounding import step_bounds

STEPS = 120
SHAPE = (6, 7)


def _random(rng: np.random.Generator, step: int) -> np.ndarray:
    return rng.normal(size=SHAPE)


def _zero(rng: np.random.Generator, step: int) -> np.ndarray:
    return np.zeros(SHAPE)


def _sometimes(rng: np.random.Generator, step: int) -> np.ndarray:
    return rng.normal(size=SHAPE) * (step % 10 == 0)


def _tiny(rng: np.random.Generator, step: int) -> np.ndarray:
    # Their squares are below the smallest float32.
    return rng.normal(size=SHAPE) * 1e-30


def _large(rng: np.random.Generator, step: int) -> np.ndarray:
    return rng.normal(size=SHAPE) * 1e8


def _overflowing(rng: np.random.Generator, step: int) -> np.ndarray:
    # Every third time the squares are beyond the largest float32.
    return rng.normal(size=SHAPE) * (1e25 if step % 3 == 0 else 1.0)


def _scales(rng: np.random.Generator, step: int) -> np.ndarray:
    return rng.normal(size=SHAPE) * 10.0 ** rng.integers(-12, 8, SHAPE)


def _spike(rng: np.random.Generator, step: int) -> np.ndarray:
    gradient = rng.normal(size=SHAPE) * 1e-3
    gradient[2, 3] = 1e6
    return gradient


def _alternating(rng: np.random.Generator, step: int) -> np.ndarray:
    return np.full(SHAPE, (-1.0) ** step)


def _infinite(rng: np.random.Generator, step: int) -> np.ndarray:
    gradient = rng.normal(size=SHAPE)
    if step == 5:
        gradient[0, 0] = np.inf
    return gradient


def _not_a_number(rng: np.random.Generator, step: int) -> np.ndarray:
    gradient = rng.normal(size=SHAPE)
    if step == 5:
        gradient[0, 0] = np.nan
    return gradient


GRADIENTS = [
    _random, _zero, _sometimes, _tiny, _large, _overflowing, _scales, _spike, _alternating, _infinite, _not_a_number,
]  # fmt: skip

# What configs vary, one departure from the documented block each.
DOCUMENTED = {"learn_rate": 5e-5, "L2": 0.01, "grad_clip": 1.0}
CASES = {
    "documented": DOCUMENTED,
    "large rate": {**DOCUMENTED, "learn_rate": 0.1},
    "no clip": {**DOCUMENTED, "grad_clip": 0.0},
    "small clip": {**DOCUMENTED, "grad_clip": 0.01},
    "strong decay": {**DOCUMENTED, "learn_rate": 1e-3, "L2": 100.0},
    "L2 in the gradient": {**DOCUMENTED, "learn_rate": 1e-3, "L2": 0.5, "L2_is_weight_decay": False},
    "no L2": {**DOCUMENTED, "L2": 0.0},
    "averages": {**DOCUMENTED, "learn_rate": 1e-3, "use_averages": True},
    "other betas and eps": {**DOCUMENTED, "learn_rate": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
    "lr_scale": {**DOCUMENTED, "learn_rate": 1e-3, "lr_scale": 0.3},
}
THINC = {"Adam.v1": (Adam, thinc_adam), "RAdam.v1": (RAdam, thinc_radam), "SGD.v1": (SGD, thinc_sgd)}


def _build(make: Callable[..., Optimizer], settings: ThincSettings) -> Optimizer:
    names = ["L2", "grad_clip", "L2_is_weight_decay", "use_averages"]
    names += [] if make is SGD else ["beta1", "beta2", "eps"]
    return make(settings.learn_rate, **{name: getattr(settings, name) for name in names})


@pytest.mark.parametrize("gradients", GRADIENTS, ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", THINC)
def test_thinc_does_what_the_reference_says(name: str, case: str, gradients: Callable) -> None:
    """Each update starts from Thinc's own float32 state, so that only one update's rounding is in between."""
    make, reference = THINC[name]
    settings = ThincSettings(**CASES[case])
    optimizer, key = _build(make, settings), (1, "W")
    rng = np.random.default_rng(0)
    w = rng.normal(size=SHAPE).astype(np.float32)
    for step in range(STEPS):
        g = gradients(rng, step).astype(np.float32)
        before = State(step, *(_kept(optimizer, store, key, w) for store in ("mom1", "mom2")),
                       average=_average(optimizer, key, w))  # fmt: skip
        expected = reference(w, g, before, settings)
        with np.errstate(all="ignore"):
            w, _ = optimizer(key, w.copy(), g.copy(), lr_scale=settings.lr_scale)
        _assert_within(name, case, step, expected, before, settings, optimizer, key, w)


def _kept(optimizer: Optimizer, store: str, key: tuple, w: np.ndarray) -> np.ndarray:
    kept = getattr(optimizer, store)
    return kept[key].reshape(w.shape).astype(np.float64) if key in kept else np.zeros(w.shape)


def _average(optimizer: Optimizer, key: tuple, w: np.ndarray) -> np.ndarray | None:
    if optimizer.averages is None:
        return None
    return optimizer.averages[key].astype(np.float64) if key in optimizer.averages else np.zeros(w.shape)


def _assert_within(name, case, step, expected: Step, before: State, settings, optimizer, key, w) -> None:
    bounds = step_bounds(expected, before, settings)
    results = [("w", w, expected.w_after, bounds.w_after)]
    if name != "SGD.v1":
        results += [
            ("m", _kept(optimizer, "mom1", key, w), expected.m, bounds.m),
            ("v", _kept(optimizer, "mom2", key, w), expected.v, bounds.v),
        ]
    if settings.use_averages:
        results.append(("average", _average(optimizer, key, w), expected.average, bounds.average))
    for what, actual, wanted, bound in results:
        where = f"{name}, {case}, update {step + 1}: {what}"
        finite = np.isfinite(wanted)
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(wanted), err_msg=where)
        np.testing.assert_array_equal(np.isposinf(actual), np.isposinf(wanted), err_msg=where)
        distance = np.abs(actual[finite].astype(np.float64) - wanted[finite])
        assert (distance <= bound[finite]).all(), f"{where}: off by {(distance / bound[finite]).max():.3g} bounds"


def test_the_bounds_are_tight_enough_to_see_a_wrong_formula() -> None:
    """One constant changed by a hundredth, and the comparison above fails: it can fail."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=SHAPE).astype(np.float32)
    g = rng.normal(size=SHAPE).astype(np.float32)
    right = ThincSettings(learn_rate=1e-3, L2=1.0, grad_clip=1.0)
    state = State.of(w)
    step = thinc_adam(w, g, state, right)
    bound = step_bounds(step, state, right).w_after
    for wrong in ({"learn_rate": 1.01e-3}, {"L2": 1.01}, {"L2": 0.0}):
        other = thinc_adam(w, g, state, ThincSettings(**{"learn_rate": 1e-3, "L2": 1.0, "grad_clip": 1.0, **wrong}))
        assert (np.abs(other.w_after - step.w_after) > bound).any(), wrong
    # One update later beta2 and the placing of eps are seen, too.
    later = thinc_adam(step.w_after, 3 * g, step.state, right)
    bound = step_bounds(later, step.state, right).w_after
    published = adamw(step.w_after, later.g_used, step.state, 1e-3, weight_decay=1.0)
    assert (np.abs(published.w_after - later.w_after) > bound).any()
    plain = thinc_radam(step.w_after, 3 * g, step.state, right)
    assert (np.abs(plain.w_after - later.w_after) > bound).any()


# -- torch, in float64: the same formula in the same precision ---------------------------------

# 120 updates of some 20 operations each, every one rounded to 2^-53, on weights of size 1 to 10.
TORCH_TOLERANCE = STEPS * 20 * 2.0**-53 * 10
TORCH = {
    "SGD": (lambda t, p: t.SGD(p, lr=1e-2, weight_decay=0.1), lambda w, g, s: sgd(w, g, s, 1e-2, L2=0.1)),
    "momentum": (lambda t, p: t.SGD(p, lr=1e-2, momentum=0.9), lambda w, g, s: momentum(w, g, s, 1e-2)),
    "Nesterov": (
        lambda t, p: t.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
        lambda w, g, s: momentum(w, g, s, 1e-2, nesterov=True),
    ),
    "Adam": (lambda t, p: t.Adam(p, lr=1e-2), lambda w, g, s: adam(w, g, s, 1e-2)),
    "Adam, L2 in the gradient": (
        lambda t, p: t.Adam(p, lr=1e-2, weight_decay=0.1),
        lambda w, g, s: adam(w, g, s, 1e-2, L2=0.1),
    ),
    "Adam, other betas and eps": (
        lambda t, p: t.Adam(p, lr=1e-2, betas=(0.5, 0.9), eps=1e-3),
        lambda w, g, s: adam(w, g, s, 1e-2, 0.5, 0.9, 1e-3),
    ),
    "AdamW": (
        lambda t, p: t.AdamW(p, lr=1e-2, weight_decay=0.1),
        lambda w, g, s: adamw(w, g, s, 1e-2, weight_decay=0.1),
    ),
    "RAdam": (
        lambda t, p: t.RAdam(p, lr=1e-2),
        lambda w, g, s: radam(w, g, s, 1e-2, eps=1e-8, tractable_above=5.0),
    ),
}


@pytest.mark.parametrize("gradients", [g for g in GRADIENTS if g is not _overflowing], ids=lambda f: f.__name__[1:])
@pytest.mark.parametrize("name", TORCH)
def test_torch_does_what_the_reference_says(name: str, gradients: Callable) -> None:
    torch = pytest.importorskip("torch")
    make, reference = TORCH[name]
    rng = np.random.default_rng(0)
    w = rng.normal(size=SHAPE)
    state = State.of(w)
    tensor = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))
    optimizer = make(torch.optim, [tensor])
    for step in range(STEPS):
        g = gradients(rng, step)
        tensor.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        expected = reference(w, g, state)
        w, state = expected.w_after, expected.state
        # SGD walks as far as its gradients are long.
        np.testing.assert_allclose(tensor.detach().numpy(), w, rtol=TORCH_TOLERANCE, atol=TORCH_TOLERANCE,
                                   err_msg=f"{name}, update {step + 1}")  # fmt: skip


# -- the reference against itself --------------------------------------------------------------


def test_the_two_forms_of_adam_agree_where_epsilon_is_scaled() -> None:
    """Algorithm 1 with eps, and the epsilon-hat form with eps * sqrt(1 - beta2^t), are one formula."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=SHAPE)
    state, other_state, other = State.of(w), State.of(w), w
    for step in range(STEPS):
        g = rng.normal(size=SHAPE) * 1e-6
        first = adam(w, g, state, 1e-2)
        second = adam_epsilon_hat(other, g, other_state, 1e-2, eps=1e-8 * np.sqrt(1 - 0.999 ** (step + 1)))
        np.testing.assert_allclose(first.w_after, second.w_after, rtol=1e-13)
        assert second.effective_eps == pytest.approx(1e-8, rel=1e-12)
        w, state, other, other_state = first.w_after, first.state, second.w_after, second.state


def test_every_step_adds_up_and_leaves_its_inputs_alone() -> None:
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    w_copy, g_copy = w.copy(), g.copy()
    settings = ThincSettings(L2=0.1, grad_clip=1.0, use_averages=True)
    functions = [
        *(lambda s, f=f: f(w, g, s, 1e-2) for f in (sgd, momentum, rms_scaling, adam, adam_epsilon_hat, adamw, radam)),
        *(lambda s, f=f: f(w, g, s, settings) for f in (thinc_adam, thinc_radam, thinc_sgd)),
    ]
    for function in functions:
        first = function(State.of(w))
        step = function(first.state)
        assert (first.t, step.t) == (1, 2)
        np.testing.assert_allclose(step.w + step.gradient_part + step.decay_part, step.w_after, rtol=1e-15)
        if step.effective_rate is not None:
            np.testing.assert_allclose(-step.effective_rate * step.m_hat, step.gradient_part, rtol=1e-15)
    np.testing.assert_array_equal(w, w_copy)
    np.testing.assert_array_equal(g, g_copy)


def test_rms_scaling_is_adam_without_momentum() -> None:
    w, g = np.array([1.0, -2.0]), np.array([0.3, 1e-4])
    step = rms_scaling(w, g, State.of(w), 0.01)
    np.testing.assert_allclose(step.gradient_part, -0.01 * g / (np.abs(g) + 1e-8), rtol=1e-14)


def test_shapes_that_differ_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        adam(np.zeros(2), np.zeros(3), State.of(np.zeros(2)), 1e-3)


def test_thinc_refuses_beta1_of_zero_and_so_does_the_reference() -> None:
    settings = ThincSettings(beta1=0.0)
    w = np.zeros(2, dtype=np.float32)
    with pytest.raises(NotImplementedError):
        _build(Adam, settings)((1, "W"), w, w.copy())
    with pytest.raises(NotImplementedError):
        thinc_adam(w, w, State.of(w), settings)
