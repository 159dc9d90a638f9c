"""Baselines beside a real small run, on the real challenge sentences."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_script
from trajet.corpus.build import blank_pipeline
from trajet.corpus.challenge import load_challenge_docs
from trajet.evaluation import Outcome, outcomes_of
from trajet.judge.baselines import COLUMNS, constant, scores

PARTS = ("challenge_open", "challenge_final", "test")


def _outcome(gold: set, predicted: set, group: str = "g") -> Outcome:
    return Outcome(frozenset(gold), frozenset(predicted), group, "f")


def test_scores_by_hand() -> None:
    results = [
        _outcome({(0, 1, "DEP"), (2, 3, "ARR")}, {(0, 1, "DEP")}, "a"),  # F of a: 2/3
        _outcome({(0, 1, "ARR")}, {(0, 1, "ARR")}, "b"),  # F of b: 1
        _outcome(set(), {(0, 1, "ARR")}, "c"),
        _outcome(set(), set(), "c"),
    ]
    found = scores(results)
    assert found["macro_f"] == pytest.approx((2 / 3 + 1) / 2)
    assert (found["p"], found["r"], found["f"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (found["sentences"], found["negatives"], found["negatives_right"]) == (4, 2, 0.5)
    assert scores(results[:2])["negatives_right"] is None


def test_finding_nothing_is_right_on_every_negative_and_nowhere_else() -> None:
    found = scores(
        outcomes_of(constant, load_challenge_docs(blank_pipeline(), ROOT / "corpus" / "challenge-open.jsonl"))
    )
    assert (found["f"], found["macro_f"], found["negatives_right"]) == (0.0, 0.0, 1.0)
    assert 0 < found["negatives"] < found["sentences"]


def test_the_command_compares_runs_with_baselines(small_run: Path, small_corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = run_script(
        "baselines", "base", "--test", small_corpus / "test.spacy", "--training", small_run, "--output", tmp_path,
        "--markdown", page,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "baselines.json").read_text(encoding="utf8"))
    assert set(metrics) == {"constant", "rules", "runs"}
    assert set(metrics["runs"]) == {"base"}
    for system in (metrics["constant"], metrics["rules"], metrics["runs"]["base"]):
        assert set(system) == set(PARTS)
        for part in PARTS:
            assert set(COLUMNS) < set(system[part])
            assert system[part]["sentences"] == metrics["constant"][part]["sentences"]
    # It reads cue words: far more than a guess, on sentences it was not made from.
    assert metrics["rules"]["challenge_final"]["f"] > 0.5
    assert metrics["constant"]["test"]["negatives_right"] == 1.0
    row = (
        f"| place names and cue words | {metrics['rules']['test']['sentences']} | {metrics['rules']['test']['p']:.3f} |"
    )
    assert row in page.read_text(encoding="utf8")
    assert "run base" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no trained pipeline there"),
        (["--test", "nothing.spacy"], "no such file"),
        (["--sources", "nowhere"], "no such file"),
        (["--markdown", "README.md"], "needs the marks <!-- baselines -->"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run_script("baselines", *arguments, "--output", tmp_path / "metrics")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "metrics").exists()
