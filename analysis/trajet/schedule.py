"""The learning rates a config plans, step by step."""

from itertools import islice

import numpy as np
from thinc.api import registry

from trajet.errors import UserError


def planned_rates(block: object, count: int) -> np.ndarray:
    """The first `count` learning rates of a config's `learn_rate`: a number or a schedule block.

    Step s (from 0, as spaCy counts) is the rate of update s + 1.

    Returns:
        shape (count,), float64; nan where the config names no rate.
    Raises:
        UserError: the schedule is not registered or its settings do not fit.
    """
    if not isinstance(block, dict):
        return np.full(count, np.nan if block is None else float(block))  # type: ignore[arg-type]
    try:
        schedule = registry.resolve({"schedule": block})["schedule"]
    except Exception as error:  # confection raises several kinds
        reason = " ".join(str(error).split())
        raise UserError(f"[training.optimizer.learn_rate]: cannot make this schedule: {reason[:200]}") from None
    rates = np.fromiter(islice(schedule, count), dtype=float)
    # A schedule that ends leaves its last value in force.
    return np.pad(rates, (0, count - len(rates)), mode="edge") if len(rates) else np.full(count, np.nan)
