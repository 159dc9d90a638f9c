"""The list of the pictures of why, and drawing them all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trajet.plots.adam import bias_correction, clip, decay, momentum_filter, rare_gradient, ravine, schedules


@dataclass(frozen=True)
class Picture:
    """One picture: its file's stem, its numbers, its drawing."""

    name: str
    data: Callable[..., Any]
    draw: Callable[..., Any]


PICTURES = (
    Picture("ravine", ravine.data, ravine.draw),
    Picture("momentum-filter", momentum_filter.data, momentum_filter.draw),
    Picture("rare-gradient", rare_gradient.data, rare_gradient.draw),
    Picture("bias-correction", bias_correction.data, bias_correction.draw),
    Picture("clip", clip.data, clip.draw),
    Picture("decay", decay.data, decay.draw),
    Picture("schedules", schedules.data, schedules.draw),
)


def figures() -> Iterator[tuple[str, Figure]]:
    """(stem, figure) of every picture, with its default settings."""
    for picture in PICTURES:
        drawn = picture.draw(picture.data())
        yield picture.name, drawn.figure if isinstance(drawn, Axes) else drawn
