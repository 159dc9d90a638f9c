"""configs/transformer.cfg with a tiny random CamemBERT made on the spot: nothing is downloaded."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, trace_block, weight_bytes
from trajet.trace import read_trace

pytest.importorskip("spacy_transformers")


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
