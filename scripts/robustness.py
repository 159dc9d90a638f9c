"""Disturb and edit the challenge sentences, and see what a run still finds."""

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts._cli import console, print_table, print_wrote, run
from trajet import evaluation
from trajet.config import seed_of
from trajet.corpus.challenge import HALVES, half_path, load_challenge
from trajet.corpus.places import load_places
from trajet.files import write_json
from trajet.judge.invariance import Invariance, all_edits, check
from trajet.judge.under_noise import NoiseDrop, noise_drops
from trajet.markdown import check_section, table, write_section
from trajet.plots.judge.noise import data, figure
from trajet.plots.style import save

# What each test does, for the tables.
TESTS = {
    "swap": "names exchanged",
    "villages": "rare villages",
    "invented": "invented names",
    "preamble": "polite beginning",
    "closing": "polite ending",
}
NOISE_HEADER = ("noise", "changes", "F clean", "F noisy", "drop", "low", "high", "F noisy, all sentences")
TEST_HEADER = (
    "test",
    "sentences",
    "failures",
    "failure rate",
    "right, then wrong",
    "wrong, then right",
    "not comparable",
)
EXAMPLES = 10


Half = Enum("Half", {half: half for half in HALVES}, type=str)


def main(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is tested.")],
    half: Annotated[
        Half, typer.Option(help="Challenge half; of the final one nothing but scores is shown.")
    ] = Half.open,
    sources: Annotated[Path, typer.Option(help="Folder of the challenge sentences and of places/.")] = Path("corpus"),
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="Folder for RUN-robustness.json.")] = Path("metrics"),
    plots: Annotated[Path, typer.Option(help="Folder of the pictures, a folder a run.")] = Path("plots"),
    markdown: Annotated[
        Path | None, typer.Option(help="Page for the tables, between <!-- robustness --> marks (robustness-final).")
    ] = None,
) -> None:
    """F under each noise, and how often changes that should change nothing change the prediction."""
    # The open half has the plain names.
    stem = "robustness" if half is Half.open else f"robustness-{half.value}"
    if markdown:
        check_section(markdown, stem)
    model = training / name / "model-best"
    nlp = evaluation.load_pipeline(model)
    seed = seed_of(nlp.config, model / "config.cfg")
    sentences = load_challenge(half_path(sources, half.value))
    predict = evaluation.predictor(nlp)
    with console.status("disturbing, editing, predicting ..."):
        edits = all_edits(sentences, load_places(sources / "places")["town"], seed)
        f_clean, drops = noise_drops(predict, sentences, seed)
        tests = {kind: check(predict, found, EXAMPLES * (half is Half.open)) for kind, found in edits.items()}
    noises, invariances = _noise_rows(drops), _test_rows(tests)
    title = f"{name}: what each noise costs, challenge {half.value} (F on clean sentences {f_clean:.3f})"
    print_table(title, NOISE_HEADER, noises)
    print_table("Changes that should change nothing", TEST_HEADER, invariances)
    _print_examples(tests)
    wrote = [
        write_json(output / f"{name}-{stem}.json", _metrics(half, len(sentences), f_clean, drops, tests)),
        *save(figure(data(drops), title), plots / name / stem),
    ]
    if markdown:
        head = f"Run `{name}`, challenge {half.value}: F {f_clean:.3f} on {len(sentences)} clean sentences."
        parts = [head, table(NOISE_HEADER, noises), table(TEST_HEADER, invariances)]
        wrote.append(write_section(markdown, stem, "\n\n".join(parts)))
    print_wrote(wrote)


def _noise_rows(drops: dict[str, NoiseDrop]) -> list[tuple]:
    return [(name, *asdict(drop).values()) for name, drop in drops.items()]


def _test_rows(tests: dict[str, Invariance]) -> list[tuple]:
    return [
        (TESTS[name], t.tests, t.failures, t.failure_rate, t.broken, t.mended, t.not_comparable)
        for name, t in tests.items()
    ]


def _metrics(
    half: Half, sentences: int, f_clean: float, drops: dict[str, NoiseDrop], tests: dict[str, Invariance]
) -> dict[str, Any]:
    invariance = {}
    for name, found in tests.items():
        invariance[name] = {**asdict(found), "failure_rate": found.failure_rate}
        if half is not Half.open:
            del invariance[name]["examples"]
    return {
        "half": half.value,
        "sentences": sentences,
        "f_clean": f_clean,
        "noise": {name: asdict(drop) for name, drop in drops.items()},
        "invariance": invariance,
    }


def _print_examples(tests: dict[str, Invariance]) -> None:
    for name, found in tests.items():
        for failure in found.examples[:3]:
            print(f"{name}: {failure.before}\n{'->':>{len(name) + 1}} {failure.after}")


if __name__ == "__main__":
    run(main)
