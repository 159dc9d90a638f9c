"""Followed sentences: what the model thinks of the right moves, as training goes on."""

from pathlib import Path

import numpy as np
import pytest
import spacy

from tests.conftest import trace_block
from trajet.errors import UserError
from trajet.marked import marked_example
from trajet.parser_states import token_decisions
from trajet.trace import OptimizerTrace, read_trace

SENTENCE = "Je veux aller de [Marseille](DEP) à [Paris](ARR)"


def test_the_probabilities_are_those_of_the_model_before_the_update(fit, tmp_path: Path) -> None:
    # Step 25 begins with the weights that a run of the steps 0 to 24 saves.
    fit("long", trace_block(tmp_path / "t.jsonl", follow=[SENTENCE]), **{"training.max_steps": 26})
    short = fit("short", **{"training.max_steps": 24})
    nlp = spacy.load(short.output / "model-last")
    moves, log_probs = token_decisions(nlp, marked_example(nlp, SENTENCE).reference, "ner")
    expected = np.exp(log_probs[np.arange(len(moves)), moves])
    followed = read_trace(tmp_path / "t.jsonl").followed
    assert followed["step"].unique().tolist() == [0, 25]
    found = followed[followed["step"] == 25]
    assert found["token"].tolist() == ["Je", "veux", "aller", "de", "Marseille", "à", "Paris"]
    assert found["move"].tolist() == ["O", "O", "O", "O", "U-DEP", "O", "U-ARR"]
    assert found["probability"].to_numpy() == pytest.approx(expected, rel=1e-5)
    # Ten moves, all alike to a parser that knows nothing but what random weights say.
    assert followed[followed["step"] == 0]["probability"].max() < 0.5


def test_every_keeps_to_its_steps(fit, tmp_path: Path) -> None:
    fit("a", trace_block(tmp_path / "t.jsonl", follow=[SENTENCE, "Salut"], every=10), **{"training.max_steps": 50})
    followed = read_trace(tmp_path / "t.jsonl").followed
    assert followed["step"].unique().tolist() == [0, 50]
    assert followed["sentence"].unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("de [Marseille](FROM) à Paris", "unknown label 'FROM'; ner knows ARR, DEP"),
        ("de [Marseille", "a span mark is not closed"),
        ("de [Mars](DEP)eille", "does not fall on token borders"),
        ("", "no word in it"),
    ],
)
def test_a_sentence_that_cannot_be_followed_is_refused_before_anything_is_written(
    fit, tmp_path: Path, sentence: str, says: str
) -> None:
    nlp = fit("a").nlp
    path = tmp_path / "t.jsonl"
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        OptimizerTrace(path, follow=[sentence])(nlp, {"step": 0, "epoch": 0})
    assert not path.exists()


def test_without_an_entity_recogniser_nothing_can_be_followed(tmp_path: Path) -> None:
    nlp = spacy.blank("fr")
    nlp.add_pipe("textcat_multilabel").add_label("a")  # type: ignore[attr-defined]
    nlp.initialize()
    with pytest.raises(UserError, match="needs an entity recogniser"):
        OptimizerTrace(tmp_path / "t.jsonl", follow=[SENTENCE])(nlp, {"step": 0, "epoch": 0})
