"""The finished trials of a study as a small file that can be committed; `exported` reads it.

JSON Lines: a first line {"kind": "study", ...} with what all trials share, then a line a training, by variant and seed.
The same study gives the same bytes: no times, no host names, no trial numbers, four digits.
"""

import json
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from trajet.errors import UserError
from trajet.experiments.result import Result
from trajet.experiments.studies.study import RunStudy
from trajet.files import write_text

_DIGITS = 4


def write_export(study: RunStudy, path: Path) -> int:
    """Write the finished trainings of a study; of a variant and seed trained under several keys, the latest planned.

    Args:
        study: any.
        path: of the file, compressed if it ends in .gz; its folder is made.
    Returns:
        How many trainings were written; without any there is no file.
    Raises:
        UserError: two of them were scored on different dev splits.
    """
    trials = _latest(study.trials(TrialState.COMPLETE))
    results = [Result.from_dict(trial.user_attrs["result"], f"trial {trial.number}") for trial in trials]
    if not results:
        return 0
    frames = results[0].frames
    for result in results:
        if result.frames != frames:
            raise UserError(
                f"study {study.name}: {result.name} seed {result.seed} was scored on another dev split than "
                f"{results[0].name} seed {results[0].seed}; begin another study"
            )
    names = {result.name for result in results}
    about = {name: text for name, text in study.optuna.user_attrs.get("variants", {}).items() if name in names}
    header = {
        "kind": "study",
        "study": study.name,
        "budget": study.optuna.user_attrs.get("updates"),
        "variants": about,
        "frames": frames,
    }
    lines = [
        json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        for row in (header, *map(_row, results))
    ]
    write_text(path, "\n".join(lines) + "\n")
    return len(results)


def _latest(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    latest = {(trial.user_attrs["variant"], trial.user_attrs["seed"]): trial for trial in trials}
    return [latest[cell] for cell in sorted(latest)]


def _row(result: Result) -> dict[str, Any]:
    values = result.to_dict()
    # In the first line for all.
    del values["frames"]
    # Times differ from run to run; the key stays, because a Result has it.
    values["cpu_seconds"] = None
    values["evaluations"] = [
        {name: value for name, value in entry.items() if not name.startswith("seconds")} for entry in result.evaluations
    ]
    return _rounded(values)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        # A diverged run's numbers; JSON has no word for them.
        return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
