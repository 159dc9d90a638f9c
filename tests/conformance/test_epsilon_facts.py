"""Where Thinc's Adam adds its epsilon, fact by fact, and what parts it from torch's.

Expected values come from `trajet.adam`, which is the same mathematics in float64, or are figures that the
documentation quotes. A test that fails after an upgrade names the fact that moved.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from thinc.api import Adam

from tests.conformance.tensors import RATE, after, f32, normal, replayed, steps_error, storage_error
from trajet import adam as reference

# -- epsilon -----------------------------------------------------------------------------------


def effective_eps(t: int) -> float:
    """Epsilon as Thinc's t-th update of a steady gradient shows it: step = learn_rate * g / (g + eps)."""
    optimizer, g = Adam(RATE, L2=0.0, grad_clip=0.0, use_averages=False), f32(1e-7)
    for _ in range(t):
        # From 0 every time, so that the step is stored with all its digits.
        w = after(optimizer, f32(0), g)
    return float(g[0]) * (RATE / -float(w[0]) - 1)


def test_epsilon_is_the_papers_epsilon_hat() -> None:
    """Adam's epsilon is the paper's "epsilon-hat": added to sqrt(v) uncorrected."""
    w, gradients = np.zeros(50, "f"), [normal(50, 1e-7, seed) for seed in range(1, 11)]
    result = after(Adam(RATE, L2=0.0, grad_clip=0.0, use_averages=False), w, *gradients)
    hat = replayed(lambda *a: reference.adam_epsilon_hat(*a, RATE), w, *gradients)[-1].w_after
    plain = replayed(lambda *a: reference.adam(*a, RATE), w, *gradients)[-1].w_after
    tolerance = steps_error(10) * 10 * RATE
    np.testing.assert_allclose(
        result, hat, rtol=0, atol=tolerance, err_msg="eps is no longer added to an uncorrected sqrt(v)"
    )
    assert np.abs(plain - hat).max() > 100 * tolerance, "this test no longer tells the two places of eps apart"


def test_effective_epsilon_is_3_2e_7_in_the_first_update() -> None:
    """Effective eps 3.2e-7 at t = 1."""
    assert effective_eps(1) == pytest.approx(3.2e-7, abs=0.05e-7), "the effective eps at t = 1 is not 3.2e-7 any more"


def test_effective_epsilon_is_1_26e_8_in_update_1000() -> None:
    """Effective eps 1.26e-8 at t = 1000."""
    assert effective_eps(1000) == pytest.approx(1.26e-8, abs=0.005e-8), (
        "the effective eps at t = 1000 is not 1.26e-8 any more"
    )


def torch_adam(w: np.ndarray, *gradients: np.ndarray) -> np.ndarray:
    """The weights after torch.optim.Adam at RATE, in the dtype of `w`."""
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.tensor(w))
    optimizer = torch.optim.Adam([parameter], lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient.astype(w.dtype))
        optimizer.step()
    return parameter.detach().numpy()


HUNDRED = [normal(50, 1e-5, seed) for seed in range(1, 101)]


def test_torch_adam_is_algorithm_1() -> None:
    """torch.optim.Adam uses Algorithm 1."""
    w = normal(50).astype(np.float64)
    expected = replayed(lambda *a: reference.adam(*a, RATE), w, *HUNDRED)[-1].w_after
    # Both sides are float64 and round some ten times an update.
    np.testing.assert_allclose(
        torch_adam(w, *HUNDRED), expected, rtol=1000 * 2.0**-52, err_msg="torch.optim.Adam is no longer Algorithm 1"
    )


def test_thinc_differs_from_torch_by_the_place_of_epsilon_alone() -> None:
    """The difference to Thinc comes from that alone (replayed in float64)."""
    w = normal(50)
    observed = after(Adam(RATE, L2=0.0, grad_clip=0.0, use_averages=False), w, *HUNDRED) - torch_adam(w, *HUNDRED)
    hat = replayed(lambda *a: reference.adam_epsilon_hat(*a, RATE), w, *HUNDRED)[-1].w_after
    plain = replayed(lambda *a: reference.adam(*a, RATE), w, *HUNDRED)[-1].w_after
    # Two float32 runs of a hundred stored weights each, and Thinc's step error over the way that a weight moved.
    tolerance = storage_error(w, 2 * 100) + steps_error(100) * np.abs(hat - w).max()
    np.testing.assert_allclose(
        observed, hat - plain, rtol=0, atol=tolerance, err_msg="Thinc and torch differ by more than the place of eps"
    )
    assert np.abs(hat - plain).max() > 10 * tolerance, "this test no longer sees the place of eps"


def test_a_schedule_for_eps_turns_thinc_into_torch() -> None:
    """With eps as a schedule `eps * sqrt(1 - beta2**t)` Thinc matches torch to 3.3e-7 over 100 steps."""

    def corrected() -> Iterator[float]:
        for t in itertools.count(1):
            yield 1e-8 * math.sqrt(1 - 0.999**t)

    # Below 0.25 a float32 is at most 7.5e-9 off: as a random walk the 200 roundings of two runs come to 6e-8, and the
    # largest of fifty weights to three times that.
    w = np.random.default_rng(0).uniform(-0.2, 0.2, size=50).astype(np.float32)
    theirs = torch_adam(w, *HUNDRED)
    mine = after(Adam(RATE, eps=corrected(), L2=0.0, grad_clip=0.0, use_averages=False), w, *HUNDRED)
    fixed = after(Adam(RATE, eps=1e-8, L2=0.0, grad_clip=0.0, use_averages=False), w, *HUNDRED)
    assert np.abs(mine - theirs).max() < 3.3e-7, "a corrected eps no longer turns Thinc's Adam into torch's"
    assert np.abs(fixed - theirs).max() > 100 * 3.3e-7, "Thinc's Adam with a fixed eps is torch's now"
