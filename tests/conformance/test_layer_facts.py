"""What layers do, Thinc's, torch's and Hugging Face's, one fact a test: a failure names the fact that has changed."""

import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.ml.models import build_hash_embed_cnn_tok2vec
from spacy.tokens import Doc
from thinc.api import LSTM, Adam, Linear, Model, Optimizer, fix_random_seed
from thinc.types import Padded

from tests.conformance.conftest import block, examples, parameters, swap_class

# -- layers ------------------------------------------------------------------------------------------


def test_a_cnn_with_depth_4_and_window_1_sees_4_tokens_to_each_side() -> None:
    """The CNN with depth 4 and window 1 sees 4 tokens to each side."""
    fix_random_seed(0)
    cnn = build_hash_embed_cnn_tok2vec(
        width=16,
        depth=4,
        embed_size=200,
        window_size=1,
        maxout_pieces=3,
        subword_features=True,
        pretrained_vectors=None,
    )
    vocab, words = spacy.blank("fr").vocab, [f"mot{i}" for i in range(13)]
    one = Doc(vocab, words=words)
    other = Doc(vocab, words=[*words[:6], "Zürich", *words[7:]])
    cnn.initialize([one])
    difference = np.abs(cnn.predict([one])[0] - cnn.predict([other])[0]).max(axis=1)
    changed = np.flatnonzero(difference > 1e-5).tolist()
    assert changed == list(range(2, 11)), "depth 4 and window 1 no longer see exactly 4 tokens to each side"


def test_parameters_without_a_gradient_are_skipped_by_the_optimizer() -> None:
    """Thinc parameters without a gradient are skipped by the optimizer."""
    model = Linear(3, 2).initialize()
    model.set_grad("b", np.ones(3, dtype="float32"))
    optimizer = Adam(0.1, L2=0.5)
    before = model.get_param("W").copy()
    model.finish_update(optimizer)
    assert dict(optimizer.nr_update) == {(model.id, "b"): 1}, "parameters without a gradient are no longer skipped"
    assert np.array_equal(model.get_param("W"), before), "a parameter without a gradient now decays"


def _relative_gradient_error(model: Model, name: str, forward: Callable[[], np.ndarray], backprop: Callable) -> float:
    """How far a layer's own gradient of sum(weights * outputs) is from finite differences, relative to those."""
    weighing = np.random.default_rng(1).normal(size=forward().shape).astype("float32")
    backprop(weighing)
    own, value, numeric = model.get_grad(name), model.get_param(name).copy(), np.zeros(model.get_param(name).shape)
    for place in np.ndindex(value.shape):
        ends = []
        for step in (0.01, -0.01):
            moved = value.copy()
            moved[place] += step
            model.set_param(name, moved)
            ends.append(float((forward().astype("float64") * weighing).sum()))
        numeric[place] = (ends[0] - ends[1]) / 0.02
    return float(np.linalg.norm(own - numeric) / np.linalg.norm(numeric))


def test_thincs_numpy_lstm_fails_a_finite_difference_check_on_its_weights() -> None:
    """Thinc's NumPy `LSTM.v1` fails a finite-difference check on its weights: do not use it."""
    fix_random_seed(0)
    rng = np.random.default_rng(0)
    lstm = LSTM(nO=3, nI=2)
    padded = lstm.ops.list2padded([rng.normal(size=(length, 2)).astype("float32") for length in (4, 3)])
    lstm.initialize(padded)
    outputs, backprop = lstm.begin_update(padded)

    def backward(weighing: np.ndarray) -> None:
        backprop(Padded(weighing, outputs.size_at_t, outputs.lengths, outputs.indices))

    of_lstm = _relative_gradient_error(lstm, "LSTM", lambda: lstm.begin_update(padded)[0].data, backward)
    linear, inputs = Linear(3, 2).initialize(), rng.normal(size=(4, 2)).astype("float32")
    _, backprop_linear = linear.begin_update(inputs)
    of_linear = _relative_gradient_error(linear, "W", lambda: linear.predict(inputs), backprop_linear)
    assert of_linear < 1e-3, "the check itself no longer passes a correct layer"
    assert of_lstm > 0.5, "the weights' gradient of Thinc's LSTM.v1 has become right: it may be used again"


# -- torch -------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_the_optimizer_is_called_with_shim_id_and_name_for_torch_parameters(torch) -> None:
    """... and `optimizer((shim.id, name), ...)` for each PyTorch one."""
    from thinc.api import PyTorchWrapper

    model = PyTorchWrapper(torch.nn.Linear(2, 3))
    (shim,) = model.shims
    outputs, backprop = model.begin_update(np.ones((4, 2), dtype="float32"))
    backprop(np.ones_like(outputs))
    optimizer = Adam(0.01)
    model.finish_update(optimizer)
    assert set(optimizer.nr_update) == {(shim.id, "weight"), (shim.id, "bias")}, "torch parameters have other keys now"


