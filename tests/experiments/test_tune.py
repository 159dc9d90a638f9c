"""The protocol of `tune`: its criteria, its curves, its decisions, and a real small one carried through."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from thinc.api import Config

from tests.conftest import ROOT, run_script
from trajet.errors import UserError
from trajet.experiments.result import Result
from trajet.experiments.tuning.curves import judge, roughness
from trajet.experiments.tuning.protocol import Criteria, load_protocol, with_rate
from trajet.experiments.tuning.tune import Line, best_of, measures, tune
from trajet.experiments.variants import Variant, resolve


def result(
    f: float = 0.5, losses: Sequence[float | None] = (1.0, 0.5, 0.25), diverged: bool = False, **more: Any
) -> Result:
    """A finished training with this dev F and these losses on train."""
    evaluations = [
        {"step": 10 * k, "seconds_cpu": float(k), "ents_f": f, "ents_p": f, "ents_r": f, "words_seen": 100 * k,
         "train_loss": loss, "dev_loss": None if loss is None else 2 * loss}
        for k, loss in enumerate(losses)
    ]  # fmt: skip
    return Result("v", 0, "k", evaluations, f, f, 0, diverged, ["a"], [[1, 0, 1]], {}, 21, 2.0, 100, {}, **more)


# -- curves ----------------------------------------------------------------------------------------


def test_roughness_is_the_share_of_the_way_that_led_upwards() -> None:
    assert roughness([8, 4, 2, 1]) == 0
    # Down by a factor of 4, up by 2, down by 4: one of five halvings or doublings led upwards.
    assert roughness([8, 2, 4, 1]) == pytest.approx(1 / 5)
    assert roughness([1, 1, 1]) == 0
    assert roughness([1, 2, 1, 2, 1]) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (result(diverged=True), "diverges"),
        (result(losses=[1.0, 0.5, None]), "diverges"),
        (result(losses=[1.0, 0.5, 1.0]), "diverges"),
        (result(losses=[1.0, 0.5, 0.9, 0.4, 0.8, 0.5]), "chaotic"),
        (result(losses=[1.0, 0.9, 0.8]), "too slow"),
        (result(losses=[1.0, 0.4, 0.28]), "good"),
    ],
)
def test_a_curve_is_judged_beside_the_others_of_its_grid(given: Result, verdict: str) -> None:
    others = [(1e-4, given), (1e-3, result(losses=[1.0, 0.4, 0.2])), (1e-2, result(diverged=True))]
    assert judge(given, 1e-4, others).verdict == verdict


def test_nothing_is_too_slow_at_the_rate_of_the_best_or_above() -> None:
    others = [(1e-3, result(losses=[1.0, 0.2]))]
    assert judge(result(losses=[1.0, 0.9]), 1e-3, others).verdict == "good"
    assert judge(result(losses=[1.0, 0.9])).verdict == "good"


# -- criteria --------------------------------------------------------------------------------------


def line(name: str, outcome: str = "", **measured: float | None) -> Line:
    known = dict.fromkeys(("dev_f", "dev_loss", "train_loss", "gap", "spread", "cpu_seconds", "parameters"))
    return Line(name, "", 1, {**known, **measured}, judge(result()), outcome=outcome)


def test_secondary_criteria_decide_among_ties_only() -> None:
    criteria = Criteria("dev_f", (), ("parameters", "dev_loss"), ())
    large = line("large", dev_f=0.803, parameters=200.0, dev_loss=0.1)
    small = line("small", dev_f=0.800, parameters=100.0, dev_loss=0.2)
    better = line("better", dev_f=0.800, parameters=100.0, dev_loss=0.1)
    assert best_of([large, small], criteria, tie=0.005).name == "small"
    assert best_of([large, small, better], criteria, tie=0.005).name == "better"
    assert best_of([large, small], criteria, tie=0.001).name == "large"


def test_what_is_eliminated_is_never_chosen() -> None:
    criteria = Criteria("dev_f", ("chaotic",), (), ())
    assert best_of([line("a", "eliminated: chaotic", dev_f=0.9), line("b", dev_f=0.1)], criteria, 0.0).name == "b"
    assert best_of([line("a", "eliminated: chaotic", dev_f=0.9)], criteria, 0.0) is None


def test_measures_are_means_over_seeds() -> None:
    found = measures([result(0.4, [1.0, 0.2]), result(0.6, [1.0, 0.4])])
    assert found["dev_f"] == pytest.approx(0.5)
    assert found["train_loss"] == pytest.approx(0.3)
    assert found["gap"] == pytest.approx(2)
    assert found["spread"] == pytest.approx(0.2 / 2**0.5)
    assert measures([result(losses=[1.0, None])])["gap"] is None


# -- the file --------------------------------------------------------------------------------------


def test_the_protocol_of_the_repository_resolves_at_every_rate() -> None:
    protocol = load_protocol(ROOT / "configs" / "tune.yml")
    assert protocol.refined(3e-2) == (2e-2, 3e-2, 5e-2)
    assert protocol.refined(1e-3) == (5e-4, 1e-3, 2e-3)
    assert protocol.refined(3e-4) == (1e-4, 3e-4, 5e-4)
    assert protocol.refined(4e-2) == (2e-2, 4e-2, 8e-2)
    for plan in protocol.optimizers:
        for rate in (plan.start, *plan.grid):
            variant = protocol.variant("x", "rate", "", with_rate(plan.overrides, rate), plan.where)
            config = resolve(variant, 200, 0)
            assert config["training"]["optimizer"]["learn_rate"]["initial_rate"] == rate
            assert config["training"]["optimizer"]["learn_rate"]["warmup_steps"] == 10
            for phase in protocol.phases.values():
                for candidate in (*phase.candidates, *phase.regularisation, *phase.candidates_of.get(plan.name, ())):
                    changed = {**with_rate(plan.overrides, rate), **with_rate(candidate.overrides, rate)}
                    resolve(protocol.variant(candidate.name, phase.name, "", changed, candidate.where), 200, 0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tie: 0.005", "tei: 0.005", r"tune.yml:\d+: the protocol has no 'tei'; the nearest is 'tie'"),
        ("decide_seeds: 3", "decide_seeds: 1", r"tune.yml:\d+: decide_seeds is 1"),
        ("secondary: [train_loss]", "secondary: [dev_f]", r"tune.yml:\d+: dev_f is secondary and main"),
        ("eliminating: [diverges, chaotic]", "eliminating: [wild]", r"tune.yml:\d+: eliminating: 'wild' is none of"),
        ("grid: [3e-4, 1e-3, 3e-3]", "grid: [3e-4, fast]", r"tune.yml:\d+: 'fast' is no rate"),
        ("base: base.cfg", "base: bass.cfg", r"tune.yml:\d+: no config .*bass.cfg"),
    ],
)
def test_a_bad_protocol_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (ROOT / "configs" / "tune.yml").read_text(encoding="utf8")
    assert old in text
    (tmp_path / "tune.yml").write_text(text.replace(old, new, 1), encoding="utf8")
    (tmp_path / "base.cfg").write_text((ROOT / "configs" / "base.cfg").read_text(encoding="utf8"), encoding="utf8")
    with pytest.raises(UserError, match=says):
        load_protocol(tmp_path / "tune.yml")


# -- decisions -------------------------------------------------------------------------------------


class Scripted:
    """Trainings whose scores are given by name; what `tune` makes of known numbers is what is tested."""

    def __init__(self, scores: dict[str, Sequence[float]], losses: Sequence[float] = (1.0, 0.5, 0.25)):
        self.scores, self.losses, self.asked = scores, losses, []

    def __call__(self, variants: Sequence[Variant], seeds: int) -> dict[str, dict[int, Result]]:
        self.asked += [(variant.name, seeds) for variant in variants]
        return {
            variant.name: {
                seed: result(self.scores.get(variant.name, (0.3, 0.31, 0.29))[seed], self.losses)
                for seed in range(seeds)
            }
            for variant in variants
        }


def test_an_edge_extends_the_grid_and_noise_changes_nothing() -> None:
    protocol = load_protocol(ROOT / "configs" / "tune.yml")
    train = Scripted({"adam-0.003": (0.7,) * 3, "adam-0.009": (0.5,) * 3, "sgd-0.03": (0.6,) * 3})
    outcome = tune(protocol, train, train, ["the data are fit"])
    assert outcome.optimizer == "adam"
    assert outcome.rate == 0.003
    assert ("adam-0.009", 1) in train.asked
    assert [decision.phase for decision in outcome.decisions] == ["start", "rate", "architecture", "options", "test"]
    assert outcome.chosen.name == "adam-0.003"
    assert outcome.decisions[0].text[0] == "the data are fit"
    words = " ".join(text for decision in outcome.decisions for text in decision.text)
    assert "lay at the edge of the grid; extended to 0.0003, 0.001, 0.003, 0.009" in words
    assert "the loss per token on dev is 2.00 times that on train; the limit is 1.25: regularisation is tried" in words


def test_a_change_is_kept_only_if_it_gains_beyond_noise() -> None:
    protocol = load_protocol(ROOT / "configs" / "tune.yml")
    scores = {
        "adam-0.001": (0.60, 0.61, 0.59),
        "adam-0.001+width-96": (0.66, 0.67, 0.651),  # +0.06 with little spread
        "adam-0.001+depth-2": (0.80, 0.40, 0.75),  # a larger mean, but all noise
        "adam-0.001+width-96+depth-2": (0.66, 0.67, 0.651),
    }
    outcome = tune(protocol, Scripted(scores), Scripted(scores), [])
    assert outcome.chosen.name == "adam-0.001+width-96"
    architecture = {line.name: line for line in outcome.decisions[2].lines if line.outcome}
    assert architecture["adam-0.001+depth-2"].outcome == "within noise"
    assert architecture["adam-0.001+width-96"].outcome == "gains beyond noise"
    assert outcome.chosen.overrides["components.tok2vec.model.encode.width"] == 96


# -- for real --------------------------------------------------------------------------------------


def test_the_command_tunes_and_goes_on_where_it_was(
    overrides: dict[str, Any], small_corpus: Path, tmp_path: Path
) -> None:
    config = Config().from_disk(ROOT / "configs" / "base.cfg", interpolate=False, overrides=overrides)
    config["training"]["before_update"] = None
    config.to_disk(tmp_path / "base.cfg")
    text = (ROOT / "configs" / "tune.yml").read_text(encoding="utf8")
    # One optimizer, one candidate, two seeds, two evaluations: the same way, at a twentieth of the time.
    sgd = text[text.index("  sgd:\n    overrides") : text.index("  adam:\n    overrides")]
    text = (
        text.replace(sgd, "")
        .replace("decide_seeds: 3", "decide_seeds: 2")
        .replace("grid: [3e-4, 1e-3, 3e-3]", "grid: [1e-3, 3e-3, 1e-2]")
        .replace("${budget * 0.1}", "${budget * 0.5}")
    )
    start, end = text.index("    candidates:\n      width-96"), text.index("  options:")
    text = (
        text[:start]
        + "    candidates:\n      depth-1: {question: Shallow?, overrides: {components.tok2vec.model.encode.depth: 1}}\n"
        + text[end:]
    )
    start, end = text.index("    candidates:\n      cosine"), text.index("  test:")
    text = text[:start] + "    candidates: {}\n" + text[end:]
    start, end = text.index("refine:"), text.index("# Quantities that")
    text = text[:start] + "refine: []\n" + text[end:]
    (tmp_path / "tune.yml").write_text(text, encoding="utf8")
    arguments = ["--protocol", tmp_path / "tune.yml", "--updates", 20, "--workers", 0, "--storage", f"sqlite:///{tmp_path}/s.db",
                 "--folder", tmp_path / "runs", "--output", tmp_path / "tune.json",
                 "--test", small_corpus / "test.spacy"]  # fmt: skip
    done = run_script("tune", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No two splits share frames." in done.stdout
    page = (tmp_path / "runs" / "decisions.md").read_text(encoding="utf8")
    for words in ("## 2. Learning rate", "- decides: dev_f", "on the test split: F"):
        assert words in page
    documented = config["training"]["optimizer"]["learn_rate"]["initial_rate"]
    assert f"`training.optimizer.learn_rate.initial_rate` | {documented} |" in page.partition("## Chosen")[2]
    best = Config().from_disk(tmp_path / "runs" / "best.cfg")
    assert best["training"]["optimizer"]["learn_rate"]["total_steps"] == 20
    first = (tmp_path / "tune.json").read_bytes()
    again = run_script("tune", *arguments)
    assert again.returncode == 0
    assert "training" not in again.stdout.split("wrote")[0].replace("Learning", "").replace("in training", "")
    assert (tmp_path / "tune.json").read_bytes() == first
