"""What every script shares: one line for a user's mistake, a settings reader, a table."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from trajet.errors import UserError
from trajet.markdown import shown

console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def run(command: Callable[..., None]) -> None:
    """Run a typer command; a UserError becomes one line on stderr and exit code 2."""
    app = new_app()
    app.command()(command)
    run_app(app)


def new_app() -> typer.Typer:
    """An app for commands with subcommands of their own."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def run_app(app: typer.Typer) -> None:
    """Run an app; a UserError becomes one line on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(table)


def print_wrote(paths: Iterable[Path]) -> None:
    """Say where the output lies, one path a line."""
    for path in paths:
        print(f"wrote {path}")
