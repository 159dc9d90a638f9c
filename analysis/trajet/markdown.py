"""Tables in Markdown."""

from collections.abc import Iterable


def plain(text: str) -> str:
    """Text that a cell can hold: one line, no border of its own."""
    return " ".join(text.split()).replace("|", "\\|")


def table_row(cells: Iterable[str]) -> str:
    """A row of a table: "| a | b |"."""
    return f"| {' | '.join(plain(cell) for cell in cells)} |"
