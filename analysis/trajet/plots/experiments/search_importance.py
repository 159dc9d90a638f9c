"""How much each parameter of a search decides whether a point is among the best, beside what chance would show."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from trajet.experiments.search.parameter import condition
from trajet.experiments.search.results import SearchResults
from trajet.plots.style import BLACK, BLUE, GREY, axes_of, dress


class Bars(NamedTuple):
    names: list[str]  # the most important first, with the condition
    value: np.ndarray
    chance: np.ndarray
    points: int


def data(results: SearchResults) -> Bars:
    """The parameters that applied to some point."""
    conditions = {parameter.name: condition(parameter) for parameter in results.parameters}
    names = [
        f"{each.name}\n({conditions[each.name]})" if conditions[each.name] else each.name for each in results.importance
    ]
    return Bars(
        names, np.array([each.value for each in results.importance]),
        np.array([each.chance for each in results.importance]), len(results.points),
    )  # fmt: skip


def draw(bars: Bars, ax: Axes | None = None) -> Axes:
    """A bar a parameter from the top, a mark where chance ends."""
    ax = axes_of(ax)
    dress(ax, f"Importance of the parameters ({bars.points} points)", "", "importance (PED-ANOVA)")
    if not bars.names:
        ax.text(0.5, 0.5, "too few points to tell", transform=ax.transAxes, ha="center", va="center", color=GREY)
        ax.set_yticks([])
        return ax
    place = np.arange(len(bars.names))
    beyond = bars.value > bars.chance
    ax.barh(place, bars.value, height=0.62, color=np.where(beyond, BLUE, "#c4c4c4"))
    # Few points met a rare condition, and chance alone can show anything there: its mark may lie outside.
    shown = bars.value > 0
    limit = 1.08 * max(bars.value.max(), bars.chance[shown].max(initial=0.0), 1e-9)
    inside = bars.chance <= limit
    ax.plot(bars.chance[inside], place[inside], "|", color=BLACK, markersize=17, markeredgewidth=1.8)
    ax.plot(np.full((~inside).sum(), limit), place[~inside], ">", color=BLACK, markersize=6, clip_on=False)
    ax.set_yticks(place, bars.names, fontsize=8.5)
    ax.set_ylim(len(bars.names) - 0.4, -0.6)
    ax.set_xlim(0, limit)
    ax.grid(False, axis="y")
    ax.legend(
        handles=[
            Patch(color=BLUE, label="beyond chance"),
            Patch(color="#c4c4c4", label="not beyond chance"),
            Line2D([], [], color=BLACK, marker="|", linestyle="", markersize=12, markeredgewidth=1.8,
                   label="95 of 100 shuffled searches stay below (arrow: outside)"),
        ],
        frameon=False, fontsize=8, ncols=3, loc="upper right", bbox_to_anchor=(1, -0.12),
    )  # fmt: skip
    return ax
