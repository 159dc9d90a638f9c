"""Which variants differ from base beyond noise: finished trials -> a row a variant, with a verdict in words."""

import difflib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trajet import statistics
from trajet.errors import UserError
from trajet.experiments.result import Result
from trajet.experiments.studies.exported import Study, counts_of, curve_of, is_finite

BETTER, WORSE, NOISE, FEW, BASE = "better", "worse", "within noise", "too few seeds", "base"


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
        clipped_share, update_ratio, grad_norm, decay_to_gradient: what the optimizer did in the last quarter, see
            Result.optimizer; medians over seeds.
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
    clipped_share: float | None
    update_ratio: float | None
    grad_norm: float | None
    decay_to_gradient: float | None


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
    gaps = [result.loss_gap for result in results.values() if is_finite(result.loss_gap)]
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
        clipped_share=_did(results, "clipped_share"), update_ratio=_did(results, "update_ratio_median"),
        grad_norm=_did(results, "grad_norm_median"), decay_to_gradient=_did(results, "decay_to_gradient_median"),
    )  # fmt: skip


def _did(results: dict[int, Result], what: str) -> float | None:
    known = [value for result in results.values() if is_finite(value := result.optimizer.get(what))]
    return float(np.median(known)) if known else None


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
            text += (
                f" beside so many variants; by itself its interval leaves out 0 ({range_text(found.low, found.high)})"
            )
    else:
        text = f"{verdict} by {abs(found.mean):.3f} ({range_text(found.low, found.high)})"
        if paired[1] <= 0 <= paired[2]:
            text += f"; on these dev frames: over other frames {range_text(paired[1], paired[2])}"
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
        "What the optimizer did: of the last quarter of the updates the share of tensors clipped, update norm / weight norm and "
        "decay part / gradient part of the middle tensor, norm of all gradients before any clip; medians over seeds.",
    ]


def signed(value: float) -> str:
    """Three digits with a sign; what rounds to nothing is +0.000."""
    return f"{round(value, 3) + 0.0:+.3f}"


def range_text(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{signed(low)} to {signed(high)}"
