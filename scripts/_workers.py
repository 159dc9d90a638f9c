"""What `ablate` and `worker` share: starting worker processes, showing how far they are, saying what is left."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Container, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scripts._cli import console
from trajet.experiments.studies.study import Counts, RunStudy
from trajet.experiments.studies.worker import Process, heed_signals, start_workers, stop_workers

STORAGE_HELP = "Where the study is: sqlite:///FILE, or postgresql://USER@HOST/DATABASE. Also from TRAJET_STORAGE."
FOLDER_HELP = "Where trainings keep traces, configs and logs.  [default: training/STUDY]"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_LAST = 6


def worker_command(study: str, folder: Path) -> list[str]:
    """How a worker process is started; it finds the storage in its environment."""
    return [sys.executable, "-m", "scripts.worker", "--study", study, "--folder", str(folder)]


def run_workers(study: RunStudy, url: str, count: int, folder: Path) -> bool:
    """Start workers of a study and show what they do until they leave.

    Returns:
        False if stopped by Ctrl-C (or SIGTERM); the trials in hand are back in the queue then.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    heed_signals(interrupt)
    before = {trial.number for trial in study.trials(*_ENDED)}
    workers: list[Process] = []
    try:
        for _ in range(count):
            workers += start_workers(worker_command(study.name, folder), 1, folder / "logs", url)
        _watch(study, workers, before)
    except KeyboardInterrupt:
        print("stopping: the workers put their trials back into the queue (Ctrl-C again: kill them)", flush=True)
        _stop_or_kill(workers)
        return False
    finally:
        stop_workers(workers)
    for worker in workers:
        if worker.process.returncode:
            print(f"a worker ended with {_code(worker.process.returncode)}, see {worker.log}:")
            for line in worker.log.read_text(encoding="utf8", errors="replace").splitlines()[-3:]:
                print(f"  {line}")
    return True


def what_is_left(study: RunStudy, keys: Container[str] | None = None) -> int:
    """Print which trainings failed and why; how many are not complete (of those with one of `keys`)."""
    for trial in study.failures():
        if keys is None or trial.user_attrs.get("key") in keys:
            reason = trial.user_attrs.get("reason", "its worker died")
            print(f"failed: {_what(trial)}: {reason} (trial {trial.number})")
    print(f"study {study.name}: {_told(study.counts())}")
    return study.unfinished(keys)


def _watch(study: RunStudy, workers: Sequence[Process], before: set[int]) -> None:
    recent: deque[str] = deque(maxlen=_LAST)
    live = Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None
    with live or nullcontext():
        alive = True
        while alive:
            # Asked first: what ends between the two is shown the next time round.
            alive = any(worker.process.poll() is None for worker in workers)
            ended = [trial for trial in study.trials(*_ENDED) if trial.number not in before]
            before |= {trial.number for trial in ended}
            for trial in sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number)):
                recent.append(_line(trial))
                if live is None:
                    print(f"{_told(study.counts())}: {_line(trial)}", flush=True)
            if live is not None:
                live.update(_display(study, recent))
            time.sleep(2.0 if alive else 0)
    if live is not None and recent:
        print(*recent, sep="\n")


def _display(study: RunStudy, recent: Iterable[str]) -> Group:
    counts = study.counts()
    table = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(1, sum(counts)), completed=counts.complete + counts.failed, width=40)
    table.add_row(f"study {study.name}", bar, _told(counts))
    return Group(table, *(Text(line) for line in recent), Text("Ctrl-C stops; the same command goes on", "dim"))


def _told(counts: Counts) -> str:
    failed = f", {counts.failed} failed" if counts.failed else ""
    return f"{counts.complete}/{sum(counts)} done, {counts.running} running, {counts.waiting} waiting{failed}"


def _line(trial: FrozenTrial) -> str:
    what = _what(trial)
    if trial.state == TrialState.COMPLETE:
        return f"{what}: F {trial.value:.4f}"
    if trial.state == TrialState.PRUNED:
        return f"{what}: pruned"
    return f"{what}: {trial.user_attrs.get('reason', 'its worker died')}"


def _what(trial: FrozenTrial) -> str:
    attributes = trial.user_attrs
    return f"{attributes['variant']} seed {attributes['seed']}" if "variant" in attributes else f"trial {trial.number}"


def _code(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _stop_or_kill(workers: Sequence[Process]) -> None:
    try:
        stop_workers(workers)
    except KeyboardInterrupt:
        for worker in workers:
            if worker.process.poll() is None:
                os.kill(worker.process.pid, signal.SIGKILL)
