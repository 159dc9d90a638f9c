"""What Thinc's optimizers are by default, and what betas, SGD and RAdam do, fact by fact.

Expected values come from `trajet.adam`, which is the same mathematics in float64, or are figures that the
documentation quotes. A test that fails after an upgrade names the fact that moved.
"""

import numpy as np
import pytest
from spacy.cli.init_config import TEMPLATE_PATH
from thinc.api import SGD, Adam, RAdam, registry

from tests.conformance.small_training import travel_nlp
from tests.conformance.tensors import KEY, RATE, UNIT, after, f32, normal, replayed, steps_error, storage_error
from trajet import adam as reference
from trajet.adam import ThincSettings

# -- defaults ----------------------------------------------------------------------------------


def test_averages_are_on_in_bare_thinc() -> None:
    """`use_averages` defaults to true in bare Thinc."""
    for block in (
        {"@optimizers": "Adam.v1"},
        {"@optimizers": "RAdam.v1"},
        {"@optimizers": "SGD.v1", "learn_rate": 0.1},
    ):
        optimizer = registry.resolve({"optimizer": block})["optimizer"]
        assert optimizer.averages == {}, f"{block['@optimizers']} no longer keeps averages by default"


def test_averages_are_off_through_spacys_default_config() -> None:
    """... and to false through spaCy's default config."""
    nlp = travel_nlp()
    block = nlp.config["training"]["optimizer"]
    assert block["use_averages"] is False, "spaCy's default config no longer turns averages off"
    assert registry.resolve({"optimizer": block})["optimizer"].averages is None, (
        "the filled-in block keeps averages now"
    )


def test_the_documented_block_says_nothing_about_averages() -> None:
    """The documented block says neither."""
    template = TEMPLATE_PATH.read_text(encoding="utf8")
    assert '@optimizers = "Adam.v1"' in template, "spaCy's quickstart no longer writes an Adam.v1 block"
    assert "use_averages" not in template, "spaCy's quickstart now says whether averages are used"


# -- betas, SGD and RAdam ----------------------------------------------------------------------


def test_beta2_of_zero_is_silently_sgd() -> None:
    """`beta2 = 0` is silently SGD."""
    w, gradients = np.zeros(50, "f"), [normal(50, seed=seed) for seed in range(1, 4)]
    adam = after(Adam(RATE, beta1=0.9, beta2=0.0, use_averages=False), w, *gradients)
    np.testing.assert_array_equal(adam, after(SGD(RATE, use_averages=False), w, *gradients), "beta2 = 0 is not SGD now")
    settings = ThincSettings(RATE, beta2=0.0, grad_clip=1.0)
    expected = replayed(lambda *a: reference.thinc_adam(*a, settings), w, *gradients)[-1].w_after
    np.testing.assert_allclose(
        adam, expected, rtol=0, atol=30 * UNIT * RATE, err_msg="beta2 = 0 is no longer the reference's SGD"
    )


def test_beta1_of_zero_is_refused() -> None:
    """`beta1 = 0` raises NotImplementedError."""
    optimizer = Adam(RATE, beta1=0.0, use_averages=False)
    with pytest.raises(NotImplementedError):
        optimizer(KEY, np.ones(1, "f"), f32(0.2))


def test_sgd_has_no_momentum() -> None:
    """SGD.v1 has no momentum."""
    optimizer = SGD(0.1, grad_clip=0.0, use_averages=False)
    first = after(optimizer, np.zeros(2, "f"), f32(100, -3))
    second = after(optimizer, np.zeros(2, "f"), f32(1, 1))
    np.testing.assert_allclose(first, [-10, 0.3], rtol=4 * UNIT, err_msg="SGD.v1 is no longer learn_rate * gradient")
    np.testing.assert_allclose(second, [-0.1, -0.1], rtol=4 * UNIT, err_msg="SGD.v1 remembers an earlier gradient now")
    assert not optimizer.mom1, "SGD.v1 keeps a first moment now"
    assert not optimizer.mom2, "SGD.v1 keeps a second moment now"


def test_radam_is_one_step_off() -> None:
    """RAdam.v1 is one step off (uses t + 1)."""
    w = after(RAdam(RATE, grad_clip=0.0, use_averages=False), np.zeros(1, "f"), np.ones(1, "f"))
    # Momentum alone: 0.1 of the gradient, which 1 - 0.9**1 would make whole and 1 - 0.9**2 = 0.19 does not.
    assert w[0] == pytest.approx(-RATE * 0.1 / 0.19, rel=10 * UNIT), "RAdam.v1 no longer corrects its bias with t + 1"


