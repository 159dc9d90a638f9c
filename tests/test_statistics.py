"""Student's t against tables, closed forms and integration; Holm by hand; intervals against simulated coverage."""

import itertools
import math

import numpy as np
import pytest

from trajet import statistics as st
from trajet.errors import UserError

# -- over seeds ------------------------------------------------------------------------------------


def test_spread_by_hand() -> None:
    found = st.spread([0.90, 0.92, 0.94])
    assert (found.n, found.low, found.high) == (3, 0.90, 0.94)
    assert (found.mean, found.sd) == (pytest.approx(0.92), pytest.approx(0.02))
    assert st.spread([0.5]).sd is None
    assert st.spread([0.5, 0.5]).sd == 0.0


@pytest.mark.parametrize(("values", "words"), [([], "none"), ([0.1, math.nan], "number 2 is not finite")])
def test_spread_of_nothing_is_refused(values: list, words: str) -> None:
    with pytest.raises(UserError, match=words):
        st.spread(values)


def test_paired_difference_by_hand() -> None:
    variant = {0: 0.93, 1: 0.95, 2: 0.92, 7: 0.10}
    base = {0: 0.92, 1: 0.92, 2: 0.90, 8: 0.99}
    found = st.paired_difference(variant, base)
    # d = 0.01, 0.03, 0.02: mean 0.02, sd 0.01, t(0.975; 2) = 4.30265; t = 0.02 / (0.01 / sqrt 3) = 2 sqrt 3
    assert found.n == 3
    assert (found.mean, found.sd) == (pytest.approx(0.02), pytest.approx(0.01))
    assert found.half_width == pytest.approx(4.30265 * 0.01 / math.sqrt(3), rel=1e-5)
    assert (found.low, found.high) == pytest.approx((0.02 - found.half_width, 0.02 + found.half_width))
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14))  # 1 - t / sqrt(2 + t^2)


def test_the_interval_leaves_out_0_just_when_p_is_below_its_level() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(200):
        n = int(rng.integers(2, 9))
        shift = rng.normal(scale=1.5)
        found = st.paired_difference({s: rng.normal() + shift for s in range(n)}, dict.fromkeys(range(n), 0.0))
        outside = not found.low <= 0 <= found.high
        assert outside == (found.p < 0.05)
        seen.add(outside)
    assert seen == {True, False}


def test_pairing_takes_the_seeds_own_luck_out() -> None:
    luck = [-0.06, 0.02, 0.05, -0.01, 0.0, -0.04, 0.03, 0.01]
    base = {s: 0.8 + luck[s] for s in range(8)}
    found = st.paired_difference({s: base[s] + 0.01 + 0.001 * (-1) ** s for s in base}, base)
    assert found.sd == pytest.approx(0.001 * math.sqrt(8 / 7))
    assert st.spread(base.values()).sd > 30 * found.sd
    assert found.p < 1e-6


def test_degenerate_pairs_are_defined() -> None:
    assert st.paired_difference({0: 0.9}, {1: 0.9}) == st.Difference(0)
    assert st.paired_difference({0: 0.9, 1: 0.5}, {0: 0.8, 2: 0.1}) == st.Difference(1, pytest.approx(0.1))
    same = st.paired_difference({0: 0.5, 1: 0.75}, {0: 0.5, 1: 0.75})
    assert (same.mean, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    moved = st.paired_difference({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.5})
    assert (moved.mean, moved.low, moved.high, moved.p) == (0.25, 0.25, 0.25, 0.0)
    with pytest.raises(UserError, match="seed 1: the base's score is nan"):
        st.paired_difference({0: 0.5, 1: 0.5}, {0: 0.5, 1: math.nan})
    # a score that is not finite matters only where it is used
    assert st.paired_difference({0: 0.5, 1: 0.5, 2: math.nan}, {0: 0.5, 1: 0.5}).n == 2


@pytest.mark.parametrize("n", [3, 8])
def test_the_t_interval_covers_what_it_says_and_a_percentile_bootstrap_over_seeds_does_not(n: int) -> None:
    rng = np.random.default_rng(n)
    studies = 3000
    values = rng.normal(size=(studies, n))
    zero = dict.fromkeys(range(n), 0.0)
    t_covers = b_covers = 0
    for row in values:
        found = st.paired_difference(dict(enumerate(row)), zero)
        t_covers += found.low <= 0 <= found.high
        means = row[rng.integers(n, size=(400, n))].mean(axis=1)
        low, high = st.percentile_interval(means)
        b_covers += low <= 0 <= high
    error = 4 * math.sqrt(0.25 / studies)
    assert t_covers / studies == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / studies))
    if n == 3:
        # Each of the three drawn thrice has 1/27 > 2.5 %: the interval runs from the least to the greatest value,
        # which all lie on one side of the mean with probability 2 / 2^3.
        assert b_covers / studies == pytest.approx(0.75, abs=error)
    else:
        assert b_covers / studies < 0.92


# -- Holm ------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 -> times 4, 3, 2, 1 -> 0.02, 0.03, 0.06, 0.04 -> never falling: 0.06
    assert st.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert st.holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert st.holm([0.8, 0.7]) == [1.0, 1.0]
    assert st.holm([0.02]) == [0.02]
    assert st.holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    assert st.holm([None, 0.01, None, 0.04]) == [None, pytest.approx(0.02), None, pytest.approx(0.04)]
    with pytest.raises(UserError, match="p value 2 is nan"):
        st.holm([0.1, math.nan])


