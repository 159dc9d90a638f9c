"""Updates of one tensor, one after another."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from trajet.adam import State, Step


def replay(
    update: Callable[..., Step],
    w: np.ndarray | float,
    gradient: Callable[[int, np.ndarray], np.ndarray | float],
    learn_rates: Iterable[float | np.ndarray],
) -> Iterator[Step]:
    """One step a learning rate, each from where the one before it ended.

    Args:
        update: `update(w, g, state, learn_rate)`, such as `trajet.adam.adam`.
        w: the weights before the first update, any shape.
        gradient: `gradient(t, w)`, of the shape of w; t from 1.
        learn_rates: of updates 1, 2, ...; their number is the number of updates. Each a number, or an array that
            broadcasts to the shape of w, for weights with rates of their own.
    """
    w, state = np.asarray(w, dtype=float), State.of(w)
    for t, learn_rate in enumerate(learn_rates, start=1):
        step = update(w, np.broadcast_to(gradient(t, w), w.shape), state, learn_rate)
        yield step
        w, state = step.w_after, step.state
