"""What one finished training left, as numbers that can be kept, compared and read again."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from trajet.errors import UserError
from trajet.files import read_text


@dataclass(frozen=True)
class Result:
    """One finished training.

    Attributes:
        name: of the variant.
        seed: of the training.
        key: trial_key of the config it was trained with.
        evaluations: one entry an evaluation: step, seconds_cpu (since the run began), ents_f, ents_p, ents_r,
            words_seen, train_loss, dev_loss (per token on the same documents each time, dropout off; None where not
            measured or not finite).
        final_f: F on the dev documents at the last evaluation.
        best_f, best_step: the best evaluation, the earliest of equals.
        diverged: a loss or a weight was not finite; the run was stopped there and evaluated once more.
        frames: ids of the dev documents' frames, in the order in which they come first.
        counts: [tp, fp, fn] for each of `frames` at the last evaluation.
        optimizer: medians over the recorded steps of the last quarter. clipped_share: tensors clipped of those
            updated; grad_norm_median: norm of all gradients before any clip; update_ratio_median: update / weight
            of the middle tensor; decay_to_gradient_median: decay part / gradient part of the middle tensor. None
            where the trace does not know the optimizer's formula.
        updates: made.
        cpu_seconds: of the process, from the first line of the config to the last evaluation.
        parameters: trained numbers.
        versions: of Python and the packages that matter.
    """

    name: str
    seed: int
    key: str
    evaluations: list[dict[str, Any]]
    final_f: float
    best_f: float
    best_step: int
    diverged: bool
    frames: list[str]
    counts: list[list[int]]
    optimizer: dict[str, float | None]
    updates: int
    cpu_seconds: float
    parameters: int
    versions: dict[str, str]

    @property
    def loss_gap(self) -> float | None:
        """dev_loss - train_loss at the last evaluation: how much better the model does on what it has seen."""
        last = self.evaluations[-1]
        return None if None in (last["dev_loss"], last["train_loss"]) else last["dev_loss"] - last["train_loss"]

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str = "result") -> "Result":
        """The inverse of `to_dict`; keys that this version does not know are left out.

        Raises:
            UserError: a key is missing; `where` says where.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise UserError(f"{where}: no {', '.join(missing)}; is this a result.json of this version?")
        return cls(**{name: values[name] for name in names})


def read_result(path: Path) -> Result:
    """A result.json.

    Raises:
        UserError: no such file, or not a result.
    """
    text = read_text(path, "run the variant first: python -m scripts.run_variant NAME")
    try:
        # srsly's reader is off in the last digit of some numbers.
        values = json.loads(text)
    except ValueError:
        raise UserError(f"{path}: not JSON; delete it and run the variant again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a result; delete it and run the variant again")
    return Result.from_dict(values, str(path))
