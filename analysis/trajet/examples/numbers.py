"""The numbers of the source document, one row each: as stated, by its own formula, by Thinc, by torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajet.adam import State, ThincSettings, thinc_adam
from trajet.examples import libraries
from trajet.examples.readings import BETA1, BETA2, HISTORIES, L2, PEAK, WARMUP, WEIGHT, update
from trajet.schedule import planned_values

TOTAL = 20_000
SCHEDULE = {"@schedules": "warmup_linear.v1", "warmup_steps": WARMUP, "total_steps": TOTAL, "initial_rate": PEAK}
VECTOR = (5.0, 3.0, 4.0)


@dataclass(frozen=True)
class Number:
    """One number of the document.

    Attributes:
        topic: the box it stands in.
        what: the quantity.
        stated: as the document writes it; empty where it gives none.
        formula: the document's own formula, computed in float64.
        thinc: by the real library; None where it has no such thing.
        torch: by the real library; None where it has no such thing or is not installed.
        verdict: equal, rounding, or what went wrong.
        why: one sentence.
    """

    topic: str
    what: str
    stated: str
    formula: float
    thinc: float | None
    torch: float | None
    verdict: str
    why: str


def numbers() -> list[Number]:
    """All of them, in the document's order."""
    return [*_schedule(), *_clip(), *_decay(), *_step_100(), *_first_update(), *_step_1000()]


def rates(count: int = TOTAL + 1) -> np.ndarray:
    """The documented schedule by Thinc; entry s is the rate of step s, which is update s + 1."""
    return planned_values(SCHEDULE, "training.optimizer.learn_rate", count)


def formula_rate(step: int) -> float:
    """The document's schedule: up to the peak in 250 steps, then down to 0 at 20,000."""
    return PEAK * step / WARMUP if step < WARMUP else PEAK * max(0, TOTAL - step) / (TOTAL - WARMUP)


def _schedule() -> list[Number]:
    planned = rates()
    entries = (
        (0, "0", "equal", "The first update is made at rate 0: it moves nothing."),
        (100, "2e-5", "equal", "100/250 of the peak; spaCy's step 100 is the 101st update."),
        (250, "5e-5", "equal", "The peak is reached at step 250."),
        (
            1000,
            "5e-5",
            "schedule misread",
            "The decay began at step 251: the peak lasts one step, there is no plateau.",
        ),
        (20_000, "0", "equal", "The last rate is 0, and stays so."),
    )
    return [
        Number("Warm-up and decay", f"learn_rate at step {step:,}", stated, formula_rate(step), float(planned[step]),
               None, verdict, why)
        for step, stated, verdict, why in entries
    ]  # fmt: skip


def _clip() -> list[Number]:
    norm = math.sqrt(sum(x * x for x in VECTOR))
    clipped = libraries.thinc_clip_vector(VECTOR, 1.0)
    by_torch = libraries.torch_clip_vector(VECTOR, 1.0)
    rows = [
        Number("Gradient clipping", "norm of [5, 3, 4]", "7.07", norm, float(np.linalg.norm(np.float32(VECTOR))),
               by_torch and by_torch[0], "rounding", "The root of 50.")
    ]  # fmt: skip
    for index, stated in enumerate(("0.71", "0.42", "0.57")):
        rows.append(
            Number("Gradient clipping", f"entry {index + 1} clipped to norm 1", stated, VECTOR[index] / norm,
                   float(clipped[index]), None if by_torch is None else float(by_torch[1][index]), "rounding",
                   "torch divides by norm + 1e-6; Thinc does not." if index == 0 else "Two digits of the same number.")
        )  # fmt: skip
    length = float(np.linalg.norm(clipped.astype(np.float64)))
    torch_length = None if by_torch is None else float(np.linalg.norm(by_torch[1].astype(np.float64)))
    rows.append(Number("Gradient clipping", "norm after the clip", "1.0", 1.0, length, torch_length, "equal",
                       "To float32 rounding."))  # fmt: skip
    return rows


def _decay() -> list[Number]:
    rate = formula_rate(100)
    thinc = libraries.thinc_update(WEIGHT, [0.0], [rate]).w[0]
    torch = libraries.torch_update(WEIGHT, [0.0], [rate], L2)
    return [
        Number("Weight decay", "0.5 after the decay of one update (gradient 0, step 100)", "0.495",
               WEIGHT * (1 - L2), float(thinc), torch and float(torch.w[0]), "decay misread",
               "The libraries take learn_rate x L2 = 2e-7 of the weight, not 1 %: 50,000 times less at this step.")
    ]  # fmt: skip


