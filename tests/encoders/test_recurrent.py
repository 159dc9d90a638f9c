"""trajet.RecurrentEncoder.v1 against torch run on each document by itself."""

import pickle
import sys

import numpy as np
import pytest
from thinc.api import Model, fix_random_seed

from trajet.encoders.recurrent import recurrent_encoder
from trajet.errors import UserError
from trajet.trace.parameters import name_parameters

torch = pytest.importorskip("torch")
WIDTH = 6
SHAPES = pytest.mark.parametrize(("cell", "depth"), [("lstm", 1), ("lstm", 2), ("gru", 1), ("gru", 2)])


def _docs(lengths=(4, 9, 1, 6), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, WIDTH)).astype("float32") for length in lengths]


def _encoder(cell: str = "lstm", depth: int = 1, dropout: float = 0.0, seed: int = 0) -> Model:
    fix_random_seed(seed)
    encoder = recurrent_encoder(cell, WIDTH, depth, dropout)
    return encoder.initialize(_docs())


def _network(encoder: Model):
    return encoder.layers[0].shims[0]._model


def _norm(encoder: Model) -> Model:
    return next(node for node in encoder.walk() if node.name == "layernorm")


def _backward(encoder: Model, docs: list[np.ndarray], directions: list[np.ndarray]):
    """Outputs, the inputs' gradients and the parameters' by name of sum(outputs * directions)."""
    outputs, backprop = encoder.begin_update(docs)
    d_docs = backprop(directions)
    gradients = {name: value.grad.numpy().copy() for name, value in _network(encoder).named_parameters()}
    gradients |= {name: _norm(encoder).get_grad(name).copy() for name in ("G", "b")}
    _network(encoder).zero_grad()
    for name in ("G", "b"):
        _norm(encoder).get_grad(name)[...] = 0
    return outputs, d_docs, gradients


# -- padding that leaks ----------------------------------------------------------------------------


