"""What a config's schedules plan, step by step."""

from itertools import islice

import numpy as np
from thinc.api import registry

from trajet.errors import UserError


def planned_values(block: object, section: str, count: int) -> np.ndarray:
    """The first `count` values of a setting: a number or a schedule block.

    Step s (from 0, as spaCy counts) is the value of update s + 1.

    Args:
        block: as the config has it.
        section: where it stands, for messages.

    Returns:
        shape (count,), float64; nan where the config names none.
    Raises:
        UserError: the schedule is not registered or its settings do not fit.
    """
    if not isinstance(block, dict):
        return np.full(count, np.nan if block is None else float(block))  # type: ignore[arg-type]
    try:
        schedule = registry.resolve({"schedule": block})["schedule"]
    # confection raises several kinds; a schedule of ours leaves with its message as the cause
    except (Exception, SystemExit) as error:
        error = error.__cause__ or error if isinstance(error, SystemExit) else error
        reason = " ".join(str(error).split())
        raise UserError(f"[{section}]: cannot make this schedule: {reason[:200]}") from None
    values = np.fromiter(islice(schedule, count), dtype=float)
    # A schedule that ends leaves its last value in force.
    return np.pad(values, (0, count - len(values)), mode="edge") if len(values) else np.full(count, np.nan)
