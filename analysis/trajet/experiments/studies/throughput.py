"""How much more two workers get done than one: the same trainings by one and by several, by turns.

Trainings an hour differ from machine to machine and from minute to minute, so only ratios of neighbours are quoted.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState
from thinc.api import Config

from trajet.experiments.key import trial_key
from trajet.experiments.studies.storage import open_storage
from trajet.experiments.studies.study import Planned, create_study
from trajet.experiments.studies.worker import start_workers, stop_workers


@dataclass(frozen=True)
class Leg:
    """Trainings done by some workers, from the first one's begin to the last one's end; without starting processes."""

    workers: int
    trainings: int
    seconds: float

    @property
    def per_hour(self) -> float:
        """Trainings an hour."""
        return self.trainings / self.seconds * 3600


@dataclass(frozen=True)
class Pair:
    """Two legs one after the other."""

    one: Leg
    several: Leg

    @property
    def ratio(self) -> float:
        """Throughput of several workers / of one."""
        return self.several.per_hour / self.one.per_hour


def compare_workers(
    config: Callable[[int], Config],
    updates: int,
    command: Callable[[str, Path], Sequence[str]],
    workers: int = 2,
    each: int = 3,
    pairs: int = 3,
) -> list[Pair]:
    """Let one worker and several do trainings of the same size, each worker `each` of them.

    Args:
        config: the config of a seed.
        updates: its budget.
        command: of a worker, from the study's name and the folder for its trainings.
        workers: how many are compared with one.
        each: trainings a worker.
        pairs: how often; which of the two begins changes.
    Raises:
        RuntimeError: a training failed.
    """
    found = []
    for number in range(pairs):
        order = (1, workers) if number % 2 == 0 else (workers, 1)
        legs = {count: _leg(config, updates, command, count, each * count) for count in order}
        found.append(Pair(legs[1], legs[workers]))
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _leg(
    config: Callable[[int], Config],
    updates: int,
    command: Callable[[str, Path], Sequence[str]],
    workers: int,
    trainings: int,
) -> Leg:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/studies.db"
        study = create_study(open_storage(url), "throughput", updates)
        configs = [config(seed) for seed in range(trainings)]
        study.enqueue(Planned("base", seed, trial_key(each), each.to_str()) for seed, each in enumerate(configs))
        processes = start_workers(command(study.name, Path(folder)), workers, Path(folder) / "logs", url)
        try:
            for worker in processes:
                worker.process.wait()
            logs = "\n".join(worker.log.read_text(encoding="utf8") for worker in processes)
        finally:
            stop_workers(processes)
        done = study.trials(TrialState.COMPLETE)
        if len(done) != trainings:
            raise RuntimeError(f"{trainings - len(done)} of {trainings} trainings failed:\n{logs}")
        began = min(trial.datetime_start for trial in done)
        ended = max(trial.datetime_complete for trial in done)
        return Leg(workers, trainings, (ended - began).total_seconds())
