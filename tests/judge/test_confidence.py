"""Confidences of a real small run against spaCy's own predictions and a second way to compute them."""

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Example

from tests.conftest import ROOT, run_script
from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.challenge import load_challenge_docs
from trajet.corpus.render import Segment
from trajet.errors import UserError
from trajet.evaluation import load_docs, load_pipeline, outcomes
from trajet.judge.confidence import Walk, gold_decisions, judged, walks
from trajet.parser_states import gold_path, run_before


@pytest.fixture(scope="module")
def nlp(small_run: Path):
    return load_pipeline(small_run / "base" / "model-best")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [doc.text for doc in load_challenge_docs(blank_pipeline(), ROOT / "corpus" / "challenge-open.jsonl")]


def test_a_confidence_by_hand() -> None:
    # "de Le Mans à Pau": O B-DEP L-DEP O U-ARR, two moves a state
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [1.0, 0.0], [0.3, 0.7]])
    with np.errstate(divide="ignore"):
        walk = Walk(
            [(0, 2), (3, 5), (6, 10), (11, 12), (13, 16)], ["O", "B-DEP", "L-DEP", "O", "U-ARR"], np.array([0, 0, 0, 0, 1]),
            np.log(probabilities),
        )  # fmt: skip
    assert walk.confidences() == pytest.approx({(3, 10, "DEP"): 0.8 * 0.5, (13, 16, "ARR"): 0.7})
    # p ** (1 / T) shared out again: 0.8 becomes 16/17, 0.7 becomes 49/58
    assert walk.confidences(0.5) == pytest.approx({(3, 10, "DEP"): 16 / 17 * 0.5, (13, 16, "ARR"): 49 / 58})
    assert judged([walk], [frozenset({(3, 10, "DEP"), (13, 16, "DEP")})], 1.0)[1] == [True, False]
    assert Walk([], [], np.zeros(0, dtype=int), np.zeros((0, 2))).confidences() == {}


def test_the_walk_finds_what_spacy_predicts(nlp, texts: list[str]) -> None:
    found = walks(nlp, [*texts, "", "Lyon"])
    assert [set(walk.confidences()) for walk in found] == [
        {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents} for doc in nlp.pipe([*texts, "", "Lyon"])
    ]
    confidences = [confidence for walk in found for confidence in walk.confidences().values()]
    assert len(confidences) > 50
    assert all(0 < confidence <= 1 for confidence in confidences)
    # Another temperature names the same spans.
    assert [set(walk.confidences(3.0)) for walk in found] == [set(walk.confidences()) for walk in found]


def test_confidences_are_products_along_the_prediction_taken_for_gold(nlp, texts: list[str]) -> None:
    ner = nlp.get_pipe("ner")
    names = [ner.moves.get_class_name(move) for move in range(ner.moves.n_moves)]
    compared = 0
    for text in texts[:40]:
        predicted = nlp(text)
        doc = nlp.make_doc(text)
        run_before(nlp, [doc], "ner")
        steps = list(gold_path(ner, [Example(doc, predicted)]))
        (walk,) = walks(nlp, [text])
        for ent in predicted.ents:
            expected = 1.0
            for token in range(ent.start, ent.end):
                _, moves, log_probs = steps[token]
                allowed = _allowed(names, inside=ent.label_ if token > ent.start else "", last=token == len(doc) - 1)
                probabilities = np.exp(log_probs[0])
                expected *= probabilities[moves[0]] / sum(
                    probabilities[i] for i, name in enumerate(names) if name in allowed
                )
            assert walk.confidences()[ent.start_char, ent.end_char, ent.label_] == pytest.approx(expected)
            compared += 1
    assert compared > 20


def _allowed(names: list[str], inside: str, last: bool) -> set[str]:
    """What BILUO allows: only I and L of its label inside a name, no name begun or gone on with at the last token."""
    kinds = ("I", "L") if inside else ("B", "U", "O")
    found = {name for name in names if name.partition("-")[0] in kinds and (not inside or name.endswith(f"-{inside}"))}
    return {name for name in found if name != "U-" and not (last and name[0] in "BI")}