def test_a_torch_parameter_named_w_can_share_adam_state_with_a_thinc_layer(
    torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch parameter named `W` or `b` can share Adam state with a Thinc layer of the same id (key collision)."""
    from thinc.api import PyTorchWrapper, Shim, chain

    class Scale(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = torch.nn.Parameter(torch.ones(3, 3))

        def forward(self, inputs):
            return inputs @ self.W

    layer = Linear(3, 3)
    # Layers and shims are numbered each on their own, from 1: a long process comes to any number in both.
    monkeypatch.setattr(Shim, "global_id", layer.id - 1)
    model = chain(layer, PyTorchWrapper(Scale()))
    assert model.layers[1].shims[0].id == layer.id
    inputs = np.ones((4, 3), dtype="float32")
    model.initialize(inputs)
    outputs, backprop = model.begin_update(inputs)
    backprop(np.ones_like(outputs))
    optimizer = Adam(0.01)
    model.finish_update(optimizer)
    assert optimizer.nr_update[layer.id, "W"] == 2, "a torch W and a Thinc W of one id no longer share Adam state"


def _batch_norm_cnn(torch) -> Model:
    from thinc.api import PyTorchWrapper, chain, with_array

    cnn = build_hash_embed_cnn_tok2vec(
        width=12, depth=1, embed_size=60, window_size=1, maxout_pieces=2, subword_features=True, pretrained_vectors=None
    )
    return chain(cnn, with_array(PyTorchWrapper(torch.nn.BatchNorm1d(12))))


def _running_mean(model: Model) -> np.ndarray:
    (shim,) = [shim for node in model.walk() for shim in node.shims]
    return shim._model.running_mean.numpy().copy()


def test_an_update_on_dev_documents_moves_batch_norm_statistics(torch) -> None:
    """A naive `nlp.update` on dev documents ... moves batch-norm statistics."""
    nlp = spacy.blank("fr")
    architecture = block("architectures", "batch_norm", lambda: _batch_norm_cnn(torch))
    tok2vec = nlp.add_pipe("tok2vec", config={"model": architecture})
    nlp.initialize(lambda: examples(nlp.vocab, 8))
    before = _running_mean(tok2vec.model)
    tok2vec.predict([example.predicted for example in examples(nlp.vocab)])
    assert np.array_equal(_running_mean(tok2vec.model), before), "a prediction now moves batch-norm statistics"
    nlp.update(examples(nlp.vocab), sgd=False)
    assert not np.array_equal(_running_mean(tok2vec.model), before), "nlp.update no longer moves batch-norm statistics"


def test_batch_norm_keeps_its_running_statistics_through_to_bytes(torch) -> None:
    """BatchNorm in a PyTorchWrapper keeps its running statistics through to_bytes."""
    nlp = spacy.blank("fr")
    docs = [example.predicted for example in examples(nlp.vocab)]
    model, other = _batch_norm_cnn(torch), _batch_norm_cnn(torch)
    for each in (model, other):
        each.initialize(docs)
    model.begin_update(docs)
    moved = _running_mean(model)
    assert not np.array_equal(_running_mean(other), moved)
    other.from_bytes(model.to_bytes())
    assert np.array_equal(_running_mean(other), moved), "to_bytes no longer keeps batch norm's running statistics"


@pytest.mark.filterwarnings("ignore:dropout option adds dropout:UserWarning")
def test_dropout_of_a_torch_lstm_does_nothing_at_depth_1(torch) -> None:
    """torch.nn.LSTM ... its `dropout` does nothing at depth 1."""
    inputs = torch.ones(4, 1, 2)
    for depth, dropped in ((1, False), (2, True)):
        torch.manual_seed(0)
        lstm = torch.nn.LSTM(2, 8, depth, dropout=0.5).train()
        differs = not torch.equal(lstm(inputs)[0], lstm(inputs)[0])
        assert differs == dropped, "where torch.nn.LSTM applies its dropout has changed"


def test_a_torch_lstm_has_no_recurrent_dropout(torch) -> None:
    """torch.nn.LSTM has no recurrent dropout."""
    lstm = torch.nn.LSTM(2, 3, 2, dropout=0.5)
    assert {name for name in vars(lstm) if "dropout" in name} == {"dropout"}, "torch.nn.LSTM has another dropout now"
    with pytest.raises(TypeError, match="recurrent_dropout"):
        torch.nn.LSTM(2, 3, 2, recurrent_dropout=0.5)


# -- transformers ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of a few hundred weights that knows the sentences' words."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("spacy_transformers")
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += sorted({token.text for example in examples(spacy.blank("fr").vocab, 40) for token in example.reference})
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf8")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def transformer(tiny_bert: Path) -> Callable[[], Language]:
    def make() -> Language:
        fix_random_seed(0)
        nlp = spacy.blank("fr")
        model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(tiny_bert)}
        model["get_spans"] = {"@span_getters": "spacy-transformers.doc_spans.v1"}
        model["tokenizer_config"] = {"use_fast": True}
        nlp.add_pipe("transformer", config={"model": model})
        listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
        listener["pooling"] = {"@layers": "reduce_mean.v1"}
        nlp.add_pipe("ner", config={"model": {"use_upper": False, "hidden_width": 8, "tok2vec": listener}})
        nlp.initialize(lambda: examples(nlp.vocab, 8))
        return nlp

    return make


def test_drop_does_not_reach_hugging_face_dropout(transformer: Callable) -> None:
    """`drop` does not reach ... Hugging Face dropout."""
    import torch

    nlp = transformer()
    (shim,) = [shim for node in nlp.get_pipe("transformer").model.walk() for shim in node.shims]
    nlp.update(examples(nlp.vocab), drop=0.9, sgd=False)
    rates = {module.p for module in shim._model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.1}, "drop now reaches the dropout layers of a Hugging Face model"


def test_loss_transformer_is_the_squared_norm_of_the_gradients_that_arrive(transformer: Callable) -> None:
    """LOSS ... TRANSFORMER is the squared norm of the gradients that arrive at the shared layer, not a loss."""
    nlp = transformer()
    losses, arrived, batch = {}, [], examples(nlp.vocab)
    component = nlp.get_pipe("transformer")
    component.update(batch, losses=losses)
    assert losses["transformer"] == 0.0, "the transformer now has a loss of its own"
    (listener,) = component.listeners
    backprop = listener._backprop

    def noting(d_datas):
        arrived.extend(float((tensor**2).sum()) for data in d_datas for tensor in data.tensors)
        return backprop(d_datas)

    listener._backprop = noting
    nlp.get_pipe("ner").update(batch, losses=losses)
    assert sum(arrived) > 0
    assert losses["transformer"] == pytest.approx(sum(arrived), rel=1e-5), "LOSS TRANSFORMER is something else now"


def test_both_ways_in_see_a_transformer_and_change_no_byte(transformer: Callable) -> None:
    """Two ways in work on a CNN and on a transformer pipeline alike, with byte-identical saved models."""

    class Watched(Optimizer):
        __slots__ = ("keys",)

        def __call__(self, key, weights, gradient, **settings):
            self.keys.append(key)
            return super().__call__(key, weights, gradient, **settings)

    def run(way: str) -> tuple[list, list[bytes]]:
        nlp, keys = transformer(), []
        optimizer = Watched(0.01) if way == "wrapped optimizer" else Adam(0.01)
        if way == "wrapped optimizer":
            optimizer.keys = keys
        if way == "swapped class":
            for _, component in nlp.pipeline:
                swap_class(component.model, lambda optimizer, key: keys.append(key))
        for _ in range(2):
            nlp.update(examples(nlp.vocab), drop=0.1, sgd=False)
            for _, component in nlp.pipeline:
                component.finish_update(optimizer)
        (shim,) = [shim for node in nlp.get_pipe("transformer").model.walk() for shim in node.shims]
        named = [name for node, name in keys if node == shim.id]
        weights = [parameter.detach().numpy().tobytes() for parameter in shim._model.parameters()]
        weights += [array.tobytes() for array in parameters(nlp.get_pipe("ner")).values()]
        return named, weights

    nothing, plain = run("plain")
    assert not nothing
    for way in ("swapped class", "wrapped optimizer"):
        seen, weights = run(way)
        assert "encoder.layer.0.attention.self.query.weight" in seen, f"{way}: the transformer's tensors are not seen"
        assert weights == plain, f"{way}: a trained transformer pipeline is no longer the same"


def test_a_camembert_tokenizer_needs_a_sentencepiece_file(tmp_path: Path) -> None:
    """spacy-transformers needs a SentencePiece file for a CamemBERT tokenizer: train a small one."""
    pytest.importorskip("spacy_transformers")
    sentencepiece = pytest.importorskip("sentencepiece")
    from transformers import AutoTokenizer

    srsly.write_json(tmp_path / "config.json", {"model_type": "camembert"})
    with pytest.raises(ValueError, match="SentencePiece"):
        AutoTokenizer.from_pretrained(str(tmp_path), use_fast=True)
    text = "\n".join(example.reference.text for example in examples(spacy.blank("fr").vocab, 56))
    (tmp_path / "text.txt").write_text(text, encoding="utf8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"),
        model_prefix=str(tmp_path / "sentencepiece.bpe"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path), use_fast=True)
    assert tokenizer.tokenize("Je pars de Lyon"), "a CamemBERT tokenizer no longer loads from sentencepiece.bpe.model"


@pytest.mark.parametrize("package", ["spacy-transformers", "transformers"])
def test_sentencepiece_and_protobuf_must_be_installed_explicitly(package: str) -> None:
    """sentencepiece and protobuf must be installed explicitly."""
    pytest.importorskip("spacy_transformers")
    required = [line for line in importlib.metadata.requires(package) or [] if "extra ==" not in line]
    names = {re.split(r"[^\w-]", line)[0].lower() for line in required}
    assert names, f"{package} no longer says what it requires"
    assert not names & {"sentencepiece", "protobuf"}, f"{package} now brings sentencepiece or protobuf itself"
