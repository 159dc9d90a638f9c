"""Batch normalisation against torch's, and where its running statistics go."""

import numpy as np
import pytest
from thinc.api import Adam, Model, Ragged

from trajet.encoders.norms import batch_norm
from trajet.encoders.window import window_encoder

WIDTH = 5


def _layer(seed: int = 0) -> Model:
    layer = batch_norm(WIDTH).initialize()
    rng = np.random.default_rng(seed)
    layer.set_param("G", rng.normal(1, 0.5, WIDTH).astype("float32"))
    layer.set_param("b", rng.normal(0, 0.5, WIDTH).astype("float32"))
    return layer


def _rows(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, WIDTH)) * np.arange(1, WIDTH + 1) + 3).astype("float32")


def _running(layer: Model) -> list[np.ndarray]:
    return [layer.attrs["running_mean"].copy(), layer.attrs["running_var"].copy()]


def test_forward_backward_and_running_statistics_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    layer = _layer()
    theirs = torch.nn.BatchNorm1d(WIDTH)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(layer.get_param("G")))
        theirs.bias.copy_(torch.from_numpy(layer.get_param("b")))
    for number, count in enumerate((40, 2, 17, 300)):
        rows, direction = _rows(count, number), _rows(count, 100 + number) - 3
        inputs = torch.from_numpy(rows).requires_grad_()
        expected = theirs.train()(inputs)
        theirs.zero_grad()
        expected.backward(torch.from_numpy(direction))
        found, backprop = layer.begin_update(rows)
        d_rows = backprop(direction)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(d_rows, inputs.grad.numpy(), rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(layer.get_grad("G"), theirs.weight.grad.numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(layer.get_grad("b"), theirs.bias.grad.numpy(), rtol=1e-4, atol=1e-4)
        for name in ("G", "b"):
            layer.get_grad(name)[...] = 0
        for mine, other in zip(_running(layer), (theirs.running_mean, theirs.running_var), strict=True):
            np.testing.assert_allclose(mine, other.numpy(), rtol=1e-6)
        # In between, as at an evaluation in mid-training.
        seen = _rows(3, 50)
        np.testing.assert_allclose(
            layer.predict(seen), theirs.eval()(torch.from_numpy(seen)).detach().numpy(), rtol=1e-5, atol=1e-5
        )


def test_padding_is_transformed_but_not_counted() -> None:
    torch = pytest.importorskip("torch")
    layer, rows = _layer(), _rows(14)
    lengths = [2, 3, 2, 5, 2]
    tokens = np.repeat([False, True, False, True, False], lengths)
    direction = _rows(14, 9) - 3
    found, backprop = layer.begin_update(Ragged(rows, layer.ops.asarray1i(lengths)))
    d_rows = backprop(Ragged(direction, layer.ops.asarray1i(lengths)))

    inputs = torch.from_numpy(rows.astype("float64")).requires_grad_()
    G, b = (torch.from_numpy(layer.get_param(name).astype("float64")).requires_grad_() for name in ("G", "b"))
    counted = inputs[torch.from_numpy(tokens)]
    mean, variance = counted.mean(0), counted.var(0, unbiased=False)
    expected = (inputs - mean) / torch.sqrt(variance + 1e-5) * G + b
    expected.backward(torch.from_numpy(direction.astype("float64")))
    np.testing.assert_allclose(found.dataXd, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(d_rows.dataXd, inputs.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.get_grad("G"), G.grad.numpy(), rtol=1e-4)
    np.testing.assert_allclose(layer.get_grad("b"), b.grad.numpy(), rtol=1e-4)
    # 0.9 of the first 0 and 1, a tenth of this batch's mean and unbiased variance.
    np.testing.assert_allclose(layer.attrs["running_mean"], 0.1 * rows[tokens].mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.attrs["running_var"], 0.9 + 0.1 * rows[tokens].var(0, ddof=1), rtol=1e-5)


def test_a_prediction_moves_nothing_and_an_update_does() -> None:
    layer = _layer()
    fresh = _running(layer)
    layer.predict(_rows(20))
    for before, after in zip(fresh, _running(layer), strict=True):
        np.testing.assert_array_equal(before, after)
    kept = layer.attrs["running_mean"]
    rows = _rows(20, 1)
    layer.begin_update(rows)
    np.testing.assert_allclose(layer.attrs["running_mean"], 0.1 * rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.attrs["running_var"], 0.9 + 0.1 * rows.var(0, ddof=1), rtol=1e-5)
    # Replaced, not written into: whoever held the old array can put it back.
    np.testing.assert_array_equal(kept, fresh[0])


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_without_a_variance_takes_the_running_statistics(count: int) -> None:
    layer = _layer()
    layer.begin_update(_rows(30))
    before = _running(layer)
    rows = _rows(count, 4)
    outputs, backprop = layer.begin_update(rows)
    np.testing.assert_array_equal(outputs, layer.predict(rows))
    for old, new in zip(before, _running(layer), strict=True):
        np.testing.assert_array_equal(old, new)
    # The statistics are constants here: each feature's slope is G / sqrt(running_var + 1e-5).
    expected = np.ones((count, WIDTH)) * layer.get_param("G") / np.sqrt(before[1] + 1e-5)
    np.testing.assert_allclose(backprop(np.ones((count, WIDTH), dtype="float32")), expected, rtol=1e-5)


def test_statistics_are_saved_and_restored(tmp_path) -> None:
    docs = [_rows(6), _rows(3, 1)]
    model = window_encoder(WIDTH, 2, norm="batch").initialize(docs)
    for _ in range(3):
        model.begin_update(docs)
    expected = model.predict(docs)
    model.to_disk(tmp_path / "model")
    for other in (
        window_encoder(WIDTH, 2, norm="batch").from_bytes(model.to_bytes()),
        window_encoder(WIDTH, 2, norm="batch").from_disk(tmp_path / "model"),
    ):
        for a, b in zip(other.predict(docs), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert other.to_bytes() == model.to_bytes()
        # And goes on from there.
        other.begin_update(docs)
        assert other.to_bytes() != model.to_bytes()


def test_each_layer_has_statistics_of_its_own() -> None:
    docs = [_rows(6), _rows(3, 1)]
    model = window_encoder(WIDTH, 3, norm="batch").initialize(docs)
    model.begin_update(docs)
    means = [node.attrs["running_mean"] for node in model.walk() if node.name == "batchnorm"]
    assert len(means) == 3
    assert not np.array_equal(means[0], means[1])
    assert not np.array_equal(means[1], means[2])


def test_no_optimizer_ever_sees_them() -> None:
    layer = _layer()
    _, backprop = layer.begin_update(_rows(20))
    backprop(_rows(20, 1))
    before = _running(layer)
    optimizer = Adam(0.1, L2=1.0)
    layer.finish_update(optimizer)
    assert {name for _, name in optimizer.nr_update} == {"G", "b"}
    for old, new in zip(before, _running(layer), strict=True):
        np.testing.assert_array_equal(old, new)


def test_initialising_again_begins_anew() -> None:
    layer = _layer()
    layer.begin_update(_rows(20))
    layer.initialize()
    np.testing.assert_array_equal(layer.attrs["running_mean"], np.zeros(WIDTH))
    np.testing.assert_array_equal(layer.attrs["running_var"], np.ones(WIDTH))