def _step_100() -> list[Number]:
    rows = []
    for gradient, note in ((0.2, "as written"), (-0.2, "so that it increases")):
        history = HISTORIES[4]
        formula = float(update(history, False, "document", gradient))
        series, planned = [gradient] * history.t, [history.learn_rate] * history.t
        thinc = float(libraries.thinc_update(WEIGHT, series, planned).w[0])
        torch = libraries.torch_update(WEIGHT, series, planned, L2)
        by_torch = None if torch is None else float(torch.w[0])
        rising = gradient < 0
        rows.append(
            Number("Update at step 100", f"correction of the gradient {gradient:+.1f}, {note}", "+0.0001",
                   formula - WEIGHT * (1 - L2), _gradient_part(gradient), None,
                   "bias correction left out" if rising else "sign error",
                   "0.000065 is rounded up to 0.0001; with the correction it is 0.00002." if rising
                   else "A positive gradient lowers the weight; the update is minus the gradient.")
        )  # fmt: skip
        rows.append(
            Number("Update at step 100", f"new W, gradient {gradient:+.1f}, {note}", "0.4951", formula, thinc, by_torch,
                   "decay misread" if rising else "sign error",
                   "The document's formula gives its 0.4951; nearly all of the change is a decay no library makes." if rising
                   else "The document's own formula gives 0.4949 for the gradient it names.")
        )  # fmt: skip
    after = libraries.thinc_run(WEIGHT, [0.2] * 100, rates(100))
    rows.append(
        Number("Update at step 100", "W after 100 updates with gradient +0.2 from the start, W moving along", "",
               _replayed(100), float(after[-1, 0]), None, "not stated",
               "What a real run makes of W = 0.5: all hundred updates together move it by 0.001; the formula column is Thinc's in float64.")
    )  # fmt: skip
    return rows


def _gradient_part(gradient: float) -> float:
    # Thinc without decay: the change that the gradient makes.
    series, planned = [gradient] * 101, [formula_rate(100)] * 101
    return float(libraries.thinc_update(WEIGHT, series, planned, L2=0.0).w[0]) - WEIGHT


def _replayed(updates: int) -> float:
    w, state = np.array([WEIGHT]), State.of(np.array([WEIGHT]))
    for rate in rates(updates):
        step = thinc_adam(w, np.array([0.2]), state, ThincSettings(learn_rate=float(rate), L2=L2, grad_clip=1.0))
        w, state = step.w_after, step.state
    return float(w[0])


def _first_update() -> list[Number]:
    m, v = (1 - BETA1) * 0.2, (1 - BETA2) * 0.2**2
    first = libraries.thinc_update(WEIGHT, [0.2], [2e-5])
    by_torch = libraries.torch_update(WEIGHT, [0.2], [2e-5], L2)
    undecayed = libraries.thinc_update(0.0, [0.2], [1.0], L2=0.0)
    torch_undecayed = libraries.torch_update(0.0, [0.2], [1.0])
    return [
        Number("The first update", "W after update 1, at the schedule's rate 0", "", WEIGHT * (1 - L2),
               float(libraries.thinc_update(WEIGHT, [0.2], [0.0]).w[0]), None, "decay misread",
               "At rate 0 nothing moves; the document's formula would still take its 1 %."),
        Number("The first update", "W after update 1, at rate 2e-5", "",
               float(update(HISTORIES[0], False, "document", 0.2)), float(first.w[0]),
               by_torch and float(by_torch.w[0]), "decay misread", "A first step is learn_rate x sign(gradient), here -2e-5."),
        Number("The first update", "m / sqrt(v), in rates, after one gradient", "", m / math.sqrt(v),
               -float(undecayed.w[0]), torch_undecayed and -float(torch_undecayed.w[0]), "bias correction left out",
               "Without the correction the first step is (1 - beta1) / sqrt(1 - beta2) = 3.16 times too long."),
    ]  # fmt: skip


def _step_1000() -> list[Number]:
    series: Sequence[float] = [0.2] * 1001
    planned = rates(1001)
    by_thinc = libraries.thinc_update(WEIGHT, series, planned, L2=0.0)
    by_torch = libraries.torch_update(WEIGHT, series, planned)
    m = 0.2 * (1 - BETA1**1001)
    v = 0.04 * (1 - BETA2**1001)
    return [
        Number("State at step 1000", "m after 1,001 gradients of 0.2", "", m, float(by_thinc.m[0]),
               by_torch and float(by_torch.m[0]), "not stated", "beta1 forgets after some ten updates: m is the gradient."),
        Number("State at step 1000", "v after 1,001 gradients of 0.2", "", v, float(by_thinc.v[0]),
               by_torch and float(by_torch.v[0]), "not stated",
               "beta2 forgets after some thousand: v is only 63 % of 0.04, which is what the correction is for."),
        Number("State at step 1000", "change of W made by the gradient", "", -formula_rate(1000) * m / math.sqrt(v),
               float(by_thinc.w[0]) - WEIGHT, None if by_torch is None else float(by_torch.w[0]) - WEIGHT,
               "bias correction left out",
               "2.4 times the step at 100, for the rate's sake alone; the formula's missing correction adds 26 %."),
    ]  # fmt: skip
