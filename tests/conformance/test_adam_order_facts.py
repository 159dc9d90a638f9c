"""What one call of Thinc's Adam does, and in which order, fact by fact.

Expected values come from `trajet.adam`, which is the same mathematics in float64, or are figures that the
documentation quotes. A test that fails after an upgrade names the fact that moved.
"""

import numpy as np
import pytest
from thinc.api import Adam

from tests.conformance.tensors import (
    DOCUMENTED,
    FIRST_STEP,
    KEY,
    RATE,
    UNIT,
    after,
    f32,
    normal,
    replayed,
    steps_error,
    storage_error,
)
from trajet import adam as reference
from trajet.adam import ThincSettings

# -- order inside one call ---------------------------------------------------------------------


def test_the_clipped_gradient_enters_the_moments() -> None:
    """Order inside one call: clip this tensor's gradient, Adam step ..."""
    optimizer, g = Adam(RATE, **DOCUMENTED), f32(5, 3, 4)
    after(optimizer, np.ones(3, "f"), g)
    (step,) = replayed(lambda *a: reference.thinc_adam(*a, ThincSettings(RATE, grad_clip=1.0)), np.ones(3), g)
    # Both moments are one product of float32 numbers, of which v's factor 1 - beta2 is the coarse one.
    np.testing.assert_allclose(
        optimizer.mom1[KEY], step.m, rtol=10 * UNIT, err_msg="m is no longer made from the clipped gradient"
    )
    np.testing.assert_allclose(
        optimizer.mom2[KEY], step.v, rtol=2 * FIRST_STEP, err_msg="v is no longer made from the clipped gradient"
    )


def test_the_decay_shrinks_the_weights_as_the_step_left_them() -> None:
    """... Adam step, ... then decay `w -= learn_rate * L2 * w`."""
    # A rate of 0.1 and L2 = 1 part the two orders: (0.5 - 0.1) * 0.9 = 0.36, 0.5 * 0.9 - 0.1 = 0.35.
    w = after(Adam(0.1, L2=1.0, use_averages=False), f32(0.5), f32(0.2))
    assert w[0] == pytest.approx(0.36, rel=FIRST_STEP), "the decay no longer acts on the weights after the Adam step"


def test_a_call_zeroes_the_gradient_in_its_buffer() -> None:
    """... zero the gradient ..."""
    g = f32(5, 3, 4)
    _, returned = Adam(RATE, **DOCUMENTED)(KEY, np.ones(3, "f"), g)
    assert not g.any(), "a call no longer zeroes the gradient in the caller's array"
    assert not returned.any(), "a call no longer returns a zeroed gradient"


def test_the_weights_change_in_place() -> None:
    """`w -= ...`: the caller's array is the one that moves."""
    w = np.ones(3, "f")
    returned, _ = Adam(RATE, **DOCUMENTED)(KEY, w, f32(5, 3, 4))
    assert np.shares_memory(returned, w), "a call no longer changes the weights in place"
    assert (w < 1).all(), "a call no longer changes the weights in place"


def test_the_average_is_taken_after_the_decay() -> None:
    """... then decay ..., then averages."""
    optimizer = Adam(0.1, L2=1.0, use_averages=True)
    w = after(optimizer, f32(0.5), f32(0.2))
    # 9/11 of the weight before the decay would be a tenth more.
    assert optimizer.averages[KEY][0] == pytest.approx(9 / 11 * w[0], rel=4 * UNIT), (
        "the average no longer holds the weights after step and decay"
    )


def test_L2_is_decoupled_decay_by_default() -> None:
    """`w -= learn_rate * L2 * w` (with `L2_is_weight_decay`, the default)."""
    optimizer = Adam(RATE, L2=10.0, grad_clip=0.0)
    after(optimizer, f32(2.0), f32(0.2))
    assert optimizer.L2_is_weight_decay is True, "L2_is_weight_decay is no longer the default"
    assert optimizer.mom1[KEY][0] == pytest.approx(0.02, rel=10 * UNIT), "L2 now enters the moments by default"


def test_L2_that_is_not_decay_joins_the_gradient_before_the_clip() -> None:
    """Decay after the step is what `L2_is_weight_decay` does; without it L2 is part of the gradient."""
    optimizer = Adam(RATE, L2=10.0, L2_is_weight_decay=False, grad_clip=1.0, use_averages=False)
    after(optimizer, f32(3.0, 0.0), f32(0.0, 40.0))
    # (30, 40) has length 50; clipped it is (0.6, 0.8), of which m takes a tenth.
    np.testing.assert_allclose(
        optimizer.mom1[KEY], [0.06, 0.08], rtol=10 * UNIT, err_msg="L2 no longer joins the gradient before the clip"
    )


def test_twenty_updates_are_those_of_the_reference() -> None:
    """The whole order at once: clip, step, decay, average, twenty updates long."""
    w, gradients = normal(50), [normal(50, seed=seed) for seed in range(1, 21)]
    optimizer = Adam(RATE, **{**DOCUMENTED, "L2": 1.0, "use_averages": True})
    settings = ThincSettings(RATE, L2=1.0, grad_clip=1.0, use_averages=True)
    steps = replayed(lambda *a: reference.thinc_adam(*a, settings), w, *gradients)
    result = after(optimizer, w, *gradients)
    # Each update rounds the stored weight twice (step, decay); the average adds one rounding more.
    tolerance = storage_error(w, 3 * 20) + steps_error(20) * 20 * RATE
    np.testing.assert_allclose(
        result, steps[-1].w_after, rtol=0, atol=tolerance, err_msg="Adam.v1 no longer computes what trajet.adam does"
    )
    np.testing.assert_allclose(
        optimizer.averages[KEY],
        steps[-1].average,
        rtol=0,
        atol=tolerance,
        err_msg="averages are no longer computed as trajet.adam does",
    )
