"""Compare trained runs with systems that learn nothing."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scripts._cli import console, print_table, print_wrote, run
from trajet import evaluation
from trajet.corpus.build import blank_pipeline
from trajet.corpus.challenge import HALVES, half_path, load_challenge_docs
from trajet.files import write_json
from trajet.judge.baselines import COLUMNS, compare, constant
from trajet.judge.rules import load_rules
from trajet.markdown import check_section, table, write_section

HEADER = ("", "sentences", *COLUMNS.values())


def main(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN ...]", help="Runs; their model-best is scored.")
    ] = None,
    test: Annotated[Path, typer.Option(help="Gold documents nothing was tuned on.")] = Path("corpus/test.spacy"),
    sources: Annotated[
        Path, typer.Option(help="Folder of the challenge sentences, and of the places and frames the rules know.")
    ] = Path("corpus"),
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="Folder for baselines.json.")] = Path("metrics"),
    markdown: Annotated[
        Path | None, typer.Option(help="Page for the tables, between <!-- baselines --> and <!-- /baselines -->.")
    ] = None,
) -> None:
    """Score nothing-at-all, place names with cue words, and each named run on the same sentences."""
    if markdown:
        check_section(markdown, "baselines")
    models = {
        name: evaluation.predictor(evaluation.load_pipeline(training / name / "model-best"))
        for name in dict.fromkeys(runs or [])
    }
    nlp = blank_pipeline()
    sets = {f"challenge_{half}": load_challenge_docs(nlp, half_path(sources, half)) for half in HALVES}
    sets["test"] = evaluation.load_docs(nlp, test)
    with console.status("reading the places ..."):
        baselines: dict[str, evaluation.Predictor] = {"constant": constant, "rules": load_rules(sources)}
    with console.status("predicting ..."):
        # A run may be called like a baseline.
        metrics = {**compare(baselines, sets), "runs": compare(models, sets)}
    rows = {part: _rows(metrics, part) for part in sets}
    for part in sets:
        print_table(part.replace("_", " "), HEADER, rows[part])
    wrote = [write_json(output / "baselines.json", metrics)]
    if markdown:
        tables = [table((part.replace("_", " "), *HEADER[1:]), rows[part]) for part in sets]
        wrote.append(write_section(markdown, "baselines", "\n\n".join(tables)))
    print_wrote(wrote)


def _rows(metrics: dict[str, Any], part: str) -> list[tuple]:
    titles = {"constant": "finds nothing", "rules": "place names and cue words"}
    systems = [(title, metrics[name]) for name, title in titles.items()]
    systems += [(f"run {name}", found) for name, found in metrics["runs"].items()]
    return [(title, found[part]["sentences"], *(found[part][column] for column in COLUMNS)) for title, found in systems]


if __name__ == "__main__":
    run(main)
