"""A comparison as tables: for the terminal, CSV, Markdown."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import fields

from trajet.experiments.comparison.compare import BASE, Comparison, Row, range_text, signed
from trajet.markdown import plain, table

Column = tuple[str, Callable[[Row], str]]


def tables(comparison: Comparison) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, columns, cells) of the table of effects and of those beside it; a group's name has a row of its own."""
    level = f"{comparison.level:g}"
    effects: list[Column] = [
        ("seeds", lambda row: str(row.seeds)),
        ("mean F", lambda row: f"{row.f_mean:.3f}"),
        ("diff", lambda row: "" if row.difference is None else signed(row.difference)),
        ("interval", lambda row: range_text(row.low, row.high)),
        ("Holm p", lambda row: _p(row.p_holm)),
        ("needed", lambda row: _three(row.detectable)),
        ("verdict", lambda row: row.verdict),
    ]
    beside: list[Column] = [
        ("sd", lambda row: _three(row.f_sd)),
        ("F over frames", lambda row: f"{row.frames_low:.3f} to {row.frames_high:.3f}"),
        ("diff over frames", lambda row: range_text(row.frames_difference_low, row.frames_difference_high)),
        (f"to F {level}", _reach),
        ("gap", lambda row: "" if row.gap is None else signed(row.gap)),
        ("diverged", lambda row: f"{row.diverged}/{row.seeds}" if row.diverged else ""),
    ]
    did: list[Column] = [
        ("clipped", lambda row: _percent(row.clipped_share)),
        ("update / weight", lambda row: _two_digits(row.update_ratio)),
        ("gradient norm", lambda row: _two_digits(row.grad_norm)),
        ("decay / gradient", lambda row: _two_digits(row.decay_to_gradient)),
    ]
    titles = (
        f"Effect on dev F, compared with {comparison.base}, over seeds",
        f"Spread over seeds; over other frames; updates to F {level}; train / dev gap; diverged runs",
        "What the optimizer did in the last quarter of the updates",
    )
    return [
        (title, ["variant", *(name for name, _ in columns)], _grouped(comparison.rows, columns))
        for title, columns in zip(titles, (effects, beside, did), strict=True)
    ]


def to_csv(comparison: Comparison) -> str:
    """Every field of every row; numbers with 6 significant digits, empty where there is none."""
    names = [field.name for field in fields(Row)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in comparison.rows:
        values = (getattr(row, name) for name in names)
        writer.writerow("" if v is None else f"{v:.6g}" if isinstance(v, float) else v for v in values)
    return text.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """The tables, a sentence a variant, and how it was computed."""
    parts = []
    for title, columns, cells in tables(comparison):
        # A row with nothing but its first cell is a group's name.
        rows = [row if any(row[1:]) else [f"**{row[0]}**", *row[1:]] for row in cells]
        parts.append(f"## {title}\n\n{table(columns, rows)}")
    sentences = [
        f"- **{plain(row.variant)}**: {f'{plain(row.question)} ' if row.question else ''}{_sentence(row.wording)}"
        for row in comparison.rows
    ]
    parts.append("\n".join(["## In words", "", *sentences]))
    parts.append("\n".join(["## How to read this", "", *(f"- {note}" for note in comparison.notes)]))
    return "\n\n".join(parts) + "\n"


def _grouped(rows: Sequence[Row], columns: Sequence[Column]) -> list[list[str]]:
    cells: list[list[str]] = []
    group = None
    for row in rows:
        if row.verdict != BASE and row.group != group:
            group = row.group
            cells.append([group or "no group", *[""] * len(columns)])
        cells.append([row.variant, *(cell(row) for _, cell in columns)])
    return cells


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{plain(text[1:])}."


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def _two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _reach(row: Row) -> str:
    updates = "never" if row.updates_to_level is None else f"{row.updates_to_level:,.0f}"
    return f"{updates} ({row.reached}/{row.seeds})"


def _p(p: float | None) -> str:
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
