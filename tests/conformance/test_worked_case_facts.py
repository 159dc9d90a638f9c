"""The worked case of the documentation: one weight of 0.5 under a gradient of 0.2, update by update.

Expected values come from `trajet.adam`, which is the same mathematics in float64, or are figures that the
documentation quotes. A test that fails after an upgrade names the fact that moved.
"""

import itertools

import numpy as np
import pytest
from thinc.api import Adam, NumpyOps

from tests.conformance.tensors import DOCUMENTED, after, documented_rates, f32, replayed, storage_error
from trajet import adam as reference
from trajet.adam import Step, ThincSettings

# -- a worked case -----------------------------------------------------------------------------


def worked_float32() -> list[float]:
    """W = 0.5, gradient 0.2 at every step, the documented block: W before and after each of 101 updates."""
    optimizer, w = Adam(documented_rates(), **DOCUMENTED), f32(0.5)
    series = [float(w[0])]
    for _ in range(101):
        w = after(optimizer, w, f32(0.2))
        series.append(float(w[0]))
    return series


def worked_float64() -> list[Step]:
    rates = documented_rates()
    return replayed(
        lambda *a: reference.thinc_adam(*a, ThincSettings(next(rates), L2=0.01, grad_clip=1.0)),
        np.array([0.5]),
        *[np.array([0.2])] * 101,
    )


def test_worked_case_after_100_updates_in_float32() -> None:
    """W after 100 updates is 0.49900508 (float32)."""
    # All eight digits; a float32 of this size has its neighbours 3e-8 away.
    assert worked_float32()[100] == pytest.approx(0.49900508, abs=0.5e-8), "W after 100 updates of float32 moved"


def test_worked_case_after_100_updates_in_float64() -> None:
    """... 0.49900506 in float64."""
    assert worked_float64()[99].w_after[0] == pytest.approx(0.49900506, abs=0.5e-8), "W in float64 moved"


def test_worked_case_100th_update() -> None:
    """The 100th update is -1.988e-5."""
    series = worked_float32()
    assert series[100] - series[99] == pytest.approx(-1.988e-5, abs=0.5e-8), "the 100th update moved"


def test_worked_case_101st_update() -> None:
    """The 101st (learn_rate 2e-5) is -2.009e-5."""
    series = worked_float32()
    assert series[101] - series[100] == pytest.approx(-2.009e-5, abs=0.5e-8), "the 101st update moved"
    assert next(itertools.islice(documented_rates(), 100, None)) == 2e-5, "the rate of the 101st update is not 2e-5 now"


def test_worked_case_updates_are_those_of_float64_to_float32_rounding() -> None:
    """The figures of the updates are differences of float32 weights: in float64 they are -1.990e-5 and -2.010e-5."""
    series, steps = worked_float32(), worked_float64()
    for t, figure in ((100, -1.990e-5), (101, -2.010e-5)):
        exact = steps[t - 1].gradient_part[0] + steps[t - 1].decay_part[0]
        assert exact == pytest.approx(figure, abs=0.5e-8), f"update {t} in float64 moved"
        # Step and decay are stored once each.
        assert series[t] - series[t - 1] == pytest.approx(exact, abs=storage_error(f32(0.5), 2)), (
            f"update {t} of float32 is no longer that of float64, rounded"
        )


def test_worked_case_first_update_at_2e_5() -> None:
    """A single first update at learn_rate 2e-5 gives 0.4999799."""
    w = after(Adam(2e-5, **DOCUMENTED), f32(0.5), f32(0.2))
    assert w[0] == pytest.approx(0.4999799, abs=0.5e-7), "the first update at 2e-5 moved"


def test_worked_case_clip() -> None:
    """clip([5, 3, 4], 1.0) = [0.7071, 0.4243, 0.5657]."""
    clipped, _, _ = reference.thinc_clip(np.array([5.0, 3.0, 4.0]), 1.0)
    for result in (NumpyOps().clip_gradient(f32(5, 3, 4), 1.0), clipped):
        np.testing.assert_allclose(
            result, [0.7071, 0.4243, 0.5657], rtol=0, atol=0.5e-4, err_msg="clip([5, 3, 4], 1.0) moved"
        )
