"""What the documented learning rate schedule does, fact by fact, alone and in a training.

A test that fails after an upgrade names the fact that moved.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
from confection import ConfigValidationError
from jinja2 import Template
from spacy.cli.init_config import RECOMMENDATIONS, TEMPLATE_PATH
from spacy.language import DEFAULT_CONFIG
from thinc.api import Adam, Config, fix_random_seed, registry, slanted_triangular, warmup_linear

from tests.conformance.small_training import trained, travel_examples, travel_nlp, update
from tests.conformance.tensors import DOCUMENTED, KEY, documented_rates


def rates(count: int) -> list[float]:
    """The documented schedule: 250 steps of warm-up, 20,000 in all, 5e-5 at the peak."""
    return list(itertools.islice(documented_rates(), count))


def quickstart() -> Config:
    """What spaCy's own template writes for a transformer pipeline."""
    template = Template(TEMPLATE_PATH.read_text(encoding="utf8"))
    settings = {"lang": "fr", "components": ["ner"], "optimize": "accuracy", "hardware": "gpu", "word_vectors": None}
    text = template.render(**settings, transformer_data=RECOMMENDATIONS["fr"]["transformer"], has_letters=True)
    return Config().from_str(text, interpolate=False)


# -- warmup_linear -----------------------------------------------------------------------------


@pytest.mark.parametrize(("warmup", "total"), [(250, 20000), (5, 100), (1, 2)])
def test_warmup_linear_gives_zero_at_the_first_update(warmup: int, total: int) -> None:
    """`warmup_linear.v1` gives 0 at the first update."""
    assert next(warmup_linear(1.0, warmup, total)) == 0, "warmup_linear no longer starts at 0"


def test_the_first_update_at_rate_zero_moves_no_weight() -> None:
    """... 0 at the first update: moments are filled, weights stay, decay and all."""
    optimizer, w = Adam(warmup_linear(5e-5, 250, 20000), **DOCUMENTED), np.ones(3, "f")
    optimizer(KEY, w, np.full(3, 0.2, "f"))
    assert (w == 1).all(), "the first update of warmup_linear moves the weights now"
    assert (optimizer.mom1[KEY] > 0).all(), "an update at rate 0 no longer fills the moments"


@pytest.mark.parametrize(("warmup", "total"), [(250, 20000), (5, 100), (1, 2)])
def test_warmup_linear_gives_zero_at_total_steps_and_never_less(warmup: int, total: int) -> None:
    """... and 0 at `total_steps`; 0 from 20000 on."""
    values = list(itertools.islice(warmup_linear(1.0, warmup, total), 2 * total))
    assert values[total - 1] > 0, "warmup_linear reaches 0 before total_steps now"
    assert set(values[total:]) == {0.0}, "warmup_linear is no longer 0 from total_steps on"


# Tolerance: float64 rounding where the figure is exact, half of the last digit where it is not.
@pytest.mark.parametrize(
    ("step", "rate", "tolerance"), [(100, 2e-5, 1e-19), (250, 5e-5, 1e-19), (1000, 4.81e-5, 0.005e-5)]
)
def test_documented_rates(step: int, rate: float, tolerance: float) -> None:
    """With 250 / 20000 / 5e-5: 2e-5 at step 100, 5e-5 at 250, 4.81e-5 at 1000."""
    assert rates(1001)[step] == pytest.approx(rate, abs=tolerance), f"the documented rate at step {step} moved"


def test_warmup_linear_is_linear_up_and_down() -> None:
    """The name says it: both legs are straight, with the peak at `warmup_steps`."""
    values = np.array(rates(20001))
    # Six float64 roundings a value, none above 5e-5.
    for leg, slope in ((values[:251], 5e-5 / 250), (values[250:], -5e-5 / 19750)):
        np.testing.assert_allclose(
            np.diff(leg), slope, rtol=0, atol=6 * 5e-5 * 2.0**-52, err_msg="a leg of warmup_linear is not straight now"
        )
    assert values.argmax() == 250, "the peak of warmup_linear is not at warmup_steps now"


