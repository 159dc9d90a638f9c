"""Scores against spaCy's scorer, kinds of mistakes by hand, the bootstrap against what it must give."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.scorer import Scorer
from spacy.training import Example

from tests.conftest import ROOT, run_script
from trajet import evaluation
from trajet.corpus.challenge import REGISTERS, WRITTEN_NOISES
from trajet.evaluation import Outcome


def _outcome(gold: set, predicted: set, group: str = "g", frame: str = "f") -> Outcome:
    return Outcome(frozenset(gold), frozenset(predicted), group, frame)


MIXED = [
    _outcome({(0, 4, "DEP"), (8, 12, "ARR")}, {(0, 4, "DEP"), (8, 12, "DEP")}),  # a swap
    _outcome({(0, 9, "DEP")}, {(0, 4, "DEP")}),  # a boundary
    _outcome({(0, 4, "ARR")}, set()),  # a miss
    _outcome(set(), {(3, 5, "ARR")}, group="negative"),  # spurious
    _outcome({(0, 4, "ARR")}, {(0, 4, "ARR")}),
]


def test_kinds_of_mistakes_are_told_apart() -> None:
    assert evaluation.error_kinds(MIXED) == {"swap": 1, "boundary": 1, "missed": 1, "spurious": 1}
    table = evaluation.confusion(MIXED)
    assert table["ARR"] == {"DEP": 1, "ARR": 1, "none": 1}
    assert table["DEP"] == {"DEP": 1, "ARR": 0, "none": 1}
    assert table["none"] == {"DEP": 1, "ARR": 1, "none": 0}


def test_scores_by_hand() -> None:
    scores = evaluation.score(MIXED)
    assert scores["entities"] == {"p": 2 / 5, "r": 2 / 5, "f": 2 / 5}
    assert scores["labels"]["ARR"] == {"p": 1 / 2, "r": 1 / 3, "f": 2 / 5}
    assert scores["sentence_accuracy"] == 1 / 5
    groups = evaluation.by_group(MIXED)
    assert "f" not in groups["negative"]
    assert evaluation.macro_f(groups) == pytest.approx(groups["g"]["f"])


def test_groups_are_by_phenomenon_register_or_noise() -> None:
    chat = Outcome(frozenset({(0, 4, "ARR")}), frozenset(), "pair", "f", "chat", "sms")
    results = [*MIXED, chat]
    assert evaluation.by_group(results)["pair"] == {"sentences": 1, "sentence_accuracy": 0.0, "f": 0.0}
    registers = evaluation.by_group(results, "register")
    assert {name: row["sentences"] for name, row in registers.items()} == {"neutral": 5, "chat": 1}
    assert registers["neutral"]["f"] == 2 / 5
    assert set(evaluation.by_group(results, "noise")) == {"none", "sms"}


def test_whatever_finds_spans_is_scored_like_a_pipeline() -> None:
    nlp = spacy.blank("fr")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "DEP", "pattern": "Lyon"}])
    golds = [nlp("de Lyon à Paris"), nlp("rien")]
    assert evaluation.outcomes(nlp, golds) == evaluation.outcomes_of(
        lambda texts: [frozenset({(3, 7, "DEP")}) if "Lyon" in text else frozenset() for text in texts], golds
    )


def test_nothing_to_find_and_nothing_found() -> None:
    assert evaluation.precision_recall_f([]) == {"p": 0.0, "r": 0.0, "f": 0.0}
    assert evaluation.score([_outcome(set(), set())])["sentence_accuracy"] == 1.0


def test_the_bootstrap_draws_frames_not_sentences() -> None:
    right, wrong = {(0, 1, "DEP")}, {(0, 1, "ARR")}
    alone = [_outcome(right, right if i % 2 else wrong, frame=str(i)) for i in range(200)]
    together = [_outcome(right, right if i // 50 % 2 else wrong, frame=str(i // 50)) for i in range(200)]
    low, high = evaluation.bootstrap_f(alone, seed=0)
    wide_low, wide_high = evaluation.bootstrap_f(together, seed=0)
    assert evaluation.bootstrap_f(alone, seed=0) == (low, high)
    assert low < 0.5 < high
    # Each sentence its own frame: F is a share of 200 draws, standard error sqrt(0.25 / 200).
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 200), rel=0.15)
    assert wide_high - wide_low > 3 * (high - low)


def test_a_trained_run_scores_as_spacys_scorer_says(fit, small_corpus: Path, tmp_path: Path) -> None:
    run = fit("base", **{"training.max_steps": 150, "training.eval_frequency": 50})
    nlp = evaluation.load_pipeline(run.output / "model-best")
    golds = evaluation.load_docs(nlp, small_corpus / "test.spacy")
    examples = [Example(nlp(doc.text), doc) for doc in golds]
    expected = Scorer.score_spans(examples, "ents", has_annotation=lambda doc: True, labeled=True)
    found = evaluation.score(evaluation.outcomes(nlp, golds))
    assert found["entities"] == pytest.approx({key: expected[f"ents_{key}"] for key in "prf"})
    for label, values in expected["ents_per_type"].items():
        assert found["labels"][label] == pytest.approx(values)
    perplexity = evaluation.move_perplexity(nlp, golds)
    assert 1 < perplexity < 10

    training = tmp_path / "training"
    training.mkdir()
    run.output.rename(training / "base")
    for out in ("one", "two"):
        done = run_script(
            "evaluate",
            "base",
            "--test",
            small_corpus / "test.spacy",
            "--training",
            training,
            "--output",
            tmp_path / out,
            "--markdown",
            tmp_path / "page.md",
        )
        assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "one" / "base.json").read_text(encoding="utf8"))
    assert (tmp_path / "one" / "base.json").read_bytes() == (tmp_path / "two" / "base.json").read_bytes()
    assert metrics["test"]["entities"]["f"] == pytest.approx(found["entities"]["f"])
    assert metrics["test"]["move_perplexity"] == pytest.approx(perplexity)
    low, high = metrics["test"]["f_interval_over_frames"]
    assert low <= metrics["test"]["entities"]["f"] <= high
    page = (tmp_path / "page.md").read_text(encoding="utf8")
    for half in ("challenge_open", "challenge_final"):
        scores = metrics[half]
        assert len(scores["phenomena"]) >= 25
        for key in ("phenomena", "registers", "noises"):
            assert sum(row["sentences"] for row in scores[key].values()) == scores["sentences"]
            assert all(f"| {name} |" in page for name in scores[key])
        assert set(scores["registers"]) <= set(REGISTERS)
        assert set(scores["noises"]) <= set(WRITTEN_NOISES)
    name, row = next(iter(metrics["challenge_open"]["phenomena"].items()))
    assert f"| {name} | {row['sentences']} |" in page
    assert page.startswith("<!-- evaluate -->")
    assert not any("second" in key or "speed" in key for key in metrics["test"])
    for word in ("swap", "boundary", "Confusion", "perplexity", "interval over frames", "words a second"):
        assert word in done.stdout
    # The final half's sentences are never shown, not even by accident.
    final = [
        json.loads(line)["text"]
        for line in (ROOT / "corpus" / "challenge-final.jsonl").read_text(encoding="utf8").splitlines()
    ]
    assert not any(text[:25] in done.stdout or text[:25] in page for text in final)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no trained pipeline there"),
        (["base", "--test", "nothing.spacy"], "no such file"),
        (["base", "--markdown", "README.md"], "needs the marks <!-- evaluate --> and <!-- /evaluate -->"),
    ],
)
def test_what_is_missing_is_said_in_one_line(fit, tmp_path: Path, arguments: list[str], says: str) -> None:
    fit("base", **{"training.max_steps": 1})
    done = run_script("evaluate", *arguments, "--training", tmp_path, "--output", tmp_path / "metrics")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("config.cfg", b"[nlp"),
        ("meta.json", b"{"),
        ("ner/model", b"hello"),
        ("vocab/strings.json", b"["),
        ("ner", None),
    ],
)
def test_a_damaged_pipeline_is_one_line(tmp_path: Path, part: str, content: bytes | None) -> None:
    nlp = spacy.blank("fr")
    nlp.add_pipe("ner").add_label("DEP")
    nlp.initialize()
    model = tmp_path / "base" / "model-best"
    model.parent.mkdir()
    nlp.to_disk(model)
    assert evaluation.load_pipeline(model).pipe_names == ["ner"]
    if content is None:
        shutil.rmtree(model / part)
    else:
        (model / part).write_bytes(content)
    of_a_run = ("base", "--training", tmp_path)
    commands = dict.fromkeys(("evaluate", "robustness", "confidence", "baselines", "package"), of_a_run)
    for command, arguments in {**commands, "merge": (model, model)}.items():
        done = run_script(command, *arguments, "--output", tmp_path / "metrics")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"{model}: cannot be loaded as a spaCy pipeline" in done.stderr
    assert not (tmp_path / "metrics").exists()


def test_a_file_that_is_no_docbin_is_refused(fit, tmp_path: Path) -> None:
    from trajet.errors import UserError

    (tmp_path / "x.spacy").write_bytes(b"hello")
    with pytest.raises(UserError, match=r"not a \.spacy file"):
        evaluation.load_docs(evaluation.spacy.blank("fr"), tmp_path / "x.spacy")
