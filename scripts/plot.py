"""Draw what the optimizer did in one run, or in several side by side."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import console, print_wrote, run
from trajet.errors import UserError
from trajet.plots.panels import figures
from trajet.plots.style import save
from trajet.trace import read_trace


def main(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN ...", help="Runs whose training/RUN/trace.jsonl are drawn; a trace's path works too."
        ),
    ],
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="Pictures go to OUTPUT/RUN, for several runs OUTPUT/RUN-OTHER.")] = Path(
        "plots"
    ),
) -> None:
    """Draw learning rate, norms, clipping, update sizes, decay, losses and scores as SVG and PNG."""
    # project.yml hands 'base other' over as one argument where a var holds both.
    names = list(dict.fromkeys(name for argument in runs for name in argument.split()))
    if not names:
        raise UserError("plot: no run named; give one or more, for example `python -m scripts.plot base`")
    with console.status("reading traces ..."):
        traces = {_label(name): read_trace(_path(name, training)) for name in names}
    for name, trace in traces.items():
        if not len(trace.steps):
            raise UserError(f"{trace.path}: no step in it yet; wait for the first update of {name}")
    folder = output / "-".join(traces)
    written = []
    for stem, figure in figures(traces):
        written += save(figure, folder / stem)
    print_wrote(written)


def _path(name: str, training: Path) -> Path:
    return Path(name) if name.endswith(".jsonl") else training / name / "trace.jsonl"


def _label(name: str) -> str:
    return (Path(name).parent.name or Path(name).stem) if name.endswith(".jsonl") else name


if __name__ == "__main__":
    run(main)
