"""Say how sure a run is of its spans, and how often that is right."""

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import console, print_table, print_wrote, run
from trajet import evaluation
from trajet.corpus.challenge import HALVES, half_path, load_challenge_docs
from trajet.files import write_json
from trajet.judge.calibration import Reliability, fit_temperature, mean_nll, reliability
from trajet.judge.confidence import gold_decisions, judged, walks
from trajet.markdown import check_section, table, write_section
from trajet.plots.judge.reliability import data, figure
from trajet.plots.style import save

HEADER = (
    "confidence",
    "spans",
    "mean confidence",
    "share right",
    "spans at T",
    "mean confidence at T",
    "share right at T",
)


Half = Enum("Half", {half: half for half in (*HALVES, "dev")}, type=str)


def main(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is asked.")],
    half: Annotated[
        Half, typer.Option(help="Sentences to judge on: a challenge half, or the dev documents.")
    ] = Half.open,
    challenge: Annotated[Path, typer.Option(help="Folder with the challenge sentences.")] = Path("corpus"),
    dev: Annotated[Path, typer.Option(help="Gold documents the temperature is fitted on.")] = Path("corpus/dev.spacy"),
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="Folder for RUN-confidence.json.")] = Path("metrics"),
    plots: Annotated[Path, typer.Option(help="Folder of the pictures, a folder a run.")] = Path("plots"),
    markdown: Annotated[
        Path | None,
        typer.Option(help="Page for the table, between <!-- confidence --> marks (confidence-final, -dev)."),
    ] = None,
) -> None:
    """Confidence of predicted spans beside how often they are right, as the model says it and at a fitted temperature."""
    # The open half has the plain names.
    suffix = "" if half is Half.open else f"-{half.value}"
    section = f"confidence{suffix}"
    if markdown:
        check_section(markdown, section)
    nlp = evaluation.load_pipeline(training / name / "model-best")
    dev_docs = evaluation.load_docs(nlp, dev)
    golds = dev_docs if half is Half.dev else load_challenge_docs(nlp, half_path(challenge, half.value))
    with console.status("predicting ..."):
        log_probs, moves = gold_decisions(nlp, dev_docs)
        temperature = fit_temperature(log_probs, moves)
        found = walks(nlp, [doc.text for doc in golds])
    spans = [evaluation.spans_of_doc(doc) for doc in golds]
    tables = {
        "as it says": reliability(*judged(found, spans, 1.0)),
        f"at temperature {temperature:.2f}": reliability(*judged(found, spans, temperature)),
    }
    before, after = tables.values()
    missed = sum(len(gold - walk.confidences().keys()) for gold, walk in zip(spans, found, strict=True))
    nll = {"before": mean_nll(log_probs, moves), "after": mean_nll(log_probs, moves, temperature)}
    rows = _rows(before, after)
    title = f"{name}: confidence on {'dev' if half is Half.dev else f'challenge {half.value}'}"
    print_table(title, HEADER, rows)
    for line in (summary := _summary(tables, nll, sum(map(len, spans)), missed)):
        print(line)
    metrics = {
        "half": half.value, "sentences": len(golds), "gold_spans": sum(map(len, spans)), "missed_spans": missed,
        "temperature": temperature, "dev_move_nll": nll, "before": asdict(before), "after": asdict(after),
    }  # fmt: skip
    wrote = [
        write_json(output / f"{name}-{section}.json", metrics),
        *save(figure(data(tables), title), plots / name / f"reliability{suffix}"),
    ]
    if markdown:
        parts = [f"Run `{name}`, {half.value}.", table(HEADER, rows), "\n".join(f"- {line}" for line in summary)]
        wrote.append(write_section(markdown, section, "\n\n".join(parts)))
    print_wrote(wrote)


def _rows(before: Reliability, after: Reliability) -> list[tuple]:
    return [
        (f"{one.low:.1f} to {one.high:.1f}", one.count, one.confidence, one.right, two.count, two.confidence, two.right)
        for one, two in zip(before.bins, after.bins, strict=True)
    ] + [("all", before.count, before.confidence, before.right, after.count, after.confidence, after.right)]


def _summary(tables: dict[str, Reliability], nll: dict[str, float], gold: int, missed: int) -> list[str]:
    lines = [
        f"{name}: ECE {found.ece:.3f}, Brier {found.brier:.3f}" if found.count else f"{name}: no span was predicted"
        for name, found in tables.items()
    ]
    return [
        *lines,
        f"negative log-probability of the right moves on dev: {nll['before']:.4f}, at the temperature {nll['after']:.4f}",
        f"{missed} of {gold} gold spans were not predicted with their label and borders; no confidence speaks of them",
    ]


if __name__ == "__main__":
    run(main)
