"""Noise and invariance on small real pipelines whose every answer is known beforehand, then the command on a real run."""

import json
from pathlib import Path

import pytest
import spacy

from tests.conftest import ROOT, run_script
from tests.judge.test_edits import sentence
from trajet.corpus.challenge import disturbed, load_challenge
from trajet.corpus.noise import NOISES
from trajet.corpus.places import Place
from trajet.evaluation import Predictor, predictor
from trajet.judge.invariance import all_edits, check
from trajet.judge.under_noise import noise_drops
from trajet.plots.judge.noise import data, draw, figure

SENTENCES = [
    sentence("je vais de [Lyon](DEP) à [Nice](ARR) demain."),
    sentence("je vais à [Nice](ARR) depuis [Lyon](DEP) demain."),
    sentence("je vais vers [Nice](ARR) demain."),
    sentence("il pleut."),
]
TOWNS = [Place(f"{name}ville", "town", 500.0**0.75) for name in ("Ab", "Bec", "Cad", "Duf", "Gog")]


def _ruler(*patterns: tuple[str, object]) -> Predictor:
    nlp = spacy.blank("fr")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": pattern} for label, pattern in patterns])
    return predictor(nlp)


@pytest.fixture(scope="module")
def by_name() -> Predictor:
    """Knows two names by heart and nothing of prepositions; right on every sentence here."""
    return _ruler(("DEP", "Lyon"), ("ARR", "Nice"))


@pytest.fixture(scope="module")
def by_capital() -> Predictor:
    """Calls every capitalised word an arrival."""
    return _ruler(("ARR", [{"IS_TITLE": True}]))


def test_a_pipeline_that_knows_names_fails_wherever_names_change(by_name: Predictor) -> None:
    edits = all_edits(SENTENCES, TOWNS, seed=0)
    assert {name: len(found) for name, found in edits.items()} == {
        "swap": 2, "villages": 3, "invented": 3, "preamble": 4, "closing": 4,
    }  # fmt: skip
    found = {name: check(by_name, edit, examples=1) for name, edit in edits.items()}
    for name in ("swap", "villages", "invented"):
        assert (found[name].tests, found[name].failures, found[name].broken) == (len(edits[name]),) * 3
        assert found[name].failure_rate == 1.0
        assert len(found[name].examples) == 1
    assert found["swap"].examples[0].before == "je vais de [Lyon](DEP) à [Nice](ARR) demain."
    assert found["swap"].examples[0].after == "je vais de [Nice](ARR) à [Lyon](DEP) demain."
    for name in ("preamble", "closing"):
        assert (found[name].failures, found[name].broken, found[name].mended) == (0, 0, 0)


def test_a_pipeline_that_sees_capitals_fails_on_polite_sentences_alone(by_capital: Predictor) -> None:
    found = {name: check(by_capital, edits) for name, edits in all_edits(SENTENCES, TOWNS, seed=0).items()}
    assert [found[name].failure_rate for name in ("swap", "villages", "invented")] == [0.0, 0.0, 0.0]
    # "Bonjour", "Excusez", "Bonsoir": each begins with a capital.
    assert found["preamble"].failure_rate == 1.0
    # Wrong from the start on the first two: a change breaks what was right only in the others.
    assert found["preamble"].broken == 2
    assert found["preamble"].examples == []


def test_what_the_change_puts_right_is_counted_and_a_border_inside_a_name_is_not_compared() -> None:
    mending = _ruler(("ARR", [{"TEXT": {"REGEX": "ville$"}}]))
    edits = all_edits([SENTENCES[2]], TOWNS, seed=0)
    found = check(mending, edits["villages"])
    assert (found.tests, found.failures, found.broken, found.mended) == (1, 1, 0, 1)
    half = _ruler(("ARR", "Croix"))
    found = check(half, all_edits([sentence("vers [Sainte Croix](ARR) demain")], TOWNS, seed=0)["villages"])
    assert (found.tests, found.not_comparable, found.failure_rate) == (0, 1, None)


