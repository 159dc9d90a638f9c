"""The recorded updates of one watched weight, worked out line by line."""

from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table

from scripts._cli import console, print_wrote, run
from trajet.errors import UserError
from trajet.examples.worked import number, worked
from trajet.explain import Explained, explain, watched_rows
from trajet.plots import weight_life
from trajet.plots.style import save
from trajet.trace import read_trace


def main(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/trace.jsonl is read.")],
    weight: Annotated[
        str, typer.Option(help="A watched weight, for example tok2vec/maxout-2/W[5,0,17]; none: the first.")
    ] = "",
    step: Annotated[list[int] | None, typer.Option(help="Step, as spaCy counts from 0; may be given again.")] = None,
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="The picture goes to OUTPUT/RUN.")] = Path("plots"),
) -> None:
    """Recompute updates of a real weight by the reference, compare them with the record, and draw the weight's life."""
    trace = read_trace(training / run_name / "trace.jsonl")
    if not weight:
        if not trace.header.get("watch"):
            raise UserError(
                f"{trace.path}: no weight was watched; set watch in [training.before_update] and train again"
            )
        weight = trace.header["watch"][0]
    rows = watched_rows(trace, weight)
    last = int(rows["step"].max())
    steps = step if step else [number for number in (100, 1000) if number <= last] or [last]
    explained = [explain(trace, weight, number) for number in steps]
    for entry in explained:
        _print(entry)
    stem = "weight-" + weight.replace("/", "-").replace("[", "-").replace(",", "-").replace("]", "").replace(":", "")
    print_wrote(save(weight_life.draw(weight_life.data(trace, weight)), output / run_name / stem))
    if not all(entry.agrees for entry in explained):
        raise UserError(f"{trace.path}: the record of {weight} and the reference disagree beyond float32 rounding")


def _print(entry: Explained) -> None:
    table = Table.grid(padding=(0, 2))
    recorded = {compared.name: compared for compared in entry.compared}
    for line in worked(entry.step, "-learn_rate x L2 x (w + gradient part)"):
        compared = recorded.get("new w" if (line.name, line.formula) == ("w", "after") else line.name)
        cells = ["", ""]
        if compared:
            cells = [f"recorded {number(compared.recorded)}", "agrees" if compared.agrees else "DISAGREES"]
        table.add_row(line.name, f"[dim]{line.formula}[/dim]", line.value, *cells)
    verdict = "to float32 rounding" if entry.agrees else "NOT to float32 rounding"
    title = f"{entry.watch}, step {entry.step_number} = its update {entry.step.t}: record and reference agree {verdict}"
    console.print(Panel(table, title=title, title_align="left", expand=False))


if __name__ == "__main__":
    run(main)
