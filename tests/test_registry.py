"""trajet.Chain.v1 and trajet.SplitSigns.v1 as a config uses them."""

from pathlib import Path

import pytest
from spacy.util import load_config, registry
from thinc.api import Config

from tests.conftest import ROOT, weight_bytes
from trajet.trace import read_trace

BLOCK = """
[training]
[training.before_update]
@callbacks = "trajet.Chain.v1"

[training.before_update.*.zebra]
@callbacks = "tests.note.v1"
name = "zebra"

[training.before_update.*.apple]
@callbacks = "tests.note.v1"
name = "apple"

[training.before_update.*.mango]
@callbacks = "tests.note.v1"
name = "mango"
"""


@pytest.fixture
def called() -> list[str]:
    calls: list[str] = []

    def note(name: str):
        return lambda nlp, info=None: calls.append(name)

    registry.callbacks("tests.note.v1", func=note)
    return calls


def _call(config: Config) -> None:
    registry.resolve(config["training"])["before_update"]("nlp", {"step": 0})


def test_members_are_called_in_file_order(called: list[str]) -> None:
    _call(Config().from_str(BLOCK))
    assert called == ["zebra", "apple", "mango"]


def test_the_order_survives_saving(called: list[str], tmp_path: Path) -> None:
    Config().from_str(BLOCK).to_disk(tmp_path / "c.cfg")
    _call(Config().from_disk(tmp_path / "c.cfg"))
    assert called == ["zebra", "apple", "mango"]


def test_a_member_can_be_overridden(called: list[str]) -> None:
    _call(Config().from_str(BLOCK, overrides={"training.before_update.*.apple.name": "pear"}))
    assert called == ["zebra", "pear", "mango"]


def test_a_chained_trace_records_and_changes_nothing(fit, called: list[str], tmp_path: Path) -> None:
    block = {
        "@callbacks": "trajet.Chain.v1",
        "*": {
            "note": {"@callbacks": "tests.note.v1", "name": "first"},
            "trace": {"@callbacks": "trajet.OptimizerTrace.v1", "path": str(tmp_path / "t.jsonl")},
            "coarse": {
                "@callbacks": "trajet.OptimizerTrace.v1",
                "path": str(tmp_path / "c.jsonl"),
                "level": "steps",
                "every": 5,
            },
        },
    }
    run = fit("a", block)
    assert weight_bytes(run.output / "model-last") == weight_bytes(fit("b").output / "model-last")
    assert called == ["first"] * 21
    fine, coarse = read_trace(tmp_path / "t.jsonl"), read_trace(tmp_path / "c.jsonl")
    assert len(fine.steps) == 21
    assert coarse.steps["step"].tolist() == [0, 5, 10, 15, 20]
    assert fine.steps["global_grad_norm"].iloc[::5].tolist() == coarse.steps["global_grad_norm"].tolist()
    saved = load_config(run.output / "model-last" / "config.cfg")
    assert list(saved["training"]["before_update"]["*"]) == ["note", "trace", "coarse"]


def test_the_optimizer_block_is_untouched_by_the_trace() -> None:
    text = (ROOT / "configs" / "base.cfg").read_text(encoding="utf8")
    block = text.split("[training.optimizer]")[1].split("[training.score_weights]")[0]
    assert "trajet" not in block
