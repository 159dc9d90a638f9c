"""trajet.ReduceOnPlateau.v1 against torch.optim.lr_scheduler.ReduceLROnPlateau and rates worked out by hand."""

import math
import random
from itertools import islice, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from spacy.training.loop import create_evaluation_callback
from thinc.api import SGD, Adam, Optimizer, constant, warmup_linear

from tests.conftest import trace_block
from tests.training import by_hand
from trajet.errors import UserError
from trajet.trace import read_trace
from trajet.training.plateau import ReduceOnPlateau
from trajet.training.proximal_l1 import ProximalL1


def block(path: Path, **settings: Any) -> dict[str, Any]:
    members = {"plateau": {"@callbacks": "trajet.ReduceOnPlateau.v1", **settings}, "trace": trace_block(path)}
    return {"@callbacks": "trajet.Chain.v1", "*": members}


def torch_rates(scores: list[float], learn_rate: float, factor: float, patience: int, floor: float) -> list[float]:
    """torch's rate after each score. Its patience counts the bad evaluations that pass without a reduction."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learn_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=factor, patience=patience - 1, threshold=0, min_lr=floor, eps=0
    )
    rates = []
    for score in scores:
        scheduler.step(score)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def started(callback: ReduceOnPlateau, optimizer: Optimizer, weights: dict | None = None) -> ReduceOnPlateau:
    """The callback as it is when the first step's gradients are complete."""
    nlp, _ = by_hand.pipeline()
    nlp.config["training"]["score_weights"] = weights or {"ents_f": 1.0}
    callback(nlp, {"step": 0, "epoch": 0})
    callback.on_gradients(optimizer)
    return callback


# -- whole trainings -------------------------------------------------------------------------------


