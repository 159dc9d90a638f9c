"""Tables in Markdown, and the marked stretches of a page that commands fill."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from trajet.errors import UserError
from trajet.files import read_text, write_text


def plain(text: str) -> str:
    """Text that a cell can hold: one line, no border of its own."""
    return " ".join(text.split()).replace("|", "\\|")


def table_row(cells: Iterable[str]) -> str:
    """A row of a table: "| a | b |"."""
    return f"| {' | '.join(plain(cell) for cell in cells)} |"


def shown(value: object) -> str:
    """A cell's value as text: three decimals of a float, nothing for None."""
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose first column is text and whose others are numbers; no line break at its end."""
    lines = [table_row(header), table_row(["---", *["---:"] * (len(header) - 1)])]
    return "\n".join([*lines, *(table_row(map(shown, row)) for row in rows)])


def check_section(path: Path, name: str) -> None:
    """Refuse, before the work begins, a page that `write_section` could not fill.

    Raises:
        UserError: the file exists without the two marks.
    """
    if Path(path).exists():
        _fill(path, name, "")


def write_section(path: Path, name: str, body: str) -> Path:
    """Put `body` between the marks `<!-- name -->` and `<!-- /name -->` of a page; a file that is not there is made.

    Raises:
        UserError: the file exists without the two marks: nothing else of a page is ever overwritten.
    """
    text = _fill(path, name, body) if Path(path).exists() else f"{_marked(name, body)}\n"
    return write_text(path, text)


def _fill(path: Path, name: str, body: str) -> str:
    text = read_text(path, "name a Markdown file")
    # On lines of their own: a page may also speak of its marks.
    marks = re.compile(rf"^<!-- {re.escape(name)} -->$.*?^<!-- /{re.escape(name)} -->$", re.DOTALL | re.MULTILINE)
    if len(marks.findall(text)) != 1:
        raise UserError(
            f"{path}: needs the marks <!-- {name} --> and <!-- /{name} --> once, each on a line of its own, for the "
            "tables to go between them; put them in or name a file that does not exist yet"
        )
    return marks.sub(lambda _: _marked(name, body), text)


def _marked(name: str, body: str) -> str:
    return f"<!-- {name} -->\n{body}\n<!-- /{name} -->" if body else f"<!-- {name} -->\n<!-- /{name} -->"
