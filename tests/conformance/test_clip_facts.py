"""How Thinc clips gradients, fact by fact, alone and in a training.

A test that fails after an upgrade names the fact that moved.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from thinc.api import Adam, NumpyOps, Optimizer, Softmax, chain, fix_random_seed

from tests.conformance.small_training import travel_examples, travel_nlp, update
from tests.conformance.tensors import DOCUMENTED, FIRST_STEP, KEY, RATE, UNIT, after, documented_rates, f32

# -- clipping ----------------------------------------------------------------------------------


def test_a_long_gradient_is_scaled_to_norm_grad_clip() -> None:
    """A tensor's gradient is scaled to norm `grad_clip` when its own norm >= `grad_clip`."""
    clipped = NumpyOps().clip_gradient(f32(5, 3, 4), 2.5)
    assert np.linalg.norm(clipped) == pytest.approx(2.5, rel=10 * UNIT), "a clipped gradient has another norm now"
    np.testing.assert_allclose(clipped / clipped[0], [1, 0.6, 0.8], rtol=10 * UNIT, err_msg="clip turns the gradient")


def test_a_gradient_just_above_grad_clip_is_clipped_and_one_at_or_below_it_stays() -> None:
    """... when its own norm >= `grad_clip`."""
    for length, expected in ((0.99, 0.99), (1.0, 1.0), (1.01, 1.0)):
        clipped = NumpyOps().clip_gradient(f32(length, 0), 1.0)
        assert clipped[0] == pytest.approx(expected, rel=2 * UNIT), (
            "the threshold of the clip is not grad_clip any more"
        )


def test_clipping_is_in_place() -> None:
    """Clipping is per tensor, in place."""
    g = f32(5, 3, 4)
    assert NumpyOps().clip_gradient(g, 1.0) is g, "clip_gradient no longer returns the caller's array"
    assert np.linalg.norm(g) == pytest.approx(1, rel=10 * UNIT), "clip_gradient no longer works in place"


def test_clipping_is_per_tensor_and_knows_no_global_norm() -> None:
    """It is not a global norm: two tensors of norm 0.8 (together 1.13) both stay whole."""
    model = chain(Softmax(4, 3), Softmax(2, 4)).initialize()
    for node in model.layers:
        for name in node.param_names:
            g = np.zeros_like(node.get_param(name))
            g.flat[0] = 0.8
            node.set_grad(name, g)
    optimizer = Adam(RATE, **DOCUMENTED)
    model.finish_update(optimizer)
    assert len(optimizer.mom1) == 4, "finish_update no longer calls the optimizer once a tensor"
    for m in optimizer.mom1.values():
        assert m[0] == pytest.approx(0.08, rel=10 * UNIT), "gradients are clipped by more than their own norm now"


def test_each_tensor_is_clipped_by_its_own_factor() -> None:
    """Clipping is per tensor: of two tensors the long one is scaled, the short one not."""
    optimizer = Adam(RATE, **DOCUMENTED)
    for key, length in ((KEY, 50.0), ((2, "W"), 0.5)):
        optimizer(key, np.ones(1, "f"), f32(length))
    moments = [float(m[0]) for m in optimizer.mom1.values()]
    assert moments == pytest.approx([0.1, 0.05], rel=10 * UNIT), "one tensor's clip factor depends on another now"


def test_an_infinite_entry_becomes_nan_and_the_others_zero() -> None:
    """A gradient with inf becomes nan (that entry; the rest of the tensor becomes 0)."""
    with np.errstate(invalid="ignore"):
        clipped = NumpyOps().clip_gradient(f32(np.inf, 1, 2), 1.0)
    np.testing.assert_array_equal(clipped, f32(np.nan, 0, 0), "clip treats an infinite gradient otherwise now")


def test_a_norm_beyond_float32_makes_the_whole_gradient_zero() -> None:
    """One whose norm overflows float32 becomes all zeros, silently."""
    # 1e20 is a good float32, its square is not; a norm of 1.8e19 still has a square below 3.4e38.
    with np.errstate(over="ignore"):
        clipped = NumpyOps().clip_gradient(f32(1e20, 3, -1e20), 1.0)
        fits = NumpyOps().clip_gradient(f32(1.8e19, 0, 0), 1.0)
    np.testing.assert_array_equal(clipped, np.zeros(3), "a gradient with an overflowing norm is no longer zeroed")
    assert fits[0] == pytest.approx(1, rel=4 * UNIT), "the norm overflows earlier than float32 does"


def test_an_update_with_an_overflowing_norm_passes_silently() -> None:
    """... all zeros, silently: no exception, and the weights stay."""
    w = np.ones(3, "f")
    with np.errstate(over="ignore"):
        result = after(Adam(RATE, use_averages=False), w, f32(1e20, 3, -1e20))
    np.testing.assert_array_equal(result, w, "an overflowing gradient moves the weights now")


def test_clipping_leaves_adams_first_step_as_it_was() -> None:
    """[5, 3, 4] clipped or not moves each weight by the same 2.0e-5 at that rate (2e-5)."""
    steps = [after(Adam(2e-5, grad_clip=c, use_averages=False), np.zeros(3, "f"), f32(5, 3, 4)) for c in (0.0, 1.0)]
    # What scale is left in the step is that of eps: 3.2e-7 beside gradients of 0.4 and more is under a millionth.
    np.testing.assert_allclose(
        steps[0], steps[1], rtol=1e-6 + 10 * UNIT, err_msg="clipping changes the first step of Adam now"
    )
    np.testing.assert_allclose(
        steps[1], -2e-5, rtol=1e-6 + FIRST_STEP, err_msg="the first step is no longer the learning rate"
    )


# -- a small parser on a few sentences ---------------------------------------------------------


class Watching(Optimizer):
    """Thinc's optimizer, which also notes whether each gradient is as long as the clip."""

    __slots__ = ("clipped",)

    def __call__(self, key, weights, gradient, *, lr_scale=1.0):
        self.clipped.append(float(np.linalg.norm(gradient)) >= self.grad_clip)
        return super().__call__(key, weights, gradient, lr_scale=lr_scale)


def clipped_share(learn_rate: float | Iterator[float], **ner: object) -> float:
    """Share of gradients at or above the clip in forty updates of a parser, at about 100 words an update."""
    fix_random_seed(0)
    nlp = travel_nlp(**ner)
    examples = travel_examples(nlp)
    nlp.initialize(lambda: examples)
    optimizer = Watching(learn_rate, L2=0.01, grad_clip=1.0, use_averages=False)
    optimizer.clipped = []
    for i in range(40):
        update(nlp, examples[16 * i % 448 :][:16], optimizer)
    return float(np.mean(optimizer.clipped))


def test_the_clip_is_active_on_most_tensors_of_an_ner_run() -> None:
    """With `grad_clip = 1.0` it is active on most tensors through most of a spaCy NER run."""
    share = clipped_share(documented_rates())
    assert share > 0.5, f"only {share:.0%} of the gradients of an NER run are clipped at grad_clip = 1.0 now"


def test_a_zero_output_layer_keeps_the_clip_idle_at_first() -> None:
    """Not so while an output layer (use_upper) is near its first weights, which are zero and pass no gradient on."""
    share = clipped_share(documented_rates(), use_upper=True)
    assert share < 0.5, f"{share:.0%} of the first gradients under an output layer are clipped: does it start at zero?"
