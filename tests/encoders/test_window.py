"""trajet.WindowEncoder.v1 against spaCy's own and against a second implementation in float64."""

import pickle

import numpy as np
import pytest
from spacy.ml.models.tok2vec import MaxoutWindowEncoder
from thinc.api import Model, fix_random_seed

from tests.encoders.reference import by_layer, encode
from trajet.encoders.window import NORMS, window_encoder
from trajet.errors import UserError

WIDTH, DEPTH, WINDOW, PIECES = 6, 3, 2, 3


def _docs(lengths=(5, 1, 8, 3), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, WIDTH)).astype("float32") for length in lengths]


def _encoder(norm: str, depth: int = DEPTH, seed: int = 0) -> Model:
    """Initialised, and no longer at ones and zeros where a norm and the biases begin."""
    encoder = window_encoder(WIDTH, depth, WINDOW, PIECES, norm)
    fix_random_seed(seed)
    encoder.initialize(_docs())
    rng = np.random.default_rng(seed)
    for node in encoder.walk():
        for name in node.param_names:
            value = node.get_param(name)
            node.set_param(name, value + rng.normal(size=value.shape, scale=0.3).astype("float32"))
        if node.name == "batchnorm":
            node.attrs["running_mean"] = rng.normal(size=WIDTH).astype("float32")
            node.attrs["running_var"] = rng.uniform(0.5, 2, size=WIDTH).astype("float32")
    return encoder


def _backward(encoder: Model, docs: list[np.ndarray], directions: list[np.ndarray]):
    """Outputs, the inputs' gradients and the parameters' of sum(outputs * directions)."""
    outputs, backprop = encoder.begin_update(docs)
    d_docs = backprop(directions)
    gradients = by_layer(encoder, lambda node, name: node.get_grad(name).copy())
    for node in encoder.walk():
        for name in node.param_names:
            node.get_grad(name)[...] = 0
    return outputs, d_docs, gradients


