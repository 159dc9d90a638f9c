"""The recorded update of one real weight, worked out again by the reference mathematics and compared."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trajet.adam import State, Step, ThincSettings, thinc_adam, thinc_radam, thinc_sgd
from trajet.errors import UserError
from trajet.rounding import U, step_bounds
from trajet.trace import Trace


@dataclass(frozen=True)
class Compared:
    """One recorded figure beside the reference's.

    Attributes:
        bound: how far float32 rounding may take them apart.
    """

    name: str
    recorded: float
    recomputed: float
    bound: float

    @property
    def agrees(self) -> bool:
        return abs(self.recorded - self.recomputed) <= self.bound


@dataclass(frozen=True)
class Explained:
    """One update of one weight: the reference's step, the recorded figures, the settings it was made with."""

    watch: str
    index: int
    step_number: int
    step: Step
    settings: ThincSettings
    compared: list[Compared]

    @property
    def agrees(self) -> bool:
        """Whether all figures agree to float32 rounding."""
        return all(entry.agrees for entry in self.compared)


def watched_rows(trace: Trace, weight: str) -> pd.DataFrame:
    """The rows of one watched weight, a row a step.

    Args:
        weight: as in the config's `watch`; of a watched row, one place of it: `E[5,3]` of `E[5,:]`.

    Raises:
        UserError: it was not watched; what was is named.
    """
    wanted = weight.replace(" ", "")
    for text in trace.header.get("watch", []):
        rows = trace.watched[trace.watched["watch"] == text]
        if text.replace(" ", "") == wanted and rows["index"].nunique() <= 1:
            return rows
        index = _place_in(text.replace(" ", ""), wanted)
        if index is not None and (rows["index"] == index).any():
            return rows[rows["index"] == index]
    watched = ", ".join(trace.header.get("watch", [])) or "nothing"
    raise UserError(
        f"{trace.path}: the weight {weight} was not watched; watched were {watched}. Add it to `watch` and train again"
    )


def _place_in(text: str, wanted: str) -> int | None:
    """Which entry of the watched row `N[5,:]` the weight `N[5,3]` is; the row has to be the last axis."""
    if not (text.endswith(",:]") and wanted.endswith("]")):
        return None
    head, _, last = wanted[:-1].rpartition(",")
    return int(last) if head == text[:-3] and last.isdigit() else None


def explain(trace: Trace, weight: str, step: int) -> Explained:
    """Recompute one recorded update from what was recorded of the weight before it.

    Args:
        step: as spaCy counts, from 0.

    Raises:
        UserError: the weight was not watched, the step is not in the trace or not its first and without a row before
            it, the optimizer is not one of Thinc's.
    """
    rows = watched_rows(trace, weight).set_index("step")
    if step not in rows.index:
        known = f"{rows.index.min()} to {rows.index.max()}" if len(rows) else "none"
        raise UserError(f"{trace.path}: no update of {weight} at step {step}; recorded steps: {known}")
    row = rows.loc[step]
    settings = _settings(trace, step)
    before = _before(trace, rows, step, weight)
    expected = _reference(trace, settings)(row, before)
    bounds = step_bounds(expected, before, replace(settings, grad_clip=0.0))
    pairs = [("m", "m", bounds.m), ("v", "v", bounds.v), ("new w", "w_after", bounds.w_after)]
    compared = [
        Compared(name, float(row[column]), _one(getattr(expected, column)), _one(bound))
        for name, column, bound in pairs
        if np.isfinite(row[column])
    ]
    if np.isfinite(row["decay_part"]):
        # Recorded as the rest of the change of a float32 weight: both its ends are rounded.
        spacing = float(np.spacing(np.float32(abs(row["w"]))))
        gradient_bound = _one(bounds.w_after) + spacing
        # The decay is a share of the new weight, rounded some times more.
        decay = _one(expected.decay_part)
        share = abs(decay / _one(expected.w_after)) if _one(expected.w_after) else 0.0
        decay_bound = share * _one(bounds.w_after) + 4 * U * abs(decay)
        compared += [
            Compared("gradient part", float(row["gradient_part"]), _one(expected.gradient_part), gradient_bound),
            Compared("decay part", float(row["decay_part"]), decay, decay_bound),
        ]
    return Explained(weight, int(row["index"]), step, expected, settings, compared)


def _settings(trace: Trace, step: int) -> ThincSettings:
    known = trace.header["optimizer"]
    settings = {name: known[name] for name in ("beta1", "beta2", "eps", "L2", "grad_clip", "L2_is_weight_decay")}
    row = trace.steps.set_index("step").loc[step]
    scheduled = {name: float(row[f"scheduled_{name}"]) for name in settings if f"scheduled_{name}" in row}
    return ThincSettings(**{**settings, **scheduled, "learn_rate": float(row["learn_rate"])})


def _before(trace: Trace, rows: pd.DataFrame, step: int, weight: str) -> State:
    earlier = rows.index[rows.index < step]
    zero = np.zeros(1)
    if not len(earlier):
        if step != rows.index.min() or (trace.header.get("every", 1) > 1 and step > 0):
            raise UserError(f"{trace.path}: nothing was recorded of {weight} before step {step}")
        return State(0, zero, zero)
    if trace.header.get("every", 1) != 1:
        raise UserError(
            f"{trace.path}: recorded every {trace.header['every']} steps: m and v before step {step} are not known. Train with every = 1"
        )
    last = rows.loc[earlier.max()]
    moments = [np.nan_to_num(np.array([float(last[name])])) for name in ("m", "v")]
    return State(len(earlier), *moments)


def _reference(trace: Trace, settings: ThincSettings):
    known = trace.header["optimizer"]
    if known["class"] != "thinc.optimizers.Optimizer":
        raise UserError(
            f"{trace.path}: {known['class']} is not one of Thinc's optimizers; only their mathematics is known here"
        )
    function = thinc_radam if known.get("use_radam") else thinc_sgd if settings.beta2 == 0 else thinc_adam
    # The clip is the whole tensor's: its factor is recorded, and only then does L2 join or not.
    alone = replace(settings, grad_clip=0.0, L2=settings.L2 if settings.L2_is_weight_decay else 0.0)

    def step(row: pd.Series, before: State) -> Step:
        w, g, factor = (np.array([float(row[name])]) for name in ("w", "g", "clip_factor"))
        l2 = 0.0 if settings.L2_is_weight_decay else settings.L2
        # Thinc clips the sum of both; a global clip (grad_clip is 0 beside it) comes before L2 joins.
        used = (g + l2 * w) * factor if settings.grad_clip else g * factor + l2 * w
        made = function(w, used, before, alone)
        return replace(made, g=g, clip_factor=float(factor[0]))

    return step


def _one(value) -> float:
    return float(np.asarray(value).reshape(-1)[0])
