"""Which variants differ from base beyond noise: the file of finished trials -> rows -> table, CSV, Markdown."""

import csv
import difflib
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from trajet.errors import UserError
from trajet.experiments import statistics
from trajet.experiments.result import Result
from trajet.files import read_text

BETTER, WORSE, NOISE, FEW, BASE = "better", "worse", "within noise", "too few seeds", "base"
# final_f and counts are of one evaluation; an export may have rounded the score.
_ROUNDING = 5e-4
_HINT = "give the file of finished trials that the study was exported to"
_AGAIN = "export the study again"


@dataclass(frozen=True)
class Study:
    """A file of finished trials, read: results by variant, then by seed; variants in the header's order."""

    path: Path
    results: dict[str, dict[int, Result]]
    groups: dict[str, str]
    questions: dict[str, str]
    notes: list[str]


@dataclass(frozen=True)
class Row:
    """One variant beside base; None where there is nothing to say.

    Attributes:
        seeds, f_mean, f_sd, f_min, f_max: dev F over all its seeds.
        common: seeds that base has too; difference, low, high, half_width, p: over these, see `paired_difference`.
        p_holm: p after Holm's correction over all variants; the verdict hangs on it.
        detectable: least difference, either way, that would have been called at this spread and with these seeds
            beside these other variants.
        frames_f, frames_low, frames_high: micro F of all seeds' counts together, interval over other frames.
        frames_difference, frames_difference_low, frames_difference_high: the same of variant minus base, over common
            seeds, the same frames drawn for both.
        reached: seeds whose F got to the level; updates_to_level: median, a seed that never did counts as later than any.
        gap: dev loss - train loss per token at the last evaluation that has both, mean over seeds.
        diverged: seeds with a non-finite loss or weight.
    """

    variant: str
    group: str
    question: str
    verdict: str
    wording: str
    seeds: int
    f_mean: float
    f_sd: float | None
    f_min: float
    f_max: float
    common: int
    difference: float | None
    low: float | None
    high: float | None
    half_width: float | None
    p: float | None
    p_holm: float | None
    detectable: float | None
    frames_f: float
    frames_low: float
    frames_high: float
    frames_difference: float | None
    frames_difference_low: float | None
    frames_difference_high: float | None
    reached: int
    updates_to_level: float | None
    gap: float | None
    diverged: int


@dataclass(frozen=True)
class Comparison:
    """All rows, base first, then by group; what they were computed with."""

    rows: list[Row]
    base: str
    level: float
    confidence: float
    seed: int
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


# -- reading ---------------------------------------------------------------------------------------


