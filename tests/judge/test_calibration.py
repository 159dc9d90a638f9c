"""Reliability by hand, temperatures against data that was drawn at a known one."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from trajet.errors import UserError
from trajet.judge.calibration import fit_temperature, mean_nll, reliability, tempered
from trajet.plots.judge.reliability import data, draw, draw_counts, figure


def test_a_table_by_hand() -> None:
    table = reliability([0.95, 1.0, 0.9, 0.05, 0.32], [True, True, False, False, True])
    assert [row.count for row in table.bins] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 3]
    assert table.bins[9].confidence == pytest.approx(2.85 / 3)
    assert table.bins[9].right == pytest.approx(2 / 3)
    gaps = 3 * (2.85 / 3 - 2 / 3) + 1 * 0.05 + 1 * (1 - 0.32)
    assert table.ece == pytest.approx(gaps / 5)
    assert table.brier == pytest.approx((0.05**2 + 0 + 0.9**2 + 0.05**2 + 0.68**2) / 5)
    assert (table.count, table.right) == (5, 0.6)
    assert table.confidence == pytest.approx(3.22 / 5)
    # Wilson's interval of 0 of 1 and of 1 of 1: z^2 / (1 + z^2) = 0.793
    assert (table.bins[0].right_low, table.bins[0].right_high) == pytest.approx((0, 0.7935), abs=1e-4)
    assert (table.bins[3].right_low, table.bins[3].right_high) == pytest.approx((0.2065, 1), abs=1e-4)
    assert table.bins[1].confidence is None


def test_no_prediction_has_a_table_without_summary() -> None:
    table = reliability([], [])
    assert (table.count, table.ece, table.brier) == (0, None, None)
    assert len(table.bins) == 10
    with pytest.raises(ValueError, match="1 confidences and 0 answers"):
        reliability([0.5], [])


def test_honest_confidences_have_a_small_error_and_boasts_a_large_one() -> None:
    rng = np.random.default_rng(0)
    honest = rng.random(20_000)
    right = rng.random(20_000) < honest
    assert reliability(honest, right).ece < 0.02
    # The mean of c (1 - c) over [0, 1] is 1/6.
    assert reliability(honest, right).brier == pytest.approx(1 / 6, abs=0.005)
    assert reliability(np.sqrt(honest), right).ece > 0.15


def test_tempering_is_a_softmax_of_divided_scores() -> None:
    scores = np.random.default_rng(1).normal(size=(5, 4))
    scores[:, 2] = -np.inf
    for temperature in (0.3, 1.0, 4.0):
        expected = log_softmax(scores / temperature, axis=1)
        assert tempered(log_softmax(scores, axis=1), temperature) == pytest.approx(expected)


def test_the_temperature_that_made_the_data_is_found_again() -> None:
    rng = np.random.default_rng(2)
    for true in (0.5, 1.0, 2.5):
        scores = rng.normal(scale=3, size=(8000, 5))
        scores[:4000, 4] = -np.inf
        moves = np.array([rng.choice(5, p=row) for row in softmax(scores / true, axis=1)])
        log_probs = log_softmax(scores, axis=1)
        found = fit_temperature(log_probs, moves)
        assert found == pytest.approx(true, rel=0.06)
        assert mean_nll(log_probs, moves, found) <= mean_nll(log_probs, moves) + 1e-9
    with pytest.raises(UserError, match="no state to fit"):
        fit_temperature(np.zeros((0, 5)), np.zeros(0, dtype=int))


def test_the_picture_shows_the_bins_that_hold_something() -> None:
    tables = {"one": reliability([0.95, 0.15, 0.12], [True, False, True]), "none": reliability([], [])}
    one, none = curves = data(tables)
    assert one.right == pytest.approx([0.5, 1.0])
    assert one.confidence == pytest.approx([0.135, 0.95])
    assert one.count.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert len(none.right) == 0
    made = figure(curves, "t")
    assert draw(curves, made.axes[0]) is made.axes[0]
    assert draw_counts(curves, made.axes[1]) is made.axes[1]
    assert [text.get_text() for text in draw(curves).get_legend().get_texts()] == ["one, ECE 0.260", "none"]