def test_noise_costs_what_the_pipeline_cannot_read(by_name: Predictor) -> None:
    f_clean, drops = noise_drops(by_name, SENTENCES, seed=0)
    assert f_clean == 1.0
    assert set(drops) == set(NOISES)
    for name in ("lower", "upper"):
        assert (drops[name].f_clean, drops[name].f_noisy, drops[name].drop) == (1.0, 0.0, 1.0)
    assert drops["upper"].changed == 4
    # Small letters were small: only the sentences with a name change.
    assert drops["lower"].changed == 3
    assert (drops["no-end"].changed, drops["no-end"].drop, drops["no-end"].low, drops["no-end"].high) == (
        4,
        0.0,
        0.0,
        0.0,
    )
    assert (drops["saint"].changed, drops["saint"].drop, drops["saint"].f_noisy_all) == (0, None, 1.0)


def test_the_drop_is_about_the_changed_sentences_only(by_name: Predictor) -> None:
    # One of three sentences has an accent, and with it the name that is lost.
    accents = _ruler(("ARR", "Évry"), ("ARR", "Pau"))
    _, drops = noise_drops(
        accents, [sentence("vers [Évry](ARR)"), sentence("vers [Pau](ARR)"), sentence("[Pau](ARR)")], 0
    )
    drop = drops["accents"]
    assert (drop.changed, drop.f_clean, drop.f_noisy) == (1, 1.0, 0.0)
    assert drop.f_noisy_all == pytest.approx(2 * 2 / (2 * 2 + 0 + 1))


def test_only_what_the_noise_changes_is_predicted_again(by_name: Predictor) -> None:
    asked = []
    _, drops = noise_drops(lambda texts: [asked.append(list(texts)), by_name(texts)][1], SENTENCES, seed=0)
    assert asked[0] == [sent.text for sent in SENTENCES]
    assert [len(texts) for texts in asked[1:]] == [drop.changed for drop in drops.values()]
    assert [] in asked


def test_noise_is_the_same_for_the_same_seed() -> None:
    one, again, other = (
        [disturbed(sent, "typo", seed, i).text for i, sent in enumerate(SENTENCES)] for seed in (0, 0, 1)
    )
    assert one == again != other


def test_the_picture_has_a_line_a_noise_that_changes_something(by_name: Predictor) -> None:
    _, drops = noise_drops(by_name, SENTENCES, seed=0)
    numbers = data(drops)
    assert set(numbers.names) == {name for name, drop in drops.items() if drop.changed}
    assert sorted(numbers.drop, reverse=True) == list(numbers.drop)
    made = figure(numbers, "t")
    assert draw(numbers, made.axes[0]) is made.axes[0]
    assert [label.get_text() for label in made.axes[0].get_yticklabels()] == numbers.names


def test_the_command_on_both_halves(small_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- robustness -->\n<!-- /robustness -->\n<!-- robustness-final -->\n<!-- /robustness-final -->\n",
        encoding="utf8",
    )
    written = {}
    for half, stem in (("open", "robustness"), ("final", "robustness-final")):
        done = run_script(
            "robustness", "base", "--half", half, "--training", small_run, "--output", tmp_path, "--plots", tmp_path / "plots",
            "--markdown", page,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        metrics = written[half] = json.loads((tmp_path / f"base-{stem}.json").read_text(encoding="utf8"))
        assert set(metrics["noise"]) == set(NOISES)
        assert metrics["sentences"] == len(load_challenge(ROOT / "corpus" / f"challenge-{half}.jsonl"))
        for found in metrics["invariance"].values():
            assert found["tests"] + found["not_comparable"] > 20
            assert ("examples" in found) == (half == "open")
        for suffix in (".svg", ".png"):
            assert (tmp_path / "plots" / "base" / f"{stem}{suffix}").stat().st_size
        # Scores only: a sentence of the final half is never shown.
        assert ("](ARR)" in done.stdout) == (half == "open")
    assert written["open"]["invariance"]["swap"]["examples"]
    text = page.read_text(encoding="utf8")
    assert text.count("| invented names |") == 2
    assert "](ARR)" not in text
    final = (
        "".join(path.read_text(encoding="utf8") for path in (page, tmp_path / "base-robustness-final.json"))
        + done.stdout
    )
    assert not any(s.text[:25] in final for s in load_challenge(ROOT / "corpus" / "challenge-final.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no trained pipeline there"),
        (["base", "--sources", "nowhere"], "challenge-open.jsonl: no such file"),
        (["base", "--markdown", "README.md"], "needs the marks <!-- robustness -->"),
    ],
)
def test_what_is_missing_is_said_in_one_line(small_run: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run_script("robustness", *arguments, "--training", small_run, "--output", tmp_path / "metrics")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "metrics").exists()