def test_right_and_wrong_are_those_of_the_scores(nlp) -> None:
    golds = load_challenge_docs(nlp, ROOT / "corpus" / "challenge-open.jsonl")
    results = outcomes(nlp, golds)
    found = walks(nlp, [doc.text for doc in golds])
    _, right = judged(found, [result.gold for result in results], 1.0)
    assert sum(right) == sum(result.counts[0] for result in results)
    assert len(right) - sum(right) == sum(result.counts[1] for result in results)


def test_gold_decisions_are_one_a_token_and_allowed(nlp, small_corpus: Path) -> None:
    golds = load_docs(nlp, small_corpus / "dev.spacy")
    log_probs, moves = gold_decisions(nlp, golds)
    assert len(moves) == sum(map(len, golds))
    assert np.isfinite(log_probs[np.arange(len(moves)), moves]).all()
    assert np.exp(log_probs).sum(axis=1) == pytest.approx(np.ones(len(moves)))


def test_a_pipeline_that_cannot_be_walked_is_refused(nlp) -> None:
    ruler = spacy.blank("fr")
    ruler.add_pipe("entity_ruler")
    with pytest.raises(UserError, match="no component 'ner'; it has entity_ruler"):
        walks(ruler, ["Lyon"])
    with pytest.raises(UserError, match="'entity_ruler' is no entity recogniser"):
        walks(ruler, ["Lyon"], component="entity_ruler")
    beam = spacy.blank("fr")
    beam.add_pipe("beam_ner")
    with pytest.raises(UserError, match="'beam_ner' searches with a beam"):
        walks(beam, ["Lyon"], component="beam_ner")
    gold = make_doc(spacy.blank("fr"), [Segment("vers "), Segment("Lyon", "VIA", place=True)], "t")
    with pytest.raises(UserError, match="have the label 'VIA'; ner knows"):
        gold_decisions(nlp, [gold])


def test_the_command_on_every_half(small_run: Path, small_corpus: Path, tmp_path: Path) -> None:
    arguments = ("--training", small_run, "--dev", small_corpus / "dev.spacy", "--plots", tmp_path / "plots")
    written = {}
    for half, stem in (("open", "confidence"), ("final", "confidence-final"), ("dev", "confidence-dev")):
        page = tmp_path / f"{half}.md"
        done = run_script("confidence", "base", "--half", half, *arguments, "--output", tmp_path, "--markdown", page)
        assert done.returncode == 0, done.stderr
        written[half] = metrics = json.loads((tmp_path / f"base-{stem}.json").read_text(encoding="utf8"))
        for part in ("before", "after"):
            assert sum(row["count"] for row in metrics[part]["bins"]) == metrics[part]["count"]
        right = round(metrics["before"]["right"] * metrics["before"]["count"])
        assert metrics["gold_spans"] == right + metrics["missed_spans"]
        assert metrics["dev_move_nll"]["after"] <= metrics["dev_move_nll"]["before"] + 1e-9
        assert f"ECE {metrics['after']['ece']:.3f}" in page.read_text(encoding="utf8")
        suffix = stem.removeprefix("confidence")
        assert (tmp_path / "plots" / "base" / f"reliability{suffix}.svg").stat().st_size
    assert len({metrics["temperature"] for metrics in written.values()}) == 1
    again = tmp_path / "again"
    run_script("confidence", "base", *arguments, "--output", again)
    assert (again / "base-confidence.json").read_bytes() == (tmp_path / "base-confidence.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no trained pipeline there"),
        (["base", "--dev", "nothing.spacy"], "no such file"),
        (["base", "--markdown", "README.md"], "needs the marks <!-- confidence -->"),
    ],
)
def test_what_is_missing_is_said_in_one_line(small_run: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run_script("confidence", *arguments, "--training", small_run, "--output", tmp_path / "metrics")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "metrics").exists()