def test_holm_keeps_the_order_and_never_lowers_a_p() -> None:
    p_values = list(np.random.default_rng(0).uniform(size=40) ** 4)
    adjusted = st.holm(p_values)
    order = np.argsort(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert np.diff(np.array(adjusted)[order]).min() >= 0
    shuffled = np.random.default_rng(1).permutation(40)
    assert st.holm([p_values[i] for i in shuffled]) == [adjusted[i] for i in shuffled]


def _steps_down(p_values: list[float], alpha: float) -> set[int]:
    """Holm's procedure as he tells it: compare the least with alpha / m, the next with alpha / (m - 1), stop at a failure."""
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected.add(index)
    return rejected


def test_adjusted_values_reject_what_the_procedure_rejects_and_the_threshold_is_its_border() -> None:
    rng = np.random.default_rng(2)
    sizes = set()
    for _ in range(300):
        p_values = list(rng.uniform(size=6) ** 5)
        rejected = _steps_down(p_values, 0.05)
        sizes.add(len(rejected))
        assert {i for i, p in enumerate(st.holm(p_values)) if p <= 0.05} == rejected
        for index in range(6):
            border = st.holm_threshold(p_values, index, 0.05)
            for factor, expected in ((0.999, True), (1.001, False)):
                moved = [border * factor if i == index else p for i, p in enumerate(p_values)]
                assert (index in _steps_down(moved, 0.05)) is expected
    assert len(sizes) > 4


def test_with_no_effect_anywhere_few_studies_call_one() -> None:
    # Ten variants that share their base, all the same: Holm holds the share of studies with any call below 5 %.
    rng = np.random.default_rng(4)
    studies, called = 400, 0
    for _ in range(studies):
        base = dict(enumerate(rng.normal(size=3)))
        p_values = [st.paired_difference(dict(enumerate(rng.normal(size=3))), base).p for _ in range(10)]
        called += any(p <= 0.05 for p in st.holm(p_values))
    assert called / studies < 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


# -- over frames -----------------------------------------------------------------------------------


def _some_counts(frames: int, right: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    gold = rng.integers(1, 30, size=frames)
    tp = rng.binomial(gold, right)
    return np.stack([tp, rng.binomial(gold, 1 - right), gold - tp], axis=1)


def test_micro_f_by_hand() -> None:
    assert st.micro_f(np.array([3, 1, 2])) == pytest.approx(6 / 9)
    assert st.micro_f(np.array([[0, 0, 0], [0, 4, 4], [5, 0, 0]])).tolist() == [0.0, 0.0, 1.0]


def test_every_draw_of_two_frames_is_one_of_three() -> None:
    counts = np.array([[1, 0, 0], [0, 1, 1]])
    values, how_often = np.unique(st.f_over_frames(counts, seed=0, resamples=20_000), return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    assert how_often / 20_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_a_paired_bootstrap_is_narrower_than_two_single_ones() -> None:
    base = _some_counts(60, 0.8, 0)
    better = base.copy()
    found = np.minimum(better[:, 2], 1)
    better[:, 0] += found
    better[:, 2] -= found
    one, other = (st.f_over_frames(counts, seed=3) for counts in (better, base))
    alone = st.f_over_frames(base, seed=4)
    low, high = st.percentile_interval(one - other)
    unpaired_low, unpaired_high = st.percentile_interval(one - alone)
    assert 0 < low < st.micro_f(better.sum(axis=0)) - st.micro_f(base.sum(axis=0)) < high
    assert unpaired_high - unpaired_low > 2 * (high - low)
    assert np.array_equal(st.f_over_frames(base, seed=3), other)


def test_the_bootstrap_over_frames_covers_about_what_it_says() -> None:
    # Frames drawn from a population with known F: rates of tp, fp, fn 0.8, 0.1, 0.2 on average.
    rng = np.random.default_rng(6)
    covered, studies = 0, 300
    for _ in range(studies):
        right = rng.beta(8, 2, size=80)
        gold = np.full(80, 10)
        tp = rng.binomial(gold, right)
        counts = np.stack([tp, rng.binomial(gold, 0.1), gold - tp], axis=1)
        low, high = st.percentile_interval(st.f_over_frames(counts, seed=0, resamples=500))
        covered += low <= 1.6 / (1.6 + 0.1 + 0.2) <= high
    assert covered / studies == pytest.approx(0.95, abs=0.045)


@pytest.mark.parametrize(
    ("counts", "words"),
    [([], "shape"), ([[1, 2]], "shape"), ([[1, 2, -3]], "negative"), ([[1, 2, math.nan]], "not finite")],
)
def test_counts_that_are_none_are_refused(counts: list, words: str) -> None:
    with pytest.raises(UserError, match=words):
        st.f_over_frames(np.array(counts), seed=0)


# -- updates ---------------------------------------------------------------------------------------


def test_updates_to_a_level_by_hand() -> None:
    curve = [(1, 0.0), (101, 0.5), (201, 0.8), (301, 0.95), (401, 0.85), (501, 0.97)]
    assert st.updates_to(curve, 0.9) == pytest.approx(201 + 100 * 0.10 / 0.15)
    assert st.updates_to(curve, 0.8) == 201
    assert st.updates_to(curve, 0.98) is None
    assert st.updates_to(curve, 0.0) == 1
    assert st.updates_to([], 0.5) is None
    # one that was not measured is passed over
    assert st.updates_to([(1, 0.0), (101, math.nan), (201, 0.8)], 0.4) == pytest.approx(101)


def test_the_median_counts_never_as_later_than_any() -> None:
    assert st.median_or_never([300, None, 100]) == 300
    assert st.median_or_never([300, 100]) == 200
    for without in ([300, None], [None, None, 5], [None], []):
        assert st.median_or_never(without) is None
    for values in itertools.permutations([1.0, 2.0, None, 3.0, 4.0]):
        assert st.median_or_never(values) == 3.0