@SHAPES
def test_a_documents_scores_and_gradients_do_not_depend_on_its_batch_mates(cell: str, depth: int) -> None:
    encoder, docs, directions = _encoder(cell, depth), _docs(), _docs(seed=7)
    predicted = encoder.predict(docs)
    for place, doc in enumerate(docs):
        np.testing.assert_allclose(predicted[place], encoder.predict([doc])[0], rtol=1e-5, atol=1e-6)
        only = [direction * (place == other) for other, direction in enumerate(directions)]
        outputs, d_docs, gradients = _backward(encoder, docs, only)
        (alone,), (d_alone,), gradients_alone = _backward(encoder, [doc], [directions[place]])
        np.testing.assert_allclose(outputs[place], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(d_docs[place], d_alone, rtol=1e-4, atol=1e-5)
        for other, gradient in enumerate(d_docs):
            assert (other == place) == bool(gradient.any())
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, gradients_alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_spacys_own_bilstm_does_depend_on_them() -> None:
    """The same check finds the leak where there is one."""
    from spacy.ml.models.tok2vec import BiLSTMEncoder

    fix_random_seed(0)
    encoder, docs = BiLSTMEncoder(WIDTH, 1, 0.0), _docs()
    encoder.initialize(docs)
    together, alone = encoder.predict(docs)[0], encoder.predict(docs[:1])[0]
    assert np.abs(together - alone).max() > 1e-3, "spaCy's BiLSTM no longer reads its padding"


# -- torch by itself -------------------------------------------------------------------------------


@SHAPES
def test_outputs_and_gradients_are_torchs_on_each_document(cell: str, depth: int) -> None:
    encoder, docs, directions = _encoder(cell, depth), _docs((4, 9, 0, 1, 6)), _docs((4, 9, 0, 1, 6), seed=7)
    rng = np.random.default_rng(0)
    for name in ("G", "b"):
        _norm(encoder).set_param(name, rng.normal(size=WIDTH).astype("float32"))
    # The same weights in a network of torch's, in float64, that never sees two documents at once.
    kind = torch.nn.LSTM if cell == "lstm" else torch.nn.GRU
    network = kind(WIDTH, WIDTH // 2, depth, bidirectional=True).double()
    network.load_state_dict({name: value.double() for name, value in _network(encoder).state_dict().items()})
    scale, shift = (torch.from_numpy(_norm(encoder).get_param(name)).double().requires_grad_() for name in ("G", "b"))
    inputs = [torch.from_numpy(doc).double().requires_grad_() for doc in docs]
    expected = []
    for doc, direction in zip(inputs, directions, strict=True):
        if len(doc):
            output = torch.nn.functional.layer_norm(network(doc)[0], (WIDTH,), scale, shift, eps=1e-8)
            output.backward(torch.from_numpy(direction).double())
            expected.append(output.detach().numpy())
        else:
            expected.append(np.zeros((0, WIDTH)))

    outputs, d_docs, gradients = _backward(encoder, docs, directions)
    for found, predicted, wanted in zip(outputs, encoder.predict(docs), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(predicted, wanted, rtol=1e-4, atol=2e-5)
    for found, wanted in zip(d_docs, inputs, strict=True):
        assert found.shape == tuple(wanted.shape)
        np.testing.assert_allclose(found, wanted.grad.numpy() if len(found) else found, rtol=1e-3, atol=2e-4)
    theirs = {name: value.grad.numpy() for name, value in network.named_parameters()}
    theirs |= {"G": scale.grad.numpy(), "b": shift.grad.numpy()}
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, theirs[name], rtol=1e-3, atol=2e-4, err_msg=name)


def test_the_parameters_bear_the_cells_name() -> None:
    names = [parameter.name for parameter in name_parameters("tok2vec", _encoder("gru", 2))]
    assert names[0] == "tok2vec/gru-0/weight_ih_l0"
    assert "tok2vec/gru-0/weight_hh_l1_reverse" in names
    assert names[-2:] == ["tok2vec/layernorm-0/G", "tok2vec/layernorm-0/b"]
    assert len(names) == len(set(names)) == 2 * 2 * 4 + 2


# -- dropout, copies, refusals ---------------------------------------------------------------------


def test_dropout_lies_between_the_layers_and_acts_in_training_only() -> None:
    docs = _docs()
    encoder, without = _encoder(depth=2, dropout=0.5), _encoder(depth=2)
    for a, b in zip(encoder.predict(docs), without.predict(docs), strict=True):
        np.testing.assert_array_equal(a, b)
    fix_random_seed(1)
    first, second, plain = (np.concatenate(each.begin_update(docs)[0]) for each in (encoder, encoder, without))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, plain)
    # A dropped input changes an output; it does not put it to zero.
    assert first.all()
    assert second.all()


def test_training_dropout_acts_on_the_output() -> None:
    encoder, docs = _encoder(), _docs((30,))
    (dropout,) = [node for node in encoder.walk() if "dropout_rate" in node.attrs]
    dropout.attrs["dropout_rate"] = 0.5
    fix_random_seed(0)
    (output,), (kept,) = encoder.begin_update(docs)[0], encoder.predict(docs)
    assert 0.3 < (output == 0).mean() < 0.7
    np.testing.assert_allclose(output[output != 0], 2 * kept[output != 0], rtol=1e-5)


def test_a_seed_gives_the_first_weights_again() -> None:
    first, second, other = (_encoder(seed=seed).to_bytes() for seed in (0, 0, 1))
    assert first == second != other


@SHAPES
def test_it_can_be_saved_pickled_and_copied(cell: str, depth: int) -> None:
    encoder, docs = _encoder(cell, depth), _docs()
    expected = encoder.predict(docs)
    others = [
        _encoder(cell, depth, seed=1).from_bytes(encoder.to_bytes()),
        pickle.loads(pickle.dumps(encoder)),
        encoder.copy(),
    ]
    for other in others:
        for a, b in zip(other.predict(docs), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        backward = other.begin_update(docs)[1]
        assert [d.shape for d in backward(expected)] == [doc.shape for doc in docs]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "rnn"}, "cell is 'rnn'; choose one of lstm, gru$"),
        ({"width": 7}, "width is 7; it must be even, half for each direction$"),
        ({"width": 0}, "width is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"dropout": 1.0, "depth": 2}, "dropout is 1.0; it must be at least 0 and below 1$"),
        ({"dropout": 0.3}, "dropout = 0.3 lies between layers and depth 1 has but one; set dropout = 0 or depth = 2$"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recurrent_encoder(**{"cell": "lstm", "width": 8, **settings})


def test_another_width_than_the_embeddings_is_refused() -> None:
    encoder = recurrent_encoder("lstm", 8)
    with pytest.raises(UserError, match="width is 8, but the embedding's is 6; set both alike"):
        encoder.initialize(_docs())


def test_without_torch_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"RecurrentEncoder.v1 needs torch: pip install -r requirements-test.txt$"):
        recurrent_encoder("lstm", 8)