# -- spaCy's own -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3])
def test_with_a_layer_norm_it_is_spacys_encoder(depth: int) -> None:
    spacys = MaxoutWindowEncoder(width=WIDTH, window_size=WINDOW, maxout_pieces=PIECES, depth=depth)
    spacys.initialize(_docs())
    ours = window_encoder(WIDTH, depth, WINDOW, PIECES)
    ours.from_bytes(spacys.to_bytes())
    docs, directions = _docs((4, 7, 0, 1)), _docs((4, 7, 0, 1), seed=1)
    for mine, theirs in zip(ours.predict(docs), spacys.predict(docs), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    mine, theirs = (_backward(encoder, docs, directions) for encoder in (ours, spacys))
    for part in (0, 1):
        for a, b in zip(mine[part], theirs[part], strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(mine[2]) == depth
    for of_mine, of_theirs in zip(mine[2], theirs[2], strict=True):
        assert of_mine.keys() == {"W", "b", "G", "beta"}
        for name, gradient in of_mine.items():
            np.testing.assert_array_equal(gradient, of_theirs[name])
            assert np.abs(gradient).max() > 0


def test_its_first_weights_are_spacys_too() -> None:
    saved = []
    for make in (
        lambda: MaxoutWindowEncoder(WIDTH, WINDOW, PIECES, DEPTH),
        lambda: window_encoder(WIDTH, DEPTH, WINDOW),
    ):
        encoder = make()
        fix_random_seed(3)
        saved.append(encoder.initialize(_docs()).to_bytes())
    assert saved[0] == saved[1]


# -- a second implementation -----------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("training", [False, True], ids=["predicting", "training"])
def test_outputs_are_those_of_the_reference(norm: str, training: bool) -> None:
    encoder, docs = _encoder(norm), _docs()
    expected = encode(docs, by_layer(encoder, Model.get_param), WINDOW, norm, training)
    found = encoder.begin_update(docs)[0] if training else encoder.predict(docs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_are_the_references_finite_differences(norm: str) -> None:
    encoder, docs, directions = _encoder(norm), _docs(), _docs(seed=7)
    layers = by_layer(encoder, Model.get_param)
    _, d_docs, gradients = _backward(encoder, docs, directions)

    def loss() -> float:
        outputs = encode([doc.astype("float64") for doc in inputs], layers, WINDOW, norm, training=True)
        return sum(float((y * d).sum()) for y, d in zip(outputs, directions, strict=True))

    inputs = [doc.astype("float64") for doc in docs]
    checks = list(zip(inputs, d_docs, strict=True))
    for layer, of_layer in zip(layers, gradients, strict=True):
        checks += [(layer[name], of_layer[name]) for name in ("W", "b", "G", "beta") if name in layer]
    rng = np.random.default_rng(0)
    for values, gradient in checks:
        for place in rng.choice(values.size, size=min(4, values.size), replace=False):
            index = np.unravel_index(place, values.shape)
            middle, ends = values[index], []
            for step in (1e-6, -1e-6):
                values[index] = middle + step
                ends.append(loss())
            values[index] = middle
            close = {"rel": 1e-3, "abs": 1e-4 * max(float(np.abs(gradient).max()), 1.0)}
            assert gradient[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, **close)


# -- what a document may see -----------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_no_document_sees_another_at_prediction(norm: str) -> None:
    encoder, docs = _encoder(norm), _docs()
    for place, together in enumerate(encoder.predict(docs)):
        (alone,) = encoder.predict([docs[place]])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_nor_while_training(norm: str) -> None:
    encoder, docs, directions = _encoder(norm), _docs(), _docs(seed=7)
    for place, doc in enumerate(docs):
        only = [direction * (place == other) for other, direction in enumerate(directions)]
        outputs, d_docs, gradients = _backward(encoder, docs, only)
        (alone,), (d_alone,), gradients_alone = _backward(encoder, [doc], [directions[place]])
        np.testing.assert_allclose(outputs[place], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(d_docs[place], d_alone, rtol=1e-4, atol=1e-5)
        for layer, layer_alone in zip(gradients, gradients_alone, strict=True):
            for name, gradient in layer.items():
                np.testing.assert_allclose(gradient, layer_alone[name], rtol=1e-4, atol=1e-4)


def test_with_batch_norm_training_documents_share_their_statistics() -> None:
    encoder, docs = _encoder("batch"), _docs()
    together = encoder.begin_update(docs)[0][0]
    alone = encoder.begin_update(docs[:1])[0][0]
    assert np.abs(together - alone).max() > 0.1


# -- dropout, copies, refusals ---------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_dropout_acts_after_each_layer_and_in_training_only(norm: str) -> None:
    encoder, docs = _encoder(norm, depth=1), _docs()
    before = encoder.predict(docs)
    plain = encoder.begin_update(docs)[0]
    dropped_nodes = [node for node in encoder.walk() if "dropout_rate" in node.attrs]
    assert len(dropped_nodes) == 1
    dropped_nodes[0].attrs["dropout_rate"] = 0.5
    fix_random_seed(0)
    outputs = np.concatenate(encoder.begin_update(docs)[0])
    inputs, kept = np.concatenate(docs), np.concatenate(plain)
    # x + norm(...) or x + 0: what came in is never dropped; what is kept is doubled.
    zeroed = outputs == inputs
    assert 0.3 < zeroed.mean() < 0.7
    np.testing.assert_allclose((outputs - inputs)[~zeroed], 2 * (kept - inputs)[~zeroed], rtol=1e-3, atol=1e-5)
    if norm != "batch":
        np.testing.assert_array_equal(np.concatenate(encoder.predict(docs)), np.concatenate(before))


@pytest.mark.parametrize("norm", NORMS)
def test_it_can_be_pickled_and_copied(norm: str) -> None:
    encoder, docs = _encoder(norm), _docs()
    expected = encoder.predict(docs)
    for other in (pickle.loads(pickle.dumps(encoder)), encoder.copy()):
        for a, b in zip(other.predict(docs), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "weight"}, r"norm is 'weight'; choose one of layer, batch, none$"),
        ({"init": "gorot"}, r"init is 'gorot'; choose one of glorot_uniform, glorot_normal, he_uniform, .*, normal$"),
        ({"depth": 0}, r"trajet.WindowEncoder.v1: depth is 0; it must be at least 1$"),
        ({"window_size": -1}, "window_size is -1"),
        ({"maxout_pieces": 0}, "maxout_pieces is 0"),
        ({"width": 0}, "width is 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        window_encoder(**{"width": 8, "depth": 2, **settings})