def read_study(path: Path) -> Study:
    """Finished trials: a first line of kind "study" with the dev documents' frames, then a result a line.

    The first line may describe its variants, {"variants": {name: {"group": ..., "question": ...}}}, or a trial may carry
    its own "group" and "question". Each result's final_f is the F of its counts; a diverged run that has no counts found
    nothing: nobody could use what it trained.

    Raises:
        UserError: no such file, or a line that cannot be used (names it).
    """
    lines = [(f"{path}:{n}", line) for n, line in enumerate(read_text(path, _HINT).splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"{path}: is empty; {_HINT}")
    (where, header), *rows = [(where, _json(where, line)) for where, line in lines]
    frames, described = header.get("frames"), header.get("variants") or {}
    if header.get("kind") != "study" or not isinstance(frames, list) or not frames:
        raise UserError(f'{where}: not the first line of a study ("kind": "study" and a list of frames); {_HINT}')
    if not isinstance(described, dict) or not all(isinstance(text, dict) for text in described.values()):
        raise UserError(f'{where}: variants must be objects with "group" and "question" by name; {_AGAIN}')
    places: dict[tuple[str, int], str] = {}
    results: dict[str, dict[int, Result]] = {name: {} for name in described}
    about: dict[str, list[dict]] = {name: [described[name]] for name in described}
    gold = None
    for where, row in rows:
        if row.get("kind", "trial") not in ("trial", "result"):
            raise UserError(f"{where}: a line of kind {row['kind']!r} among the trials; {_AGAIN}")
        result = Result.from_dict({"frames": frames, **row}, where)
        gold = _check(result, frames, gold, where)
        key = (result.name, result.seed)
        if key in places:
            raise UserError(f"{where}: {key[0]} with seed {key[1]} is already at {places[key]}; keep one of them")
        places[key] = where
        results.setdefault(result.name, {})[result.seed] = result
        about.setdefault(result.name, []).append(row)
    if gold is None:
        raise UserError(f"{path}: no trial with counts in it; run the study first")
    results = {name: dict(sorted(by_seed.items())) for name, by_seed in results.items() if by_seed}
    return Study(
        Path(path),
        {name: {seed: _usable(result, gold) for seed, result in by_seed.items()} for name, by_seed in results.items()},
        {name: _first(about[name], "group") for name in results},
        {name: _first(about[name], "question") for name in results},
        _notes(results),
    )


def counts_of(results: Iterable[Result]) -> np.ndarray:
    """tp, fp, fn by frame, all results together: shape (frames, 3)."""
    return np.sum([result.counts for result in results], axis=0)


def curve_of(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Updates made and F at each evaluation that has one; step 0 is evaluated after the first update."""
    pairs = [(entry["step"] + 1, entry["ents_f"]) for entry in result.evaluations if _is_finite(entry["ents_f"])]
    return np.array([updates for updates, _ in pairs], dtype=float), np.array([f for _, f in pairs], dtype=float)


def _json(where: str, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg} at column {error.colno}); {_AGAIN}") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: not a JSON object; {_AGAIN}")
    return row


def _check(result: Result, frames: list, gold: np.ndarray | None, where: str) -> np.ndarray | None:
    """Refuse what the statistics could not use; returns the spans to be found by frame, the same for all trials."""
    for key, kind in (("name", str), ("seed", int), ("diverged", bool), ("evaluations", list), ("counts", list)):
        if type(value := getattr(result, key)) is not kind and not (key == "counts" and value is None):
            raise UserError(f"{where}: {key} is {value!r}, not of type {kind.__name__}; {_AGAIN}")
    if result.frames != frames:
        raise UserError(f"{where}: its frames are not those of line 1; the trials need one dev split")
    if not (_is_finite(result.final_f) and 0 <= result.final_f <= 1) and not result.diverged:
        raise UserError(f"{where}: final_f is {result.final_f!r}, and the run did not diverge; train it again")
    if not result.evaluations:
        raise UserError(f"{where}: no evaluation; {_AGAIN}")
    step = -1
    for entry in result.evaluations:
        if not isinstance(entry, dict) or not {"step", "ents_f", "train_loss", "dev_loss"} <= entry.keys():
            raise UserError(f"{where}: an evaluation lacks step, ents_f, train_loss or dev_loss; {_AGAIN}")
        if type(entry["step"]) is not int or entry["step"] <= step:
            raise UserError(f"{where}: step {entry['step']!r} follows step {step} among the evaluations; {_AGAIN}")
        step = entry["step"]
    if not result.counts and result.diverged:
        return gold
    right = (
        result.counts
        and len(result.counts) == len(frames)
        and all(isinstance(row, list) and len(row) == 3 for row in result.counts)
    )
    if not right or any(type(n) is not int or n < 0 for row in result.counts for n in row):
        raise UserError(f"{where}: counts need {len(frames)} rows [tp, fp, fn], one a frame of line 1; {_AGAIN}")
    counts = np.array(result.counts)
    of_counts = float(statistics.micro_f(counts.sum(axis=0)))
    if _is_finite(result.final_f) and abs(result.final_f - of_counts) > _ROUNDING:
        raise UserError(
            f"{where}: final_f is {result.final_f:.4f}, its counts give {of_counts:.4f}; both must be of the last evaluation"
        )
    spans = counts[:, 0] + counts[:, 2]
    if gold is not None and (spans != gold).any():
        frame = frames[int(np.flatnonzero(spans != gold)[0])]
        raise UserError(f"{where}: other gold spans in {frame} than the trials before; they need one dev split")
    return spans


def _usable(result: Result, gold: np.ndarray) -> Result:
    """With the F of its counts, which no export has rounded; a diverged run's missing counts are all misses."""
    if not result.counts:
        result = replace(result, counts=[[0, 0, int(spans)] for spans in gold])
    return replace(result, final_f=float(statistics.micro_f(counts_of([result]).sum(axis=0))))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _first(rows: Sequence[dict], key: str) -> str:
    return next((str(row[key]) for row in rows if row.get(key)), "")


def _notes(results: dict[str, dict[int, Result]]) -> list[str]:
    versions = {
        json.dumps(result.versions, sort_keys=True) for by_seed in results.values() for result in by_seed.values()
    }
    return (
        [f"The trials were made with {len(versions)} different sets of package versions."] if len(versions) > 1 else []
    )


# -- comparing -------------------------------------------------------------------------------------


def compare(study: Study, base: str = "base", level: float = 0.9, seed: int = 0) -> Comparison:
    """A row a variant: difference to base over common seeds, Holm's correction over all variants.

    A variant is better or worse if its corrected p is at most 1 - CONFIDENCE.

    Args:
        level: F whose first crossing is counted in updates.
        seed: of the frames that the bootstrap draws.
    Raises:
        UserError: no base, nothing beside it, no two seeds in common with any variant, or a level outside (0, 1].
    """
    if not 0 < level <= 1:
        raise UserError(f"level {level:g}: an F above 0 and at most 1 is needed")
    others = [name for name in study.results if name != base]
    if base not in study.results:
        near = difflib.get_close_matches(base, others, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(others) or 'no trial at all'}"
        raise UserError(f"{study.path}: no trial of the base {base!r}; {hint}")
    if not others:
        raise UserError(f"{study.path}: holds nothing but {base!r}; run at least one other variant")
    scores = {name: {s: trial.final_f for s, trial in by_seed.items()} for name, by_seed in study.results.items()}
    differences = {name: statistics.paired_difference(scores[name], scores[base]) for name in others}
    if all(difference.p is None for difference in differences.values()):
        raise UserError(
            f"{study.path}: no variant has two seeds in common with {base!r} (which has seeds "
            f"{', '.join(map(str, scores[base]))}); an interval needs two, better three or more"
        )
    p_values = [differences[name].p for name in others]
    corrected = statistics.holm(p_values)
    rows = [_row(study, base, base, level, seed, statistics.Difference(0), None, None)]
    for index, name in enumerate(others):
        found = differences[name]
        needed = None
        if found.sd is not None:
            threshold = statistics.holm_threshold(p_values, index, 1 - statistics.CONFIDENCE)
            needed = statistics.half_width(found.sd, found.n, threshold)
        rows.append(_row(study, base, name, level, seed, found, corrected[index], needed))
    groups = list(dict.fromkeys(row.group for row in rows[1:]))
    rows[1:] = sorted(rows[1:], key=lambda row: groups.index(row.group))
    tested = sum(p is not None for p in p_values)
    return Comparison(rows, base, level, statistics.CONFIDENCE, seed, [*study.notes, *_method(level, tested)])


def _row(
    study: Study, base: str, name: str, level: float, seed: int,
    found: statistics.Difference, p_holm: float | None, needed: float | None,
) -> Row:  # fmt: skip
    results = study.results[name]
    spread = statistics.spread(result.final_f for result in results.values())
    counts = counts_of(results.values())
    frames_low, frames_high = statistics.percentile_interval(statistics.f_over_frames(counts, seed))
    paired = (None, None, None) if name == base else _paired_over_frames(results, study.results[base], seed)
    updates = [statistics.updates_to(zip(*curve_of(result), strict=True), level) for result in results.values()]
    gaps = [result.loss_gap for result in results.values() if _is_finite(result.loss_gap)]
    diverged = sum(result.diverged for result in results.values())
    verdict = BASE if name == base else _verdict(found, p_holm)
    return Row(
        variant=name, group=study.groups[name], question=study.questions[name],
        verdict=verdict, wording=_wording(verdict, found, needed, paired, diverged, len(results)),
        seeds=spread.n, f_mean=spread.mean, f_sd=spread.sd, f_min=spread.low, f_max=spread.high,
        common=found.n, difference=found.mean, low=found.low, high=found.high, half_width=found.half_width,
        p=found.p, p_holm=p_holm, detectable=needed,
        frames_f=float(statistics.micro_f(counts.sum(axis=0))), frames_low=frames_low, frames_high=frames_high,
        frames_difference=paired[0], frames_difference_low=paired[1], frames_difference_high=paired[2],
        reached=sum(value is not None for value in updates), updates_to_level=statistics.median_or_never(updates),
        gap=float(np.mean(gaps)) if gaps else None, diverged=diverged,
    )  # fmt: skip


def _paired_over_frames(
    results: dict[int, Result], base: dict[int, Result], seed: int
) -> tuple[float | None, float | None, float | None]:
    """F of the common seeds together, variant minus base, with its interval: the same frames drawn for both."""
    both = results.keys() & base.keys()
    if not both:
        return None, None, None
    mine, theirs = (counts_of(of[s] for s in both) for of in (results, base))
    point = float(statistics.micro_f(mine.sum(axis=0)) - statistics.micro_f(theirs.sum(axis=0)))
    moved = statistics.f_over_frames(mine, seed) - statistics.f_over_frames(theirs, seed)
    return point, *statistics.percentile_interval(moved)


def _verdict(found: statistics.Difference, p_holm: float | None) -> str:
    if found.mean is None or p_holm is None:
        return FEW
    if p_holm > 1 - statistics.CONFIDENCE:
        return NOISE
    return BETTER if found.mean > 0 else WORSE


def _wording(
    verdict: str, found: statistics.Difference, needed: float | None,
    paired: tuple[float | None, ...], diverged: int, seeds: int,
) -> str:  # fmt: skip
    """The verdict as a sentence that says no more than the numbers do."""
    if verdict == BASE:
        text = "what the others are compared with"
    elif verdict == FEW:
        text = f"{found.n} seed{'' if found.n == 1 else 's'} in common with base: 2 are needed, better 3 or more"
    elif found.sd == 0 and found.mean == 0:
        text = "the same F as base with every seed"
    elif verdict == NOISE:
        least = "no difference" if needed > 1 else f"only {needed:.3f} or more, either way,"
        text = f"within noise, which is not 'no effect': {least} could have been called"
        if not found.low <= 0 <= found.high:
            text += f" beside so many variants; by itself its interval leaves out 0 ({_range(found.low, found.high)})"
    else:
        text = f"{verdict} by {abs(found.mean):.3f} ({_range(found.low, found.high)})"
        if paired[1] <= 0 <= paired[2]:
            text += f"; on these dev frames: over other frames {_range(paired[1], paired[2])}"
    return text + (f"; {diverged} of {seeds} runs diverged" if diverged else "")


def _method(level: float, variants: int) -> list[str]:
    percent = f"{statistics.CONFIDENCE:.0%}".replace("%", " %")
    return [
        f"Difference: mean over the seeds that variant and base both have, with the {percent} t interval of each by itself.",
        f"Verdict: two-sided p after Holm's correction over {variants} variant{'s' if variants > 1 else ''}, at {1 - statistics.CONFIDENCE:.2f}; an "
        "interval may leave out 0 and the verdict still be 'within noise'.",
        "Needed: the least difference, either way, that would have been called at this spread and number of seeds.",
        f"Over frames: {percent} of micro F of all seeds together when whole dev frames are drawn again.",
        f"Updates to F {level:g}: median over seeds of the first crossing, on a line between evaluations (in brackets the seeds that "
        "got there); 'never' where at least half did not.",
        "Gap: dev loss - train loss a token, dropout off. A diverged run without counts found nothing: F 0.",
    ]


# -- tables ----------------------------------------------------------------------------------------

Column = tuple[str, Callable[[Row], str]]


def tables(comparison: Comparison) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, columns, cells) of the table of effects and of the one beside it; a group's name has a row of its own."""
    level = f"{comparison.level:g}"
    effects: list[Column] = [
        ("seeds", lambda row: str(row.seeds)),
        ("mean F", lambda row: f"{row.f_mean:.3f}"),
        ("diff", lambda row: "" if row.difference is None else signed(row.difference)),
        ("interval", lambda row: _range(row.low, row.high)),
        ("Holm p", lambda row: _p(row.p_holm)),
        ("needed", lambda row: _three(row.detectable)),
        ("verdict", lambda row: row.verdict),
    ]
    beside: list[Column] = [
        ("sd", lambda row: _three(row.f_sd)),
        ("F over frames", lambda row: f"{row.frames_low:.3f} to {row.frames_high:.3f}"),
        ("diff over frames", lambda row: _range(row.frames_difference_low, row.frames_difference_high)),
        (f"to F {level}", _reach),
        ("gap", lambda row: "" if row.gap is None else signed(row.gap)),
        ("diverged", lambda row: f"{row.diverged}/{row.seeds}" if row.diverged else ""),
    ]
    titles = (
        f"Effect on dev F, compared with {comparison.base}, over seeds",
        f"Spread over seeds; over other frames; updates to F {level}; train / dev gap; diverged runs",
    )
    return [
        (title, ["variant", *(name for name, _ in columns)], _grouped(comparison.rows, columns))
        for title, columns in zip(titles, (effects, beside), strict=True)
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
        lines = [f"## {title}", "", _line(columns), _line(["---", *["---:"] * (len(columns) - 1)])]
        for row in cells:
            # A row with nothing but its first cell is a group's name.
            lines.append(_line(row if any(row[1:]) else [f"**{row[0]}**", *row[1:]]))
        parts.append("\n".join(lines))
    sentences = [
        f"- **{_plain(row.variant)}**: {f'{_plain(row.question)} ' if row.question else ''}{_sentence(row.wording)}"
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


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: str) -> str:
    """Text that a Markdown table can hold."""
    return " ".join(text.split()).replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{_plain(text[1:])}."


def signed(value: float) -> str:
    """Three digits with a sign; what rounds to nothing is +0.000."""
    return f"{round(value, 3) + 0.0:+.3f}"


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{signed(low)} to {signed(high)}"


def _reach(row: Row) -> str:
    updates = "never" if row.updates_to_level is None else f"{row.updates_to_level:,.0f}"
    return f"{updates} ({row.reached}/{row.seeds})"


def _p(p: float | None) -> str:
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
