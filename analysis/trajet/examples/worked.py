"""A single update written out line by line, in the manner of the source's box."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trajet.adam import Step


class Line(NamedTuple):
    """One line of a worked update: the quantity, how it comes about, its value."""

    name: str
    formula: str
    value: str


def worked(step: Step, decoupled: str = "") -> list[Line]:
    """The lines of one update; what the algorithm does not have is left out.

    Args:
        step: as a function of `trajet.adam` returns it.
        decoupled: how the decay part comes about, where there is one.
    """
    t = step.t
    lines = [
        Line("w", "before", number(step.w)),
        Line("g", "gradient", number(step.g)),
        Line("learn_rate", f"of update {t}", number(step.learn_rate)),
    ]
    if step.grad_norm is not None:
        lines.append(Line("||g||", "norm that the clip compares", number(step.grad_norm)))
    if step.clip_factor != 1.0:
        lines.append(Line("clip factor", "grad_clip / ||g||", number(step.clip_factor)))
    if not np.array_equal(step.g_used, step.g, equal_nan=True):
        lines.append(Line("g'", "gradient as used", number(step.g_used)))
    if np.any(step.m):
        lines.append(Line("m", "first moment", number(step.m)))
    if np.any(step.v):
        lines.append(Line("v", "second moment", number(step.v)))
    for name, formula, value in (
        ("1 - beta1^t", "bias of m", step.bias1),
        ("1 - beta2^t", "bias of v", step.bias2),
        ("m_hat", "m / (1 - beta1^t)", step.m_hat),
        ("v_hat", "v / (1 - beta2^t)", step.v_hat),
        ("eps, effective", "beside sqrt(v_hat)", step.effective_eps),
        ("r_t", "RAdam's rectification", step.rectification),
        ("effective rate", "gradient part / -m_hat", step.effective_rate),
    ):
        if value is not None:
            lines.append(Line(name, formula, number(value)))
    lines.append(Line("gradient part", "of the update", number(step.gradient_part, signed=True)))
    if np.any(step.decay_part):
        lines.append(Line("decay part", decoupled or "of the update", number(step.decay_part, signed=True)))
    lines.append(Line("w", "after", number(step.w_after)))
    if step.average is not None:
        lines.append(Line("average", "running mean of w", number(step.average)))
    return lines


def number(value: float | np.ndarray | Sequence[float], signed: bool = False) -> str:
    """A number with up to nine significant digits, a vector in brackets."""
    array = np.asarray(value, dtype=np.float64)
    form = "{:+.9g}" if signed else "{:.9g}"
    if array.ndim == 0 or array.size == 1:
        return form.format(float(array.reshape(())))
    return "[" + ", ".join(form.format(entry) for entry in array.ravel()) + "]"