def test_step_100_is_the_101st_update() -> None:
    """`warmup_linear` step s is the rate of update t = s + 1: "step 100" (2e-5) is the 101st update."""
    optimizer, seen = Adam(warmup_linear(5e-5, 250, 20000), **DOCUMENTED), []
    w = np.full(1, 0.5, "f")
    for _ in range(101):
        seen.append(optimizer.learn_rate)
        optimizer(KEY, w, np.full(1, 0.2, "f"))
        optimizer.step_schedules()
    assert optimizer.nr_update[KEY] == 101, "Thinc counts the updates of a tensor otherwise now"
    assert seen[100] == 2e-5, "the rate of the 101st update is not that of step 100 now"
    assert seen == rates(101), "step_schedules no longer steps once a call"


def test_the_rate_of_a_schedule_is_in_force_before_the_first_step() -> None:
    """Step 0 is the first update: building the optimizer takes the first value."""
    optimizer = Adam(iter([0.5, 0.25]), use_averages=False)
    assert optimizer.learn_rate == 0.5, "an optimizer no longer starts with its schedule's first value"
    optimizer.step_schedules()
    assert optimizer.learn_rate == 0.25, "step_schedules no longer takes the next value"


# -- slanted_triangular ------------------------------------------------------------------------


def test_slanted_triangular_goes_negative_after_num_steps() -> None:
    """`slanted_triangular.v1` goes negative after `num_steps`."""
    values = np.fromiter(itertools.islice(slanted_triangular(1.0, 1000), 2000), dtype=float)
    # The value of t = num_steps is max_rate / ratio; from there it falls by (ratio - 1) / ratio over 900 steps, so
    # that it takes 900 / 31 = 29.03 more to pass zero.
    assert values[999] == pytest.approx(1 / 32, rel=1e-12), "slanted_triangular no longer ends at max_rate / ratio"
    assert (values[:1029] > 0).all(), "slanted_triangular goes negative earlier now"
    assert (values[1029:] < 0).all(), "slanted_triangular no longer goes negative after num_steps"


def test_a_negative_rate_climbs_the_gradient() -> None:
    """... goes negative: Thinc takes such a rate as it is, and the update goes uphill."""
    w = np.zeros(1, "f")
    Adam(-1e-3, use_averages=False)(KEY, w, np.full(1, 0.2, "f"))
    assert w[0] > 0, "Thinc no longer takes a negative learning rate as it is"


# -- the documented block ----------------------------------------------------------------------


def test_the_quickstart_schedule_is_250_20000_5e_5() -> None:
    """The documented quickstart block: warmup_linear.v1 with 250 / 20000 / 5e-5."""
    assert quickstart()["training"]["optimizer"] == {
        "@optimizers": "Adam.v1",
        "learn_rate": {
            "@schedules": "warmup_linear.v1",
            "warmup_steps": 250,
            "total_steps": 20000,
            "initial_rate": 5e-5,
        },
    }, "spaCy's quickstart writes another optimizer block now"


def test_patience_is_1600_beside_20000_total_steps() -> None:
    """The documented quickstart block has total_steps 20000 beside patience 1600."""
    assert "patience" not in quickstart()["training"], "spaCy's quickstart sets a patience of its own now"
    assert DEFAULT_CONFIG["training"]["patience"] == 1600, "the patience of spaCy's default config moved"


def test_one_patience_after_the_peak_the_rate_is_still_nine_tenths() -> None:
    """... most runs stop before the decay has done much: a patience is 8 % of the way down."""
    end = DEFAULT_CONFIG["training"]["patience"] + 250
    assert rates(end + 1)[end] == pytest.approx(0.92 * 5e-5, abs=0.005 * 5e-5), "the rate falls otherwise now"


# -- comments in a config ----------------------------------------------------------------------

SCHEDULE = """
[learn_rate]
@schedules = "warmup_linear.v1"
{warmup}
total_steps = 20000
initial_rate = 5e-5
"""