def test_the_rates_of_a_training_are_torchs_factor_on_the_schedule(fit, tmp_path: Path) -> None:
    settings = {"training.max_steps": 12, "training.eval_frequency": 2}
    run = fit("a", block(tmp_path / "t.jsonl", factor=0.5, patience=2, floor=0.0), **settings)
    scores = [row["score"] for row in run.log]
    assert len(scores) == 7
    factors = torch_rates(scores, 1.0, 0.5, 2, 0.0)
    assert factors[-1] < 1
    planned = list(islice(warmup_linear(0.003, 5, 100), 13))
    # The evaluation after step s acts from step s + 1 on.
    expected = [planned[0]] + [planned[step] * factors[(step - 1) // 2] for step in range(1, 13)]
    assert read_trace(tmp_path / "t.jsonl").steps["learn_rate"].to_numpy() == pytest.approx(expected, rel=1e-12)


# -- series of scores ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [lambda: Adam(0.8), lambda: SGD(constant(0.8)), lambda: ProximalL1(Adam(0.8), 0.1)],
                         ids=["number", "schedule", "wrapped"])  # fmt: skip
def test_any_series_gives_torchs_rates(seed: int, make) -> None:
    rng = random.Random(seed)
    factor, patience, floor = rng.choice([0.1, 0.5, 0.75]), rng.randrange(1, 5), rng.choice([0.0, 0.01, 0.3])
    # Few values: ties are common; and some that are no score at all.
    scores = [rng.choice([0.0, 0.25, 0.5, 0.75, math.nan]) for _ in range(60)]
    optimizer = make()
    callback = started(ReduceOnPlateau(factor, patience, floor), optimizer)
    rates = []
    for score in scores:
        optimizer.step_schedules()
        callback.on_evaluated([], {"ents_f": score})
        rates.append(optimizer.learn_rate)
    assert rates == pytest.approx(torch_rates(scores, 0.8, factor, patience, floor), rel=1e-12)
    assert rates[-1] < 0.8


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (0.001, [0.001, 0.0005, 0.0003, 0.0003]),
        # A plan below the floor is not raised to it.
        (0.0002, [0.0002, 0.0002, 0.0002, 0.0002]),
        (0.0004, [0.0004, 0.0003, 0.0003, 0.0003]),
        (0.0, [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_the_floor_holds_for_the_rate_and_the_plan_below_it(planned: float, expected: list[float]) -> None:
    optimizer = Adam(planned)
    callback = started(ReduceOnPlateau(0.5, 1, 0.0003), optimizer)
    rates = []
    for _ in range(4):
        callback.on_evaluated([], {"ents_f": 0.5})
        rates.append(optimizer.learn_rate)
        optimizer.step_schedules()
        assert optimizer.learn_rate == rates[-1]
    assert rates == expected


def test_a_schedule_goes_on_as_planned_under_the_factor_and_its_end_too() -> None:
    optimizer = Adam([0.1, 0.2, 0.4, 0.8])
    callback = started(ReduceOnPlateau(0.5, 1), optimizer)
    rates = [optimizer.learn_rate]
    for score in (0.5, 0.5, 0.9, 0.8, 0.8, 0.95):
        optimizer.step_schedules()
        callback.on_evaluated([], {"ents_f": score})
        rates.append(optimizer.learn_rate)
    # Planned .1 .2 .4 .8 and .8 for ever; reduced after the 2nd, the 4th and the 5th score.
    assert rates == pytest.approx([0.1, 0.2, 0.2, 0.4, 0.2, 0.1, 0.1])


def test_when_the_hooks_come_off_the_optimizer_is_what_it_was() -> None:
    for optimizer, rates in ((Adam(0.4), [0.4, 0.4]), (Adam(iter([0.4, 0.3, 0.2])), [0.3, 0.2])):
        schedules = dict(optimizer.schedules)
        callback = started(ReduceOnPlateau(0.5, 1), optimizer)
        optimizer.step_schedules()
        for _ in range(3):
            callback.on_evaluated([], {"ents_f": 0.0})
        assert optimizer.learn_rate == pytest.approx(rates[0] / 4)
        callback.hooks.remove()
        assert optimizer.learn_rate == rates[0]
        assert optimizer.schedules == schedules
        optimizer.step_schedules()
        assert optimizer.learn_rate == rates[1]


@pytest.mark.parametrize(
    "weights", [{"ents_f": 0.5, "tag_acc": 0.5}, {"ents_f": 1.0, "tag_acc": None}, {"ents_f": 0.2, "gone": 0.8}]
)
def test_the_score_is_the_one_of_spacys_loop(weights: dict) -> None:
    series = [
        {"ents_f": 0.1, "tag_acc": 0.9, "gone": 0.5, "speed": 3.0},
        {"ents_f": 0.9, "tag_acc": 0.3, "gone": None},
        {"ents_f": None, "tag_acc": 0.8, "gone": 1.0},
        {"ents_f": 0.7, "tag_acc": 0.2, "gone": 1.0, "ents_per_type": {}},
    ]
    callback = started(ReduceOnPlateau(), Adam(0.1), weights)
    assert callback.hooks is not None
    # spaCy adds the components' own weights and makes the sum 1.
    combined = callback.hooks.nlp.config["training"]["score_weights"]
    assert weights.keys() < combined.keys()
    scores = iter(series)
    theirs = create_evaluation_callback(SimpleNamespace(evaluate=lambda _: next(scores)), lambda _: [], combined)
    for one in series:
        assert callback._weighted(one) == theirs()[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"factor": 1.0}, "factor = 1.0; it must lie between 0 and 1"),
        ({"factor": 0.0}, "factor = 0.0"),
        ({"factor": math.nan}, "factor = nan"),
        ({"patience": 0}, "patience = 0; it must be a whole number from 1"),
        ({"patience": 1.5}, "patience = 1.5"),
        ({"floor": -1e-9}, "floor = -1e-09; it must be a number from 0"),
        ({"floor": math.nan}, "floor = nan"),
    ],
)
def test_bad_settings_are_refused(settings: dict, says: str) -> None:
    with pytest.raises(UserError) as caught:
        ReduceOnPlateau(**settings)
    assert says in str(caught.value)


def test_a_number_stays_a_number_for_an_optimizer_whose_rate_is_one() -> None:
    optimizer = Adam(0.1)
    started(ReduceOnPlateau(), optimizer)
    for _ in repeat(None, 3):
        optimizer.step_schedules()
    assert optimizer.learn_rate == 0.1
