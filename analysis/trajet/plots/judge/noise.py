"""What each kind of noise costs in F: a dot and its interval a line."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trajet.judge.under_noise import NoiseDrop
from trajet.plots.style import BLACK, BLUE, axes_of, dress


class Drops(NamedTuple):
    """Noises that change some sentence, the dearest first."""

    names: list[str]
    drop: np.ndarray
    low: np.ndarray
    high: np.ndarray
    f_clean: np.ndarray
    f_noisy: np.ndarray
    changed: list[int]


def data(drops: Mapping[str, NoiseDrop]) -> Drops:
    """The drops in order."""
    rows = sorted(
        ((name, drop) for name, drop in drops.items() if drop.drop is not None), key=lambda row: (-row[1].drop, row[0])
    )
    columns = [np.array([getattr(drop, name) for _, drop in rows], dtype=float)
               for name in ("drop", "low", "high", "f_clean", "f_noisy")]  # fmt: skip
    return Drops([name for name, _ in rows], *columns, [drop.changed for _, drop in rows])


def draw(drops: Drops, ax: Axes | None = None, title: str = "What each noise costs") -> Axes:
    """The drop in F with its 95 % interval; at the right F before and after, and on how many sentences."""
    ax = axes_of(ax)
    ax.axvline(0, color=BLACK, linewidth=1)
    for y in range(len(drops.names)):
        ax.plot([drops.low[y], drops.high[y]], [y, y], color=BLUE, linewidth=1.6, solid_capstyle="butt")
        ax.plot([drops.drop[y]], [y], "o", color=BLUE, markersize=6, zorder=3)
        text = f"{drops.f_clean[y]:.3f} to {drops.f_noisy[y]:.3f}   {drops.changed[y]} sentences"
        ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8, color="#333333")
    dress(ax, title, "", "drop in F on the sentences that the noise changes, with its 95 % interval")
    ax.set_yticks(range(len(drops.names)), drops.names)
    ax.set_ylim(len(drops.names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    return ax


def figure(drops: Drops, title: str) -> Figure:
    """The picture, as high as it has lines."""
    made = Figure(figsize=(8.5, 1.6 + 0.33 * len(drops.names)), layout="constrained")
    draw(drops, made.add_subplot(), title)
    return made
