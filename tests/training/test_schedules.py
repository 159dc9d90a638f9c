"""Learning rate schedules against series worked out by other formulas, torch's and Thinc's."""

import copy
import math
import pickle
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from thinc.api import Adam, registry, slanted_triangular

from trajet.errors import UserError
from trajet.schedule import planned_values
from trajet.training.schedules import stepwise, triangular, warmup_cosine

# A rate is made of some ten float64 roundings, none of a value above the peak.
ROUNDING = 10 * 2.0**-52


def values(schedule, count: int) -> np.ndarray:
    return np.fromiter(islice(schedule, count), dtype=float)


# -- warm-up and cosine ------------------------------------------------------------------------


def test_peak_1e_3_with_5_of_50_epochs_of_warm_up() -> None:
    """An update an epoch; the cosine by its addition theorem: the angle grows by pi / 45 a step."""
    found = values(warmup_cosine(1e-3, 5, 50), 60)
    assert found[:6].tolist() == pytest.approx([0, 2e-4, 4e-4, 6e-4, 8e-4, 1e-3], rel=ROUNDING, abs=0)
    turned, expected = 1 + 0j, []
    for _ in range(45):
        expected.append(1e-3 * (1 + turned.real) / 2)
        turned *= complex(math.cos(math.pi / 45), math.sin(math.pi / 45))
    # 45 turns, each rounded.
    assert found[5:50] == pytest.approx(np.array(expected), abs=1e-3 * 50 * 2.0**-52)
    assert set(found[50:]) == {0.0}


def test_cosine_passes_the_middle_at_half_way_and_known_angles_at_thirds() -> None:
    schedule = warmup_cosine(3.0, 10, 70, final_rate=1.0)
    # cos(pi / 3) = 1/2, cos(pi / 2) = 0, cos(2 pi / 3) = -1/2, of an amplitude of 1 about 2.
    assert [schedule.rate(10 + s) for s in (0, 20, 30, 40, 60)] == pytest.approx([3, 2.5, 2, 1.5, 1], rel=ROUNDING)
    assert [schedule.rate(s) for s in (0, 5, 70, 71, 10**9)] == [0, 1.5, 1, 1, 1]


def test_no_warm_up_begins_at_the_peak() -> None:
    assert next(warmup_cosine(0.5, 0, 10)) == 0.5


@pytest.mark.parametrize(("total", "final"), [(45, 0.0), (400, 1e-5)])
def test_cosine_is_torchs(total: int, final: float) -> None:
    torch = pytest.importorskip("torch")
    found = values(warmup_cosine(1e-3, 7, 7 + total, final), 7 + total + 1)[7:]
    expected = _torch_rates(
        torch, 1e-3, total + 1, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, total, final)
    )
    # torch makes each value from the one before: its roundings add up.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * total * ROUNDING)


def _torch_rates(torch, rate: float, count: int, make: Callable) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler, rates = make(optimizer), []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


# -- slanted triangle --------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "frac", "ratio"), [(1000, 0.1, 32), (40, 0.25, 10), (20, 0.5, 1)])
def test_triangle_is_thincs_as_long_as_it_lasts(steps: int, frac: float, ratio: int) -> None:
    """Where cut_frac * num_steps is whole."""
    expected = values(slanted_triangular(2e-3, steps, cut_frac=frac, ratio=ratio), steps)
    assert values(triangular(2e-3, steps, frac, ratio), steps) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("steps", "frac"), [(1000, 0.1), (105, 0.1), (37, 0.3), (2, 0.5)])
def test_triangle_stays_at_its_lowest_where_thincs_goes_negative(steps: int, frac: float) -> None:
    found = values(triangular(1.0, steps, frac, 32), 3 * steps)
    assert found[steps - 1 :] == pytest.approx(1 / 32, rel=ROUNDING)
    assert found.min() >= 1 / 32 * (1 - ROUNDING)
    assert (values(slanted_triangular(1.0, steps, cut_frac=frac, ratio=32), 3 * steps) < 0).any()


def test_triangle_worked_by_hand() -> None:
    """10 steps, 4 up, lowest a quarter: up by (1 - 1/4) / 4 = 0.1875 a step from 0.25, down by 0.75 / 6 = 0.125."""
    expected = [0.4375, 0.625, 0.8125, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.25, 0.25]
    assert values(triangular(1.0, 10, 0.4, 4), 12) == pytest.approx(expected, rel=ROUNDING)


def test_triangle_of_an_unround_cut_is_straight_to_the_end() -> None:
    """Thinc's reaches max_rate / ratio five of 105 steps early."""
    found = values(triangular(1.0, 105, 0.1, 32), 105)
    assert np.diff(found[9:]) == pytest.approx(-(1 - 1 / 32) / 95, rel=1e-10)
    assert values(slanted_triangular(1.0, 105, cut_frac=0.1, ratio=32), 105)[99] == pytest.approx(1 / 32, rel=1e-10)


# -- steps -------------------------------------------------------------------------------------


def test_steps_multiply_at_each_step() -> None:
    assert values(stepwise(0.5, [2, 3, 6], 0.5), 8).tolist() == [0.5, 0.5, 0.25, 0.125, 0.125, 0.125, 0.0625, 0.0625]


