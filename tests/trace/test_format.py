"""How numbers are written: six significant digits, whatever the size, in JSON that anybody reads."""

import json
import random

from trajet.trace.format import encode


def test_six_digits_come_back_whatever_the_size() -> None:
    rng = random.Random(0)
    values = [0.0, 1.0, 123456.7, -0.0004, 0.0004, 0.000999999, 9.99999e-5, 1e-300, 1e22]
    values += [rng.choice((-1, 1)) * 10 ** rng.uniform(-40, 38) for _ in range(5000)]
    values += [10 ** rng.uniform(-5, -3) for _ in range(5000)]
    row = json.loads(encode({"step": 0}, {"grad_norm": values}))
    assert row["grad_norm"] == [float(f"{value:.6g}") for value in values]


def test_what_is_no_number_is_a_word_or_null() -> None:
    row = json.loads(encode({"step": 0}, {"grad_norm": [float("nan"), float("inf"), float("-inf"), None]}))
    assert row["grad_norm"] == ["nan", "inf", "-inf", None]