def test_a_value_with_an_inline_comment_is_read_as_a_string() -> None:
    """A config value followed by an inline comment (`warmup_steps = 250   # ...`) is read as a string."""
    config = Config().from_str(SCHEDULE.format(warmup="warmup_steps = 250   # updates"))
    assert config["learn_rate"]["warmup_steps"] == "250   # updates", "inline comments are read otherwise now"


def test_a_value_with_an_inline_comment_fails_validation() -> None:
    """... and fails validation."""
    config = Config().from_str(SCHEDULE.format(warmup="warmup_steps = 250   # updates"))
    with pytest.raises(ConfigValidationError, match="warmup_steps"):
        registry.resolve(config)


def test_a_comment_on_a_line_of_its_own_is_a_comment() -> None:
    """Comments go on lines of their own."""
    config = Config().from_str(SCHEDULE.format(warmup="# updates\nwarmup_steps = 250"))
    assert config["learn_rate"]["warmup_steps"] == 250, "a comment on its own line is no longer skipped"
    values = registry.resolve(config)["learn_rate"]
    assert list(itertools.islice(values, 300)) == rates(300), "a schedule from a config is another now"


# -- in a training -----------------------------------------------------------------------------
# The figures in the quotations are those of one run; what is tested is which side of them a small model is on.

DOCUMENTED_RATE = quickstart()["training"]["optimizer"]["learn_rate"]


def scores(learn_rate: float | dict, at: list[int], batches: int) -> list[float]:
    """F after so many updates on the first so many batches of 16 sentences; on others if there are several batches."""
    fix_random_seed(0)
    nlp = travel_nlp()
    examples = travel_examples(nlp)
    nlp.initialize(lambda: examples)
    if isinstance(learn_rate, dict):
        learn_rate = registry.resolve({"learn_rate": learn_rate})["learn_rate"]
    optimizer, found = Adam(learn_rate, **DOCUMENTED), []
    judged = examples[:16] if batches == 1 else examples[320:400]
    for done in range(1, max(at) + 1):
        update(nlp, examples[16 * (done % batches) :][:16], optimizer)
        if done in at:
            found.append(nlp.evaluate(judged)["ents_f"])
    return found


def test_spacy_prints_an_initial_learn_rate_of_zero(tmp_path: Path) -> None:
    """spaCy prints "Initial learn rate: 0.0"."""
    _, printed = trained(tmp_path / "run", {"learn_rate": DOCUMENTED_RATE}, max_steps=1, eval_frequency=1)
    assert "Initial learn rate: 0.0\n" in printed.replace("\x1b[0m", ""), "spaCy no longer prints a first rate of 0.0"


def test_a_cnn_from_scratch_is_slow_with_the_documented_block() -> None:
    """A CNN from scratch is slow: F stays near 0 for hundreds of updates, then rises."""
    early, late = scores(DOCUMENTED_RATE, [150, 500], batches=20)
    assert early < 0.5, "a CNN learns within 150 updates of the documented block now"
    assert late > 0.9, "a CNN no longer learns at all with the documented block"


def test_the_same_cnn_is_there_in_under_200_updates_at_1e_3() -> None:
    """At a constant 1e-3 the same model reaches that in under 200."""
    (score,) = scores(1e-3, [100], batches=20)
    assert score > 0.9, "a CNN no longer learns within 200 updates at 1e-3"


def test_one_batch_is_overfitted_in_20_updates_at_1e_3() -> None:
    """One batch is overfitted in 20 updates at 1e-3."""
    (score,) = scores(1e-3, [20], batches=1)
    assert score > 0.9, "20 updates at 1e-3 no longer overfit one batch"


def test_one_batch_is_overfitted_in_250_to_500_updates_of_the_documented_block() -> None:
    """... in 250-500 with the documented block."""
    early, late = scores(DOCUMENTED_RATE, [200, 500], batches=1)
    assert early < 1, "one batch is overfitted before update 250 of the documented block now"
    assert late > 0.9, "500 updates of the documented block no longer overfit one batch"
