"""Recompute the worked Adam examples of the source document, or a case of one's own."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table

from scripts._cli import console, new_app, print_wrote, run_app
from trajet.errors import UserError
from trajet.examples.cases import KINDS, Settings, parse_numbers, read_gradients, run_case
from trajet.examples.claims import Claim, claims
from trajet.examples.libraries import has_torch
from trajet.examples.numbers import Number, numbers
from trajet.examples.page import block_table, cell, markdown
from trajet.examples.readings import STATED, Reading, readings
from trajet.examples.worked import worked
from trajet.files import write_json, write_text

app = new_app()


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    config: Annotated[Path, typer.Option(help="Config whose optimizer block the page explains.")] = Path(
        "configs/base.cfg"
    ),
    output: Annotated[Path, typer.Option(help="All numbers as JSON.")] = Path("metrics/adam_examples.json"),
    page: Annotated[Path, typer.Option(help="The Markdown page; written only where torch is installed.")] = Path(
        "docs/adam-examples.md"
    ),
) -> None:
    """Every number and sentence of the source document: as stated, by its own formula, by Thinc, by torch."""
    if context.invoked_subcommand:
        return
    # A bad config is the user's to hear of before anything is computed or written.
    block_table(config)
    with console.status("computing ..."):
        rows, variants, sentences = numbers(), readings(), claims()
    _print_numbers(rows)
    _print_readings(variants)
    _print_claims(sentences)
    written = [write_json(output, _plain({
        "numbers": [asdict(row) for row in rows],
        "readings": [{**asdict(r), "gives_stated": r.gives_stated, "departures": r.departures} for r in variants],
        "claims": [{**asdict(claim), "statement": claim.statement} for claim in sentences],
    }))]  # fmt: skip
    if has_torch():
        text = markdown(config, rows, variants, sentences)
        written.append(write_text(page, text))
    else:
        print(
            f"torch is not installed: its column is empty and {page} is left as it is; pip install 'trajet[transformer]'"
        )
    print_wrote(written)


@app.command()
def step(
    w: Annotated[str, typer.Option(help="Weight, or several: 0.5 or 0.5,0.1,-0.2")],
    learn_rate: Annotated[str, typer.Option(help="Learning rate of every update.")],
    grad: Annotated[str | None, typer.Option(help="Gradient, as many numbers as --w.")] = None,
    gradients: Annotated[
        Path | None, typer.Option(help="File with a gradient a line, in place of --grad; all are run.")
    ] = None,
    t: Annotated[str, typer.Option("--t", help="Number of the update, from 1.")] = "1",
    history: Annotated[
        str, typer.Option(help="same: --grad at the earlier updates too; none: m and v are 0 before this one.")
    ] = "same",
    optimizer: Annotated[str, typer.Option(help=", ".join(KINDS))] = "thinc-adam",
    beta1: Annotated[str | None, typer.Option(help="Memory of m.")] = None,
    beta2: Annotated[str | None, typer.Option(help="Memory of v.")] = None,
    eps: Annotated[str | None, typer.Option(help="Beside the root of v.")] = None,
    l2: Annotated[str | None, typer.Option("--L2", help="Weight decay, the optimizer's way.")] = None,
    grad_clip: Annotated[str | None, typer.Option(help="Largest norm; 0 is no clip.")] = None,
) -> None:
    """One update worked out line by line, for weights and gradients of your own."""
    options = {"learn_rate": learn_rate, "beta1": beta1, "beta2": beta2, "eps": eps, "L2": l2, "grad_clip": grad_clip}
    settings = Settings(**{name: None if text is None else _one(f"--{name.replace('_', '-')}", text)
                           for name, text in options.items()})  # fmt: skip
    weights = parse_numbers("--w", w)
    number = _one("--t", t)
    if number < 1 or number != int(number):
        raise UserError(f"--t {t}: updates are counted 1, 2, 3 ...")
    if (grad is None) == (gradients is None):
        raise UserError("give either --grad or --gradients FILE")
    if history not in ("same", "none"):
        raise UserError(f"--history {history!r}: it is same or none")
    if gradients is not None:
        series, first = read_gradients(gradients), int(number)
    else:
        one = parse_numbers("--grad", grad or "")
        series, first = ([one], int(number)) if history == "none" else ([one] * int(number), 1)
    steps = run_case(optimizer, weights, series, settings, first, hold=gradients is None)
    for one in steps if gradients is not None else steps[-1:]:
        table = Table.grid(padding=(0, 2))
        for line in worked(one, KINDS[optimizer].decay):
            table.add_row(line.name, f"[dim]{line.formula}[/dim]", line.value)
        console.print(Panel(table, title=f"{optimizer}, update {one.t}", title_align="left", expand=False))


def _one(option: str, text: str) -> float:
    values = parse_numbers(option, text)
    if len(values) != 1:
        raise UserError(f"{option} {text}: one number is needed")
    return values[0]


def _print_numbers(rows: Iterable[Number]) -> None:
    rows = list(rows)
    for topic in dict.fromkeys(row.topic for row in rows):
        table = Table(box=None, pad_edge=False)
        for name in ("", "stated", "its formula", "Thinc", "torch"):
            table.add_column(name, justify="left" if not name else "right", no_wrap=bool(name))
        for row in (row for row in rows if row.topic == topic):
            table.add_row(row.what, row.stated or "—", cell(row.formula), cell(row.thinc), cell(row.torch))
            table.add_row(f"  [bold]{row.verdict}[/bold]: {row.why}")
        console.print(Panel(table, title=topic, title_align="left"))


def _print_readings(rows: list[Reading]) -> None:
    hits = [row for row in rows if row.gives_stated]
    table = Table(box=None, pad_edge=False)
    for name in ("history of m and v", "corrected", "decay", "gradient", "new W", "Thinc", "torch"):
        table.add_column(name)
    for row in hits + [row for row in rows if row.thinc is not None and row.history == rows[-1].history]:
        cells = (row.history.name, "yes" if row.corrected else "no", row.decay, f"{row.gradient:+.1f}",
                 cell(row.float64), cell(row.thinc), cell(row.torch))  # fmt: skip
        table.add_row(*cells, style="bold" if row.gives_stated else None)
    title = f"Step 100: {len(hits)} of {len(rows)} readings give {STATED} (bold); below, what the libraries do at update 101"
    console.print(Panel(table, title=title, title_align="left"))


def _print_claims(sentences: Iterable[Claim]) -> None:
    for claim in sentences:
        console.print(Panel(f"« {claim.quote} »\n\n{claim.statement}", title=claim.verdict, title_align="left"))


def _plain(value: object) -> object:
    """JSON has no nan: a number that is none goes as a word."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    run_app(app)
