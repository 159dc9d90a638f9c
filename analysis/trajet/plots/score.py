"""The scores on the dev documents over the run."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from trajet.plots.style import BLACK, BLUE, GREEN, GREY, VERMILION, axes_of, dress
from trajet.trace import Trace

_STYLES = {"f": (BLACK, 2.0), "p": (BLUE, 1.0), "r": (VERMILION, 1.0)}


class Scores(NamedTuple):
    step: np.ndarray
    values: dict[str, np.ndarray]
    best_step: int
    best: float


def recorded(trace: Trace) -> bool:
    """Whether there is an evaluation with a score to draw."""
    return bool(_columns(trace))


def data(trace: Trace) -> Scores:
    """Entity scores where there are some, otherwise every score between 0 and 1."""
    columns = _columns(trace)
    values = {name.removeprefix("score_"): trace.evaluations[name].to_numpy(dtype=float) for name in columns}
    main = next((name for name in values if name.endswith("_f")), next(iter(values)))
    series = np.nan_to_num(values[main])
    best = int(series.argmax())
    return Scores(
        trace.evaluations["step"].to_numpy(), values, int(trace.evaluations["step"].iloc[best]), float(series[best])
    )


def draw(scores: Scores, ax: Axes | None = None) -> Axes:
    """A line a score and a mark at the best."""
    ax = axes_of(ax)
    for name, values in scores.values.items():
        colour, width = _STYLES.get(name.rsplit("_", 1)[-1], (GREEN, 1.2))
        ax.plot(scores.step, values, color=colour, linewidth=width, marker="o", markersize=3, label=name)
    ax.axvline(scores.best_step, color=GREY, linestyle="--", linewidth=1)
    ax.plot([], [], " ", label=f"best {scores.best:.3f} at step {scores.best_step}")
    ax.set_ylim(0, 1.02)
    # Opaque: the line of the best step may run behind it.
    ax.legend(framealpha=1, edgecolor="none", loc="lower right")
    return dress(ax, "Scores on the dev documents", "score")


def _columns(trace: Trace) -> list[str]:
    entity = [name for name in ("score_ents_f", "score_ents_p", "score_ents_r") if name in trace.evaluations]
    if entity:
        return entity
    numbers = [
        name
        for name in trace.evaluations
        if name.startswith("score_") and not name.startswith(("score_token", "score_speed"))
    ]
    return [name for name in numbers if trace.evaluations[name].between(0, 1).any()]
