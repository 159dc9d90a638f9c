"""Compare the variants of an ablation with base: what differs beyond noise, how surely, and what else changed."""

import difflib
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from scripts._cli import console, print_table, print_wrote, run
from trajet.errors import UserError
from trajet.experiments.comparison.compare import compare
from trajet.experiments.comparison.part import part_of
from trajet.experiments.comparison.tables import tables, to_csv, to_markdown
from trajet.experiments.studies.exported import Study, read_study
from trajet.files import write_json, write_text
from trajet.plots.experiments import effects, learning_curves, optimizer_behaviour
from trajet.plots.style import save


def main(
    trials: Annotated[Path, typer.Argument(metavar="TRIALS", help="Finished trials that a study was exported to.")],
    base: Annotated[str, typer.Option(help="Variant that the others are compared with.")] = "base",
    level: Annotated[float, typer.Option(help="Dev F whose first crossing is counted in updates.")] = 0.9,
    show: Annotated[
        list[str] | None,
        typer.Option(help="A variant whose optimizer is drawn; may be given again.", show_default="all"),
    ] = None,
    frames: Annotated[
        list[str] | None,
        typer.Option(
            help="Only dev frames whose id matches, as '* typo'; may be given again.",
            show_default="all that were judged",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the frames that the bootstrap draws.", min=0)] = 0,
    output: Annotated[Path, typer.Option(help="Stem of the table's files: .csv, .md, .json.")] = Path(
        "metrics/ablation"
    ),
    plots: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("plots/ablation"),
) -> None:
    """Compare variants with base over seeds (t intervals, Holm) and over frames (bootstrap); print, write, draw."""
    study = read_study(trials)
    if frames:
        study = part_of(study, frames)
    found = compare(study, base, level, seed)
    chosen = _known(show, study) if show else None
    # Before the first file is written: tables without their pictures, or the other way, would be half a result.
    for folder in (output.parent, plots):
        _check_writable(folder)
    with console.status("drawing ..."):
        figures = {"effects": effects.figure(effects.data(found))}
        # Of a part of the frames only the last evaluation is known.
        if not frames:
            figures["learning-curves"] = learning_curves.figure(learning_curves.data(study, base), level)
        if measured := optimizer_behaviour.data(study, chosen):
            figures["optimizer-behaviour"] = optimizer_behaviour.figure(measured)
        written = [path for name, figure in figures.items() for path in save(figure, plots / name)]
    for suffix, text in ((".csv", to_csv(found)), (".md", to_markdown(found))):
        written.append(write_text(output.with_name(output.name + suffix), text))
    written.append(write_json(output.with_name(output.name + ".json"), found.to_dict()))
    for title, columns, cells in tables(found):
        print_table(title, columns, ([escape(cell) for cell in row] for row in cells))
    for note in found.notes:
        print(note)
    print_wrote(written)


def _check_writable(folder: Path) -> None:
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise UserError(f"{folder}: cannot write here ({nearest} is not a folder you may write to); choose another")


def _known(names: list[str], study: Study) -> list[str]:
    for name in names:
        if name not in study.results:
            near = difflib.get_close_matches(name, study.results, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(study.results)}"
            raise UserError(f"--show {name}: {study.path} has no such variant; {hint}")
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    run(main)
