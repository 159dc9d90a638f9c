"""One training cycle on one sentence with a trained pipeline: prediction, truth, gradient, update, and what it changed."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table

from scripts._cli import console, print_wrote, run
from trajet.errors import UserError
from trajet.evaluation import load_pipeline
from trajet.files import write_json
from trajet.sentence.cycle import Cycle, training_cycle

SENTENCE = "Je veux aller de [Marseille](DEP) à [Paris](ARR)"


def main(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is loaded.")],
    sentence: Annotated[str, typer.Option(help="The sentence, its spans marked as [Lyon](ARR).")] = SENTENCE,
    learn_rate: Annotated[float, typer.Option(help="Of each update.")] = 5e-5,
    updates: Annotated[int, typer.Option(help="Updates to make.", min=1)] = 1,
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="All numbers go to OUTPUT/RUN-cycle.json.")] = Path("metrics"),
) -> None:
    """Show the training cycle with real numbers: tokens, tags, moves and their probabilities, gradients, the update."""
    if not (math.isfinite(learn_rate) and learn_rate >= 0):
        raise UserError(f"--learn-rate {learn_rate}: a finite number from 0 is needed")
    cycle = training_cycle(load_pipeline(training / run_name / "model-best"), sentence, learn_rate, updates)
    _prediction(cycle)
    _probabilities(cycle)
    _gradient(cycle)
    _after(cycle)
    columns = cycle.measured.columns
    print_wrote([write_json(output / f"{run_name}-cycle.json", {
        "sentence": sentence,
        "tokens": [asdict(token) for token in cycle.tokens],
        "moves": cycle.moves,
        "probabilities": cycle.probabilities.tolist(),
        "loss": cycle.loss,
        "learn_rate": cycle.learn_rate,
        "updates": cycle.updates,
        "tensors": [
            {"name": name, **{key: values[index] for key, values in columns.items()}}
            for index, name in enumerate(cycle.parameters)
        ],
    })])  # fmt: skip


def _prediction(cycle: Cycle) -> None:
    table = Table(box=None)
    for name in ("token", "predicted", "truth", ""):
        table.add_column(name)
    for token in cycle.tokens:
        table.add_row(token.token, token.predicted, token.gold, "" if token.predicted == token.gold else "wrong")
    console.print(Panel(table, title="1, 2. Sentence → model → prediction; comparison with the truth", title_align="left", expand=False))  # fmt: skip


def _probabilities(cycle: Cycle) -> None:
    table = Table(box=None)
    table.add_column("token")
    for name in cycle.moves:
        table.add_column(name, justify="right")
    for token, row in zip(cycle.tokens, cycle.probabilities, strict=True):
        cells = [f"[bold]{value:.4f}[/bold]" if name == token.gold else f"{value:.4f}" for name, value in zip(cycle.moves, row, strict=True)]  # fmt: skip
        table.add_row(token.token, *cells)
    console.print(Panel(table, title="The parser's moves and their probabilities (the right one bold)", title_align="left", expand=False))  # fmt: skip


def _gradient(cycle: Cycle) -> None:
    table = Table(box=None)
    for name, justify in (("tensor", "left"), ("gradient", "right"), ("clipped", "left"), ("update", "right"), ("update / weights", "right")):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    columns = cycle.measured.columns
    for index, name in enumerate(cycle.parameters):
        gradient, update, weight = (columns[key][index] for key in ("grad_norm", "update_norm", "weight_norm"))
        if gradient is None:
            continue
        ratio = f"{update / weight:.2g}" if weight else "—"
        table.add_row(name, f"{gradient:.4g}", "yes" if columns["clipped"][index] else "no", f"{update:.4g}", ratio)
    title = (
        f"3, 4. Gradient and update: loss {cycle.loss:.4g}, norm of all gradients {cycle.measured.global_grad_norm:.4g}, "
        f"learn_rate {cycle.learn_rate:g}, all weights move {cycle.measured.global_update_norm:.4g}"
    )
    console.print(Panel(table, title=title, title_align="left", expand=False))


def _after(cycle: Cycle) -> None:
    table = Table(box=None)
    for name, justify in (("token", "left"), ("right move", "left"), ("before", "right"), ("after", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for token in cycle.tokens:
        table.add_row(token.token, token.gold, f"{token.before:.6f}", f"{token.after:.6f}")
    entities = ", ".join(f"{text} {label}" for text, label in cycle.entities_after) or "none"
    title = f"Probability of the right moves after {cycle.updates} update(s); entities now: {entities}"
    console.print(Panel(table, title=title, title_align="left", expand=False))


if __name__ == "__main__":
    run(main)
