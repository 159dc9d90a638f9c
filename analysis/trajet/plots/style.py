"""What all pictures share: colours, axes, binning over steps, files that are the same byte for byte."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from trajet.files import write_atomically

# Okabe and Ito's colours: told apart by colour-blind readers, and in grey by their lightness.
BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, BLACK, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#767676",
)  # fmt: skip
CYCLE = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY)
# A line of twenty thousand points is a megabyte of SVG and shows no more than its bins.
BINS = 250
PANEL_SIZE = (8.0, 4.6)


def axes_of(ax: Axes | None) -> Axes:
    """The axes handed in, or new ones on a figure of their own that no global state knows."""
    if ax is None:
        ax = Figure(figsize=PANEL_SIZE, layout="constrained").add_subplot()
    return ax


def figure_of(figure: Figure | SubFigure | None, size: tuple[float, float]) -> Figure | SubFigure:
    """The figure handed in, or a new one of `size` inches; for pictures of several axes."""
    return Figure(figsize=size, layout="constrained") if figure is None else figure


def dress(ax: Axes, title: str, ylabel: str, xlabel: str = "step (one update each)") -> Axes:
    """Title, axis names, a light grid, no box."""
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def bin_edges(steps: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Edges of at most `bins` equal stretches of steps."""
    first, last = int(steps.min()), int(steps.max())
    width = max(1, -(-(last - first + 1) // bins))
    return np.arange(first, last + width + 1, width)


def binned(frame: pd.DataFrame, columns: list[str], by: list[str] | None = None, how: str = "median") -> pd.DataFrame:
    """A row a bin of steps (and group): the median, mean or sum of `columns`; `step` is the bin's first.

    Returns:
        DataFrame with step, the groups and the columns.
    """
    edges = bin_edges(frame["step"].to_numpy())
    starts = edges[np.searchsorted(edges, frame["step"].to_numpy(), side="right") - 1]
    grouped = frame.assign(step=starts).groupby(["step", *(by or [])], observed=True, sort=True)[columns]
    return grouped.agg(how).reset_index()


def thinned(count: int, points: int = 801) -> np.ndarray:
    """Indices of at most `points` of `count` values, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(int))


def component_colours(components: list[str]) -> dict[str, str]:
    """One colour a component, in their order."""
    return {name: CYCLE[index % len(CYCLE)] for index, name in enumerate(dict.fromkeys(components))}


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem.svg` and `stem.png`; the same figure gives the same bytes."""
    paths = []
    with mpl.rc_context({"svg.hashsalt": "trajet", "svg.fonttype": "none"}):
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            path = stem.with_name(stem.name + suffix)
            paths.append(write_atomically(path, lambda to, m=metadata: figure.savefig(to, metadata=m, dpi=110)))
    return paths