def test_radam_is_that_of_the_reference() -> None:
    """RAdam.v1 over twelve updates, with decay: the reference has its oddities, and they are Thinc's."""
    w, gradients = normal(50), [normal(50, seed=seed) for seed in range(1, 13)]
    result = after(RAdam(RATE, L2=1.0, grad_clip=1.0, use_averages=False), w, *gradients)
    settings = ThincSettings(RATE, L2=1.0, grad_clip=1.0)
    steps = replayed(lambda *a: reference.thinc_radam(*a, settings), w, *gradients)
    np.testing.assert_allclose(
        result,
        steps[-1].w_after,
        rtol=0,
        atol=storage_error(w, 2 * 12) + steps_error(12) * 12 * RATE,
        err_msg="RAdam.v1 no longer computes what trajet.adam does",
    )


def first_rectified(steps_of) -> int:
    """The first update in which a gradient of twice the size no longer makes a step of twice the size."""
    ratio = steps_of(2.0) / steps_of(1.0)
    assert ratio[0] == pytest.approx(2, rel=10 * UNIT), "RAdam rectifies its first update"
    # Twice before, once after; 1.5 lies between.
    return int(np.argmax(ratio < 1.5)) + 1


def test_radam_rectifies_from_update_5() -> None:
    """... rectifies at update 5 ..."""

    def steps_of(gradient: float) -> np.ndarray:
        optimizer = RAdam(RATE, grad_clip=0.0, use_averages=False)
        return np.array([after(optimizer, np.zeros(1, "f"), f32(gradient))[0] for _ in range(8)])

    assert first_rectified(steps_of) == 5, "RAdam.v1 rectifies from another update on"


def test_torch_radam_rectifies_from_update_6() -> None:
    """... instead of 6, as torch.optim.RAdam does."""
    torch = pytest.importorskip("torch")

    def steps_of(gradient: float) -> np.ndarray:
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer, steps = torch.optim.RAdam([parameter], lr=RATE), []
        for _ in range(8):
            parameter.data.zero_()
            parameter.grad = torch.full((1,), gradient)
            optimizer.step()
            steps.append(parameter.detach().item())
        return np.array(steps)

    assert first_rectified(steps_of) == 6, "torch.optim.RAdam rectifies from another update on"


@pytest.mark.parametrize("updates", [1, 8])
def test_radam_ignores_lr_scale(updates: int) -> None:
    """... and ignores `lr_scale`, before it rectifies and after."""
    w, g = np.zeros(3, "f"), [f32(5, 3, 4)] * updates
    plain, scaled = (after(RAdam(RATE, L2=0.0, use_averages=False), w, *g, lr_scale=scale) for scale in (1.0, 0.5))
    np.testing.assert_array_equal(plain, scaled, "RAdam.v1 heeds lr_scale now")


@pytest.mark.parametrize(("make", "left"), [(Adam, False), (RAdam, True), (SGD, True)], ids=["Adam", "RAdam", "SGD"])
def test_what_a_nan_leaves_in_the_gradient_buffer(make, left: bool) -> None:
    """After a NaN, RAdam and SGD leave NaN in the gradient buffer; Adam zeroes it."""
    g = f32(np.nan, 1)
    make(RATE, use_averages=False)(KEY, np.ones(2, "f"), g)
    assert np.isnan(g[0]) == left, f"{make.__name__} {'clears' if left else 'leaves'} a NaN in the gradient now"
    assert g[1] == 0, f"{make.__name__} no longer zeroes the rest of the gradient"


def test_lr_scale_scales_the_step_of_one_call() -> None:
    """`optimizer(key, w, g, lr_scale=...)` scales the step of one call."""
    steps = {}
    for scale in (1.0, 0.5):
        optimizer = Adam(RATE, L2=0.0, use_averages=False)
        steps[scale] = [
            float(after(optimizer, f32(0), f32(0.2), lr_scale=scale)[0]),
            float(after(optimizer, f32(0), f32(0.2))[0]),
        ]
    assert steps[0.5][0] == pytest.approx(0.5 * steps[1.0][0], rel=4 * UNIT), "lr_scale no longer scales the step"
    assert steps[0.5][1] == steps[1.0][1], "lr_scale reaches the next call too"


def test_lr_scale_scales_the_decay_too() -> None:
    """The step of one call is gradient part and decay: both are scaled."""
    w = after(Adam(0.1, L2=1.0, use_averages=False), np.ones(1, "f"), np.zeros(1, "f"), lr_scale=0.5)
    assert w[0] == pytest.approx(0.95, rel=4 * UNIT), "lr_scale no longer scales the decay"