def test_steps_without_steps_are_a_constant() -> None:
    assert values(stepwise(0.3, []), 3).tolist() == [0.3] * 3


def test_steps_are_torchs_milestones() -> None:
    torch = pytest.importorskip("torch")
    expected = _torch_rates(torch, 0.1, 40, lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 10, 30], 0.3))
    assert values(stepwise(0.1, [1, 10, 30], 0.3), 40) == pytest.approx(np.array(expected), rel=ROUNDING)


# -- as Thinc and spaCy use them ---------------------------------------------------------------

BLOCKS = {
    "trajet.WarmupCosine.v1": (
        {"initial_rate": 0.01, "warmup_steps": 3, "total_steps": 9},
        lambda: warmup_cosine(0.01, 3, 9, 0.0),
    ),
    "trajet.Triangular.v1": ({"max_rate": 0.01, "num_steps": 30}, lambda: triangular(0.01, 30, 0.1, 32)),
    "trajet.Steps.v1": ({"initial_rate": 0.01, "steps": [2, 4]}, lambda: stepwise(0.01, [2, 4], 0.1)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_config_names_them(name: str) -> None:
    settings, make = BLOCKS[name]
    expected = values(make(), 12)
    found = planned_values({"@schedules": name, **settings}, "training.optimizer.learn_rate", 12)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", BLOCKS)
def test_an_optimizer_steps_them_and_can_be_copied(name: str) -> None:
    settings, make = BLOCKS[name]
    block = {
        "@optimizers": "Adam.v1",
        "learn_rate": {"@schedules": name, **settings},
        "L2": {"@schedules": name, **settings},
    }
    optimizer = registry.resolve({"optimizer": block})["optimizer"]
    expected = values(make(), 12).tolist()
    seen = []
    for step in range(12):
        seen.append((optimizer.learn_rate, optimizer.L2))
        optimizer.step_schedules()
        if step % 5 == 2:
            # The copy goes on where the original stands, and neither moves the other.
            other, optimizer = optimizer, copy.deepcopy(optimizer)
            other.step_schedules()
    assert seen == [(rate, rate) for rate in expected]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_schedule_can_be_copied_and_pickled(name: str) -> None:
    schedule = BLOCKS[name][1]()
    expected = values(BLOCKS[name][1](), 10).tolist()
    start = values(schedule, 4).tolist()
    for twin in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert start + values(twin, 6).tolist() == expected
    assert next(schedule) == expected[4]


# -- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: warmup_cosine(1e-3, 300, 200), "WarmupCosine.v1: warmup_steps = 300 leaves no step"),
        (lambda: warmup_cosine(1e-3, 200, 200), "less than total_steps = 200"),
        (lambda: warmup_cosine(1e-3, -1, 200), "warmup_steps = -1; it must be a whole number from 0"),
        (lambda: warmup_cosine(1e-3, 1.5, 200), "warmup_steps = 1.5; it must be a whole number"),
        (lambda: warmup_cosine(1e-3, 0, 0), "total_steps = 0; it must be a whole number from 1"),
        (lambda: warmup_cosine(math.nan, 0, 10), "initial_rate = nan; it must be a finite number above 0"),
        (lambda: warmup_cosine(0.0, 0, 10), "initial_rate = 0.0"),
        (lambda: warmup_cosine(1e-3, 0, 10, 0.1), "final_rate = 0.1; it must be a finite number from 0 to initial_rate"),
        (lambda: warmup_cosine(1e-3, 0, 10, -1e-4), "final_rate = -0.0001"),
        (lambda: triangular(math.inf, 100), "Triangular.v1: max_rate = inf"),
        (lambda: triangular(1e-3, 0), "num_steps = 0; it must be a whole number from 1"),
        (lambda: triangular(1e-3, 5), "cut_frac = 0.1 of num_steps = 5 gives 0 steps on the way up"),
        (lambda: triangular(1e-3, 5, 1.0), "cut_frac = 1 of num_steps = 5 gives 5 steps"),
        (lambda: triangular(1e-3, 5, -0.5), "cut_frac = -0.5; it must be a finite number above 0"),
        (lambda: triangular(1e-3, 100, ratio=0), "ratio = 0; it must be a finite number from 1"),
        (lambda: stepwise(1e-3, [10, 5]), "Steps.v1: steps = [10, 5] are not in order"),
        (lambda: stepwise(1e-3, [5, 5]), "steps = [5, 5] are not in order"),
        (lambda: stepwise(1e-3, [-5, 5]), "steps = -5; it must be a whole number from 1"),
        (lambda: stepwise(1e-3, [0]), "steps = 0; it must be a whole number from 1"),
        (lambda: stepwise(1e-3, [5], 0.0), "factor = 0.0; it must be a finite number above 0"),
        (lambda: stepwise(-1.0, [5]), "initial_rate = -1.0"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused_by_name(make: Callable, says: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rate_at_zero_moves_nothing() -> None:
    """Step 0 of a warm-up is the first update, as with warmup_linear."""
    optimizer, w = Adam(warmup_cosine(1e-3, 5, 50), L2=1.0, use_averages=False), np.ones(3, "f")
    optimizer((1, "W"), w, np.ones(3, "f"))
    assert (w == 1).all()
