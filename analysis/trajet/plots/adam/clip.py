"""Clipping: a gradient made shorter, and a direction that changes when each tensor is clipped by itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from trajet.adam import thinc_clip
from trajet.plots.style import BLUE, GREEN, GREY, VERMILION, dress, figure_of


class Clip(NamedTuple):
    threshold: float
    first: np.ndarray  # gradient of the first tensor
    second: np.ndarray
    first_clipped: np.ndarray
    second_clipped: np.ndarray
    both_clipped: np.ndarray  # both together as one vector, clipped at their common norm
    turned_per_tensor: float  # degrees between both gradients as they were and as they are
    turned_global: float


def data(
    first: Sequence[float] = (5.0, 3.0, 4.0), second: Sequence[float] = (0.3, 0.4), threshold: float = 1.0
) -> Clip:
    """Two tensors' gradients, clipped one by one as Thinc does, and by their common norm.

        g' = g * threshold / ||g||   if ||g|| >= threshold

    Args:
        first, second: gradients, loss per unit of weight.
        threshold: `grad_clip`.
    Source: `trajet.adam.thinc_clip` (Thinc 8.3, backends/ops.py); Pascanu et al. 2013 for the global norm.
    """
    a, b = np.array(first, dtype=float), np.array(second, dtype=float)
    whole = np.concatenate([a, b])
    a_clipped, b_clipped, together = (thinc_clip(part, threshold)[0] for part in (a, b, whole))
    return Clip(
        threshold, a, b, a_clipped, b_clipped, together,
        _angle(whole, np.concatenate([a_clipped, b_clipped])), _angle(whole, together),
    )  # fmt: skip


def draw(clip: Clip, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """One tensor on the left; on the right the two tensors' norms as the axes of a plane, so that lengths are true."""
    figure = figure_of(figure, (13.0, 6.2))
    one, two = figure.subplots(1, 2)
    _draw_one(one, clip)
    _draw_two(two, clip)
    return figure


def _draw_one(ax: Axes, clip: Clip) -> None:
    norm, left = np.linalg.norm(clip.first), np.linalg.norm(clip.first_clipped)
    # The norm of the other entries as one axis: the arrows lie in this plane, so their lengths are true.
    for g, colour in ((clip.first, VERMILION), (clip.first_clipped, BLUE)):
        _arrow(ax, float(np.linalg.norm(g[1:])), float(g[0]), colour, f"{_text(g)}: norm {np.linalg.norm(g):.2f}")
    _arc(ax, clip.threshold, GREY, f"all gradients of norm {clip.threshold:g}")
    reach = 0.85 * max(norm, clip.threshold)
    ax.set(xlim=(0, reach), ylim=(0, reach), aspect="equal")
    ax.legend(frameon=False, fontsize=10, loc="upper left")
    dress(
        ax, f"Clipped from norm {norm:.2f} to {left:.2f}: same direction", "first entry of the gradient",
        "norm of its other entries",
    )  # fmt: skip


def _draw_two(ax: Axes, clip: Clip) -> None:
    size, edge = len(clip.first), 1.5 * clip.threshold
    raw = np.array([np.linalg.norm(clip.first), np.linalg.norm(clip.second)])
    ray = 2 * edge * raw / raw.max()
    label = f"as it was; its tip lies at ({raw[0]:.2f}, {raw[1]:.2f})"
    ax.plot([0, ray[0]], [0, ray[1]], color=VERMILION, linewidth=2, label=label)
    separate = (float(np.linalg.norm(clip.first_clipped)), float(np.linalg.norm(clip.second_clipped)))
    together = (float(np.linalg.norm(clip.both_clipped[:size])), float(np.linalg.norm(clip.both_clipped[size:])))
    _arrow(ax, *separate, BLUE, f"each tensor by itself (Thinc): turned by {clip.turned_per_tensor:.1f}°")
    _arrow(ax, *together, GREEN, f"both by their common norm: turned by {clip.turned_global:.1f}°")
    corner = [0, clip.threshold, clip.threshold], [clip.threshold, clip.threshold, 0]
    ax.plot(*corner, color=BLUE, linestyle=":", linewidth=1.4, label="limit of each by itself")
    _arc(ax, clip.threshold, GREEN, "limit of the common norm")
    ax.set(xlim=(0, edge), ylim=(0, edge), aspect="equal")
    ax.legend(frameon=False, fontsize=10, loc="upper left")
    dress(
        ax, f"Clipping each tensor by itself turns the gradient by {clip.turned_per_tensor:.1f}°",
        f"norm of the second tensor's gradient {_text(clip.second)}",
        f"norm of the first tensor's gradient {_text(clip.first)}",
    )  # fmt: skip


def _arc(ax: Axes, radius: float, colour: str, label: str) -> None:
    angle = np.linspace(0, np.pi / 2, 91)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    ax.plot(x, y, color=colour, linestyle=":", linewidth=1.6, label=label)


def _arrow(ax: Axes, x: float, y: float, colour: str, label: str) -> None:
    ax.quiver(0, 0, x, y, angles="xy", scale_units="xy", scale=1, color=colour, width=0.011, label=label, zorder=3)


def _text(g: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in g) + "]"


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    # Kahan's form: exact for small angles, where the arc cosine is not.
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))))
