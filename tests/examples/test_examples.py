"""The source document's numbers, readings and sentences, against formulas written out a second time."""

import math
import re

import numpy as np
import pytest

from tests.conftest import ROOT
from trajet.adam import State, ThincSettings, adam, adamw, thinc_adam
from trajet.examples.claims import Claim, claims
from trajet.examples.libraries import has_torch
from trajet.examples.numbers import Number, numbers
from trajet.examples.page import block_table, markdown
from trajet.examples.readings import DECAYS, HISTORIES, STATED, Reading, readings

# Weights near 0.5 are spaced 2^-24 apart below and 2^-23 above: an update rounds some four times.
NEAR_HALF = 4 * 2.0**-23


@pytest.fixture(scope="module")
def rows() -> list[Number]:
    return numbers()


@pytest.fixture(scope="module")
def variants() -> list[Reading]:
    return readings()


@pytest.fixture(scope="module")
def sentences() -> list[Claim]:
    return claims()


def _value(rows: list[Number], what: str) -> Number:
    return next(row for row in rows if what in row.what)


def _same_digits(stated: str, value: float) -> bool:
    """Whether `value` rounds to what is stated, at the digits stated."""
    if "e" in stated:
        # A rate such as 5e-5 is meant exactly, not to its one digit.
        return math.isclose(value, float(stated), rel_tol=0.001)
    digits = len(stated.partition(".")[2])
    return round(value, digits) == float(stated)


def test_a_verdict_says_whether_the_libraries_agree_with_what_is_stated(rows: list[Number]) -> None:
    assert {row.verdict for row in rows} == {
        "equal", "rounding", "sign error", "decay misread", "bias correction left out", "schedule misread", "not stated",
    }  # fmt: skip
    for row in rows:
        agrees = bool(row.stated) and row.thinc is not None and _same_digits(row.stated, row.thinc)
        assert agrees == (row.verdict in ("equal", "rounding")), row
        if row.verdict in ("equal", "rounding"):
            assert row.thinc == pytest.approx(row.formula, rel=2**-22), row


def test_every_box_of_the_source_has_its_numbers(rows: list[Number]) -> None:
    assert list(dict.fromkeys(row.topic for row in rows)) == [
        "Warm-up and decay", "Gradient clipping", "Weight decay", "Update at step 100", "The first update", "State at step 1000",
    ]  # fmt: skip
    stated = [row.stated for row in rows if row.stated]
    for figure in ("7.07", "0.71", "0.42", "0.57", "1.0", "2e-5", "5e-5", "0.495", "+0.0001", "0.4951"):
        assert figure in stated


def test_the_worked_case_is_the_one_that_was_measured(rows: list[Number]) -> None:
    after_100 = _value(rows, "W after 100 updates")
    assert f"{after_100.thinc:.8f}" == "0.49900508"
    assert f"{after_100.formula:.8f}" == "0.49900506"
    assert f"{_value(rows, 'W after update 1, at rate').thinc:.7f}" == "0.4999799"
    assert _value(rows, "learn_rate at step 1,000").thinc == pytest.approx(5e-5 * 19_000 / 19_750)
    assert _value(rows, "m / sqrt(v)").formula == pytest.approx(0.1 / math.sqrt(0.001))
    assert _value(rows, "v after 1,001").formula == pytest.approx(0.04 * (1 - 0.999**1001))


def test_torch_stands_beside_thinc_where_it_has_the_same_thing(rows: list[Number], variants: list[Reading]) -> None:
    pytest.importorskip("torch")
    both = [row for row in rows if row.torch is not None]
    assert len(both) > 10
    for row in both:
        # Rates of 1 on a weight of 0 show Thinc's epsilon: 3.2e-7 of 0.2, and 5e-6 of float32's 1 - 0.999.
        tolerance = 1e-5 if "sqrt(v)" in row.what or "v after" in row.what else 2e-6
        assert row.torch == pytest.approx(row.thinc, rel=tolerance), row
    assert all((r.torch is None) == (r.thinc is None) for r in variants)


def test_every_reading_is_there_once(variants: list[Reading]) -> None:
    keys = {(r.history.name, r.corrected, r.decay, r.gradient) for r in variants}
    # Uncorrected, "as if it were update 100" is the first history again.
    assert len(keys) == len(variants) == (2 * len(HISTORIES) - 1) * len(DECAYS) * 2


def test_one_reading_gives_the_stated_weight_whatever_the_history(variants: list[Reading]) -> None:
    hits = {(r.corrected, r.decay, r.gradient) for r in variants if r.gives_stated}
    assert hits == {(False, "document", -0.2)}
    assert all(r.gives_stated for r in variants if (r.corrected, r.decay, r.gradient) in hits)
    assert all("decay misread" in r.departures for r in variants if r.gives_stated)
    assert STATED == 0.4951


def test_readings_agree_with_the_reference_and_with_the_library(variants: list[Reading]) -> None:
    for reading in variants:
        assert reading.float32 == pytest.approx(reading.float64, abs=NEAR_HALF)
        if reading.thinc is None:
            continue
        state, w, g = State.of(np.array(0.5)), np.array(0.5), np.array(reading.gradient)
        for _ in range(reading.history.t):
            if reading.decay == "Thinc":
                step = adamw(w, g, state, reading.history.learn_rate, weight_decay=0.01)
            else:
                step = adam(w, g, state, reading.history.learn_rate, L2=0.01)
            state = step.state
        # AdamW shrinks the weight before the step, Thinc after it: they differ by rate * L2 * step.
        assert reading.float64 == pytest.approx(float(step.w_after), abs=1e-11)
        assert reading.thinc == pytest.approx(reading.float64, abs=NEAR_HALF)


