"""configs/transformer.cfg with a tiny random CamemBERT made on the spot: nothing is downloaded."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, trace_block, weight_bytes
from trajet.trace import read_trace

pytest.importorskip("spacy_transformers")


@pytest.fixture(scope="session")
def tiny_camembert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CamemBERT of a few thousand weights, with a SentencePiece tokenizer trained on a few sentences."""
    import sentencepiece
    import torch
    from transformers import CamembertConfig, CamembertModel, CamembertTokenizerFast

    folder = tmp_path_factory.mktemp("camembert")
    text = folder / "text.txt"
    words = (ROOT / "corpus" / "frames" / "plain.txt").read_text(encoding="utf8").replace("{", " ").replace("}", " ")
    text.write_text(words, encoding="utf8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "sentencepiece.bpe"),
        vocab_size=300,
        model_type="unigram",
        minloglevel=2,
    )
    tokenizer = CamembertTokenizerFast(vocab_file=str(folder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = CamembertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=300,
        hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, pad_token_id=1, bos_token_id=5, eos_token_id=6,
    )  # fmt: skip
    CamembertModel(config).save_pretrained(folder)
    return folder


def test_the_transformer_config_trains_and_its_trace_changes_nothing(fit, tiny_camembert: Path, tmp_path: Path) -> None:
    config = ROOT / "configs" / "transformer.cfg"
    settings = {"components.transformer.model.name": str(tiny_camembert), "training.max_steps": 6, "training.eval_frequency": 3,
                "training.batcher.size": 60}  # fmt: skip

    def run(name: str, block: dict | None):
        return fit(name, block, config=config, **settings)

    watch = ["transformer/hf-pytorch-0/encoder.layer.0.attention.self.query.weight[0,:]"]
    traced = run("traced", trace_block(tmp_path / "t.jsonl", losses_on=8, watch=watch))
    plain = run("plain", None)
    assert weight_bytes(traced.output / "model-last") == weight_bytes(plain.output / "model-last")
    assert [row["losses"] for row in traced.log] == [row["losses"] for row in plain.log]
    trace = read_trace(tmp_path / "t.jsonl")
    assert "ner/precomputable_affine-0/W" in trace.parameters
    assert len(trace.steps) == 7
    assert (trace.tensors[trace.tensors["step"] > 0]["update_norm"] > 0).any()
    assert trace.watched["w"].nunique() > 16
    assert trace.evaluations["dev_loss_ner"].notna().all()
    for name in ("torch", "spacy-transformers", "transformers"):
        assert name in trace.header["versions"]
