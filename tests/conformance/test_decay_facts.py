"""What L2 takes from the weights under Thinc's Adam, fact by fact, alone and in a training.

Expected values come from `trajet.adam`, which is the same mathematics in float64, or are figures that the
documentation quotes. A test that fails after an upgrade names the fact that moved.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from thinc.api import Adam, Model, Optimizer

from tests.conformance.small_training import trained, travel_examples, travel_nlp, update
from tests.conformance.tensors import (
    DOCUMENTED,
    FIRST_STEP,
    KEY,
    RATE,
    UNIT,
    after,
    documented_rates,
    normal,
    replayed,
    steps_error,
    storage_error,
)
from trajet import adam as reference
from trajet.adam import ThincSettings

# -- decay -------------------------------------------------------------------------------------


def test_decay_is_learn_rate_times_L2() -> None:
    """The decay is `learn_rate * L2`, not `L2`: with 5e-5 and 0.01 a weight loses 5e-7 of itself a step, not 1 %."""
    w = normal(10_000)
    lost = 1 - after(Adam(5e-5, **DOCUMENTED), w, np.zeros_like(w)).astype(float) / w
    # One subtraction rounds by UNIT of the weight at most, and either way.
    np.testing.assert_allclose(lost, 5e-7, rtol=0, atol=UNIT, err_msg="a decay step is not learn_rate * L2 any more")
    assert lost.mean() == pytest.approx(5e-7, abs=0.5e-7), "a decay step is not learn_rate * L2 any more"


def small_parser() -> Model:
    nlp = travel_nlp()
    nlp.initialize(lambda: travel_examples(nlp)[:20])
    return nlp.get_pipe("ner").model


def test_decay_hits_every_tensor() -> None:
    """It hits every tensor: biases, layer norm, embeddings."""
    model = small_parser()
    tensors = [(node, name) for node in model.walk() for name in node.param_names if node.has_param(name)]
    for node, name in tensors:
        # Biases start at 0, where decay has nothing to take.
        node.set_param(name, np.ones_like(node.get_param(name)))
        node.set_grad(name, np.zeros_like(node.get_param(name)))
    model.finish_update(Adam(5e-5, **{**DOCUMENTED, "L2": 100.0}))
    kinds = {(node.name.split("(")[0].split(">")[0], name) for node, name in tensors}
    assert {("hashembed", "E"), ("layernorm", "G"), ("layernorm", "b"), ("maxout", "b")} <= kinds, (
        "spaCy's parser no longer has the tensors that this fact names"
    )
    for node, name in tensors:
        np.testing.assert_allclose(
            node.get_param(name), 1 - 5e-3, rtol=4 * UNIT, err_msg=f"decay no longer hits {node.name}.{name}"
        )


def rebuilt(optimizer: Optimizer, w_after: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
    """(gradient part, decay part) of the last update, from what is left after it, in float64."""
    m, v = optimizer.mom1[KEY].astype(float), optimizer.mom2[KEY].astype(float)
    gradient_part = -optimizer.learn_rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + optimizer.eps)
    before_decay = w_after / (1 - optimizer.learn_rate * optimizer.L2)
    return gradient_part, w_after - before_decay


def test_the_parts_of_an_update_can_be_rebuilt_from_moments_and_final_weights() -> None:
    """Gradient part and decay part can be rebuilt from mom1, mom2 and the final weights (error 2.9e-7)."""
    gradients = [normal(200, seed=seed) for seed in range(1, 21)]
    optimizer = Adam(RATE, **{**DOCUMENTED, "L2": 10.0})
    before = after(optimizer, normal(200), *gradients[:-1])
    final = after(optimizer, before, gradients[-1])
    parts = rebuilt(optimizer, final, 20)
    # Two stored results, the weight after the step and the one after the decay.
    tolerance = storage_error(before, 2) + 10 * UNIT * RATE
    np.testing.assert_allclose(
        sum(parts), final.astype(float) - before, rtol=0, atol=tolerance, err_msg="the rebuilt parts no longer add up"
    )
    settings = ThincSettings(RATE, L2=10.0, grad_clip=1.0)
    step = replayed(lambda *a: reference.thinc_adam(*a, settings), normal(200), *gradients)[-1]
    for part, expected in zip(parts, (step.gradient_part, step.decay_part), strict=True):
        # Decay is a hundredth of the weight here, so storage errors of 20 updates come with that factor.
        atol = steps_error(20) * np.abs(expected).max() + 0.01 * storage_error(before, 2 * 20)
        np.testing.assert_allclose(part, expected, rtol=0, atol=atol, err_msg="a part is no longer what it was")


def share_unmoved(learn_rate: float) -> float:
    w = normal(100_000)
    return float((after(Adam(learn_rate, **DOCUMENTED), w, np.zeros_like(w)) == w).mean())


@pytest.mark.parametrize("learn_rate", [1e-6, 2e-6])
def test_float32_rounds_the_decay_away_at_small_rates(learn_rate: float) -> None:
    """With learn_rate near 1e-6 the float32 decay is rounded away: at <= 2e-6 no weight of ordinary size changes."""
    assert share_unmoved(learn_rate) == 1, f"float32 weights decay at a learning rate of {learn_rate} now"


def test_a_quarter_of_the_weights_does_not_decay_at_5e_6() -> None:
    """At 5e-6 a quarter does not."""
    # Normal weights have leading digits that are spread almost evenly in the logarithm. Those below 2**-24 / 5e-8
    # = 1.19 (as m in m * 2**e) stay: log2(1.19) = 0.254. Half a digit of "0.25" is 0.005.
    assert share_unmoved(5e-6) == pytest.approx(0.25, abs=0.005), "another share of weights stays at 5e-6 now"


def test_all_weights_decay_from_6e_6_on() -> None:
    """The end of that: from 2**-24 / L2 = 5.96e-6 on no weight is rounded back."""
    assert share_unmoved(6e-6) == 0, "decay is rounded away at 6e-6 too"


def test_parts_add_up_to_float32_rounding_only() -> None:
    """So "gradient part + decay part = difference" holds to float32 rounding only."""
    optimizer, before = Adam(1e-6, **DOCUMENTED), normal(1000)
    final = after(optimizer, before, normal(1000, seed=1))
    gap = np.abs(sum(rebuilt(optimizer, final, 1)) - (final.astype(float) - before))
    assert gap.max() > 0, "the parts add up exactly now: are weights no longer float32?"
    assert gap.max() <= storage_error(before, 2) + FIRST_STEP * 1e-6, (
        "the parts miss the difference by more than rounding"
    )


def test_the_documented_rates_sum_to_one_half() -> None:
    """The sum of learn_rate over the documented schedule is exactly 0.5."""
    assert math.fsum(itertools.islice(documented_rates(), 20001)) == 0.5, "the documented rates no longer sum to 0.5"


@pytest.mark.parametrize(("L2", "lost"), [(0.01, 0.005), (1.0, 0.39), (10.0, 0.993)])
def test_what_decay_takes_from_an_untouched_weight_in_the_whole_run(L2: float, lost: float) -> None:
    """L2 = 0.01 shrinks an untouched weight by 0.5 % in the whole run. To see decay at all, try L2 = 1, 10, 100."""
    # 1 - exp(-0.5 * L2); half of the last digit given is the tolerance, which holds the decay rounded away at the end.
    w = normal(200)
    result = after(Adam(documented_rates(), **{**DOCUMENTED, "L2": L2}), w, *itertools.repeat(np.zeros_like(w), 20000))
    digit = {0.005: 0.0005, 0.39: 0.005, 0.993: 0.0005}[lost]
    assert 1 - float(np.mean(result / w)) == pytest.approx(lost, abs=digit), (
        f"L2 = {L2} takes another share in a run now"
    )


def test_one_percent_a_step_at_the_peak_needs_L2_200() -> None:
    """A literal 1 % a step at the peak needs L2 = 200."""
    w = after(Adam(5e-5, **{**DOCUMENTED, "L2": 200.0}), np.ones(1, "f"), np.zeros(1, "f"))
    assert w[0] == pytest.approx(0.99, rel=4 * UNIT), "L2 = 200 at 5e-5 is not 1 % a step any more"


# -- a small parser on a few sentences ---------------------------------------------------------


def test_one_percent_decay_a_step_ruins_even_a_trained_model(tmp_path: Path) -> None:
    """A literal 1 % a step at the peak needs L2 = 200 (F stays 0 then): even what was learned is lost."""
    nlp, _ = trained(tmp_path / "run", {"learn_rate": 1e-3}, max_steps=60, eval_frequency=60)
    examples = travel_examples(nlp)[:100]
    assert nlp.evaluate(examples)["ents_f"] > 0.9, (
        "the small model no longer learns its sentences in 60 updates at 1e-3"
    )
    weights, scores = nlp.to_bytes(), {}
    for L2 in (0.01, 200.0):
        nlp.from_bytes(weights)
        optimizer = Adam(5e-5, **{**DOCUMENTED, "L2": L2})
        for i in range(250):
            update(nlp, examples[4 * i % 100 :][:4], optimizer)
        scores[L2] = nlp.evaluate(examples)["ents_f"]
    assert scores[0.01] > 0.9, "L2 = 0.01 at 5e-5 ruins a trained model now"
    assert scores[200.0] < 0.5, "L2 = 200 at 5e-5 no longer ruins a model"