def test_the_sentences_are_judged_with_numbers(sentences: list[Claim]) -> None:
    assert len(sentences) >= 20
    assert len({claim.ident for claim in sentences}) == len(sentences)
    for claim in sentences:
        assert claim.verdict in ("right", "imprecise", "wrong")
        assert claim.numbers, claim.ident
        assert "{" not in claim.statement
        named = set(re.findall(r"\{(\w+)", claim.truth))
        assert named, claim.ident
        assert named <= set(claim.numbers)


def _numbers_of(sentences: list[Claim], ident: str) -> dict[str, float]:
    return next(claim.numbers for claim in sentences if claim.ident == ident)


def test_the_sentences_numbers_by_closed_forms(sentences: list[Claim]) -> None:
    def has(ident: str, **expected: float) -> None:
        found = _numbers_of(sentences, ident)
        for name, value in expected.items():
            # The widest are standard deviations estimated from 2,000 samples: 1.6 % off, typically.
            assert found[name] == pytest.approx(value, rel=0.05), (ident, name)

    has("oscillation-cause", calm=0, swinging=30, left=0.8**30, diverged=1.1**30)
    has("one-rate", sgd_ratio=100)
    has("momentum-memory", ten=1 - 0.9**10, amplitude=1 / 19, noise=math.sqrt(1 / 19))
    has("momentum-ball", polyak=10, mean=1)
    has("v-is-no-variance", variance=0, v=0.04)
    has("varying-gradient", alternating=1 / 19, noise=math.sqrt(1 / 19))
    has("stable-gradient", small=1, large=1, surprise=0.1 / math.sqrt(0.001))
    has("eps", first=1e-8 / math.sqrt(0.001), late=1.26e-8)
    has("plateau", peaks=1, early=4.81e-5, middle=2.5e-5)
    has("warmup-share", total=0.5, warmup=sum(5e-5 * s / 250 for s in range(250)))
    has("clip-per-tensor", together=math.sqrt(2), angle=math.degrees(math.acos(7 / (5 * math.sqrt(2)))))
    has("clip-and-adam", change=2e-5, difference=0)
    has("clip-and-jumps", sgd=100)
    has("one-per-cent", step=5e-7, run=1 - math.exp(-0.005), half=68.97)
    has("literal-one-per-cent", needed=200, held=0.005, left=math.exp(sum(math.log(1 - 0.01 * s / 250) for s in range(250))
        + sum(math.log(1 - 0.01 * (20_000 - s) / 19_750) for s in range(250, 20_000))))  # fmt: skip
    has("forgotten-weights", half=math.log(2) / 5e-7)
    has("tax", small=2.5e-7, large=2.5e-6, adam_small=5e-5, adam_large=5e-5, times=200)
    has("larger-at-1000", ratio=19_000 / 19_750 / 0.4)
    has("larger-beta2", single=math.sqrt(2), short=math.sqrt(2 * 0.1 / 1.9), long=math.sqrt(2 * 0.001 / 1.999))
    has("exploding-rate", step=0.01, times=200)
    assert math.isnan(_numbers_of(sentences, "eps")["without"])
    assert math.isnan(_numbers_of(sentences, "clip-and-nan")["nan"])
    assert _numbers_of(sentences, "clip-and-nan")["still"] == 0.5
    jump = _numbers_of(sentences, "clip-and-jumps")
    assert jump["adam"] < 1 / math.sqrt(0.001) * 0.1
    assert jump["after"] < 1e-3 < jump["after_clipped"]
    # One gradient makes v 0.001 * 1e10; 200 updates later a usual m of 0.1 is divided by its root.
    state = State(2000, np.array(0.1), np.array(0.001 * 1e10 * 0.999**250))
    step = thinc_adam(np.array(0.0), np.array(0.1), state, ThincSettings(learn_rate=1.0))
    assert jump["after"] == pytest.approx(abs(float(step.gradient_part)), rel=0.2)


def test_the_block_table_is_read_from_the_config() -> None:
    table = {name: value for name, value, _ in block_table(ROOT / "configs" / "base.cfg")}
    assert table["beta2"] == "0.999"
    assert table["learn_rate.total_steps"] == "20000"
    assert all(role for _, _, role in block_table(ROOT / "configs" / "base.cfg"))


def _split(text: str) -> tuple[list[str], list[float]]:
    pattern = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
    return re.split(pattern, text), [float(number) for number in re.findall(pattern, text)]


@pytest.mark.skipif(not has_torch(), reason="the page has a column by torch")
def test_the_page_is_fresh(rows: list[Number], variants: list[Reading], sentences: list[Claim]) -> None:
    made = markdown(ROOT / "configs" / "base.cfg", rows, variants, sentences)
    made = made.replace(str(ROOT / "configs" / "base.cfg"), "configs/base.cfg")
    kept = (ROOT / "docs" / "adam-examples.md").read_text(encoding="utf8")
    words, values = _split(made)
    kept_words, kept_values = _split(kept)
    message = "docs/adam-examples.md is stale: run `python -m scripts.adam_examples`"
    assert words == kept_words, message
    # Another processor may round the last of seven digits of a float32 differently.
    assert values == pytest.approx(kept_values, rel=1e-6), message
