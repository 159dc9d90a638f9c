"""Four methods in a ravine: a loss that is steep in one direction and flat in the other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from trajet.adam import Step, adam, momentum, rms_scaling, sgd
from trajet.plots.adam.replay import replay
from trajet.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, dress, figure_of

METHODS: dict[str, Callable[..., Step]] = {
    "SGD": sgd,
    "momentum": momentum,
    "RMS scaling": rms_scaling,
    "Adam": adam,
}
_COLOURS = {"SGD": VERMILION, "momentum": ORANGE, "RMS scaling": GREEN, "Adam": BLUE}
# Twenty rates a decade, as the legend prints them.
RATES = tuple(float(f"{rate:.2g}") for rate in np.geomspace(1e-3, 10, 81))


class Descent(NamedTuple):
    method: str
    rate: float
    weights: np.ndarray  # shape (steps + 1, 2)
    loss: np.ndarray  # shape (steps + 1,)
    crossings: int  # how often it jumped over the floor of the ravine


class Ravine(NamedTuple):
    curvature: tuple[float, float]
    turn: float  # degrees
    tried: int  # rates tried for each method
    along: tuple[Descent, ...]  # the ravine lies along a weight's axis
    turned: tuple[Descent, ...]  # the same ravine, turned


def hessian(curvature: tuple[float, float], turn: float) -> np.ndarray:
    """The matrix H of f(w) = w' H w / 2: diag(k1, k2), turned by `turn` degrees.

    Returns:
        shape (2, 2), loss per squared unit of weight.
    """
    axes = _rotation(turn)
    return axes @ np.diag(curvature) @ axes.T


def data(
    curvature: tuple[float, float] = (1.0, 100.0),
    start: tuple[float, float] = (-10.0, 1.0),
    steps: int = 100,
    rates: Sequence[float] = RATES,
    turn: float = 45.0,
) -> Ravine:
    """Each method from the same start at its own best rate, in the ravine as it lies and turned.

        f = (k1 x^2 + k2 y^2) / 2

    The best rate is the one of `rates` whose largest loss in the last tenth of the steps is smallest: a path that
    happens to cross the minimum at the very end gains nothing. Momentum is Polyak's, dampening 0. Turned, the start
    is turned with the ravine; it has the same loss, but the axes of the two weights no longer follow floor and walls.
    Dividing by sqrt(v_hat) alone lengthens the steps while v_hat forgets the steep start, until they are too long and
    the loss climbs back; in that stretch rounding is amplified too (turned by 45 degrees: to 1e-3 of a weight).

    Args:
        curvature: k1 along the floor, k2 across it.
        start: x along the floor, y across it.
        rates: tried for every method.
        turn: degrees.
    Raises:
        ValueError: a method diverges at every rate.
    Source: Polyak 1964; Kingma & Ba 2015; momentum and RMS scaling as in `trajet.adam`.
    """
    both = []
    for angle in (0.0, turn):
        matrix, axes = hessian(curvature, angle), _rotation(angle)
        both.append(tuple(_best(name, matrix, axes, axes @ np.array(start), steps, rates) for name in METHODS))
    return Ravine(curvature, turn, len(rates), *both)


def draw(ravine: Ravine, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
    """The four paths over contour lines; the losses beside them, for the ravine as it lies and turned."""
    figure = figure_of(figure, (14.5, 7.6))
    axes = figure.subplots(2, 3, width_ratios=(1, 1, 1.25))
    reach = np.abs([path.weights for path in ravine.along]).max(axis=(0, 1))
    for ax, path in zip(axes[:, :2].flat, ravine.along, strict=True):
        _draw_path(ax, path, ravine.curvature, reach)
    for ax, paths, where in (
        (axes[0, 2], ravine.along, "In this ravine"),
        (axes[1, 2], ravine.turned, f"The same ravine turned by {ravine.turn:g}°"),
    ):
        for path in paths:
            ax.plot(path.loss, color=_COLOURS[path.method], linewidth=1.6, label=f"{path.method}, rate {path.rate:g}")
            _mark_climb(ax, path.loss)
        ax.set_yscale("log")
        ax.legend(frameon=False, fontsize=9, loc="lower left")
        lowest = min(paths, key=lambda path: path.loss[-1]).method
        dress(ax, f"{where}: {lowest} ends lowest", "loss (log scale)")
    steep = ravine.curvature[1] / ravine.curvature[0]
    figure.suptitle(
        f"A ravine, {steep:g} times as steep across as along: each method at its own best of {ravine.tried} rates"
    )
    return figure


def _draw_path(ax: Axes, path: Descent, curvature: tuple[float, float], reach: np.ndarray) -> None:
    # Twice as much of the walls as any path needs, or the ravine would look round.
    x, y = np.linspace(-1.1, 0.5, 161) * reach[0], np.linspace(-2, 2, 121) * reach[1]
    loss = (curvature[0] * x[None, :] ** 2 + curvature[1] * y[:, None] ** 2) / 2
    ax.contour(x, y, loss, levels=path.loss[0] * np.geomspace(1e-3, 4, 10), colors=GREY, linewidths=0.6, alpha=0.7)
    ax.plot(*path.weights.T, color=_COLOURS[path.method], linewidth=1.1, marker="o", markersize=2.6)
    ax.plot(*path.weights[0], "s", color=BLACK, markersize=6, label="start")
    ax.plot(0, 0, "*", color=BLACK, markersize=11, label="minimum")
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    dress(
        ax,
        f"{path.method}, rate {path.rate:g}: over the floor {path.crossings} times",
        "weight y (steep)",
        "weight x (flat)",
    )


def _mark_climb(ax: Axes, loss: np.ndarray) -> None:
    # Where a loss that had fallen to a tenth is back at half of the start or more.
    fallen = np.minimum.accumulate(loss) < loss[0] / 10
    if (back := np.where(fallen, loss, 0)).max() < loss[0] / 2:
        return
    peak = int(back.argmax())
    ax.annotate(
        f"back up at {loss[peak]:.0f}", (peak, loss[peak]), xytext=(-7, 0), textcoords="offset points",
        ha="right", va="center", fontsize=9,
    )  # fmt: skip


def _rotation(turn: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return np.array([[cos, -sin], [sin, cos]])


def _best(
    method: str, matrix: np.ndarray, axes: np.ndarray, start: np.ndarray, steps: int, rates: Sequence[float]
) -> Descent:
    # All rates at once, a column each.
    tried = np.array(rates, dtype=float)
    columns = np.repeat(start[:, None], len(tried), axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        path = replay(METHODS[method], columns, lambda t, w: matrix @ w, [tried] * steps)
        weights = np.array([columns, *(step.w_after for step in path)])
        loss = np.einsum("tin,ij,tjn->tn", weights, matrix, weights) / 2
    end = np.where(np.isfinite(loss).all(axis=0), loss[-max(1, steps // 10) :].max(axis=0), np.inf)
    best = int(end.argmin())
    if not np.isfinite(end[best]):
        raise ValueError(f"{method}: diverged at every one of {len(tried)} rates; try smaller ones")
    sides = np.sign(weights[:, :, best] @ axes[:, 1])
    crossings = int((sides[1:] * sides[:-1] < 0).sum())
    return Descent(method, float(tried[best]), weights[:, :, best], loss[:, best], crossings)
