"""The decisions of `tune` as Markdown for people and as JSON values for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trajet.experiments.tuning.tune import Decision, Line, Outcome
from trajet.experiments.variants import Change
from trajet.markdown import table_row

_TITLES = {
    "start": "1. Data and optimizers", "rate": "2. Learning rate", "architecture": "3. Architecture and regularisation",
    "options": "4. Options of the optimizer", "test": "5. Test",
}  # fmt: skip
_COLUMNS = ("candidate", "seeds", "dev F", "sd", "train loss", "dev loss", "curve", "difference", "Holm p", "outcome")


def to_markdown(outcome: Outcome, changes: Sequence[Change], budget: int) -> str:
    """A page: each phase with its criteria, all that was measured, and the decision.

    Args:
        changes: what the chosen config has differently from the documented one.
        budget: updates of each training.
    """
    lines = [
        "# How the settings were chosen",
        "",
        f"Each training made {budget:,} updates. Losses are per token on fixed documents, dropout off; differences are paired "
        "over seeds, with a 95 % t interval; p values are Holm-corrected over the candidates of a phase.",
    ]
    for decision in outcome.decisions:
        lines += ["", f"## {_TITLES[decision.phase]}", "", decision.question, "", *_criteria(decision), ""]
        if decision.lines:
            lines += [table_row(_COLUMNS), table_row(["---", *["---:"] * 5, "---", "---:", "---:", "---"])]
            lines += [table_row(_cells(line)) for line in decision.lines]
            lines.append("")
        lines += [f"- {text}" for text in decision.text]
    lines += ["", "## Chosen", "", f"`{outcome.chosen.name}`"]
    if changes:
        lines[-1] += ", where it differs from the documented config at the same budget:"
        lines += ["", table_row(["setting", "documented", "chosen"]), table_row(["---"] * 3)]
        lines += [table_row([f"`{change.key}`", change.before or "", change.after or ""]) for change in changes]
    return "\n".join(lines) + "\n"


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """JSON values; without processor times, so that the same protocol gives the same bytes."""
    decisions = []
    for decision in outcome.decisions:
        entry = asdict(decision)
        for line in entry["lines"]:
            del line["measures"]["cpu_seconds"]
        decisions.append(entry)
    return {
        "decisions": decisions,
        "optimizer": outcome.optimizer,
        "rate": outcome.rate,
        "chosen": {"name": outcome.chosen.name, "overrides": dict(outcome.chosen.overrides)},
        "test": {name: dict(zip(("f", "low", "high"), found, strict=True)) for name, found in outcome.test_f.items()},
    }


def _criteria(decision: Decision) -> list[str]:
    criteria = decision.criteria
    return [
        f"- decides: {criteria.main}",
        f"- eliminates: {', '.join(criteria.eliminating) or 'nothing'}",
        f"- between equals: {', '.join(criteria.secondary) or 'nothing'}",
        f"- ignored: {', '.join(criteria.ignored) or 'nothing'}",
    ]


def _cells(line: Line) -> list[str]:
    measures = line.measures
    difference = line.difference
    between = ""
    if difference is not None and difference.mean is not None:
        between = f"{difference.mean:+.4f}"
        if difference.low is not None:
            between += f" ({difference.low:+.4f} to {difference.high:+.4f})"
    return [
        line.name, str(line.seeds), _number(measures["dev_f"], ".3f"), _number(measures["spread"], ".3f"),
        _number(measures["train_loss"], ".3g"), _number(measures["dev_loss"], ".3g"),
        f"{line.judged.verdict}: {line.judged.evidence}", between, _number(line.p_holm, ".3f"), line.outcome,
    ]  # fmt: skip


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
