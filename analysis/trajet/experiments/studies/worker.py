"""A worker takes trials of a study one after another, trains them and stores what came out.

It leaves when nothing waits and nothing runs: while others still run it stays, because the trial of a worker that dies
has to be done by somebody.
"""

import math
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial
from thinc.api import Config

from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.result import Result
from trajet.experiments.run import run_config
from trajet.experiments.studies.storage import Storage
from trajet.experiments.studies.study import RunStudy
from trajet.experiments.studies.threads import ONE_THREAD

# A worker whose every training fails has something wrong with itself, and must not empty the queue.
MAX_FAILURES_IN_A_ROW = 5


class Job(Protocol):
    """What a worker does with a trial of some kind of study."""

    def train(self, trial: optuna.Trial) -> Result:
        """One trial to its result; raises TrialPruned to give it up, anything else is a failure with a reason."""
        ...

    def keep(self, trial: optuna.Trial) -> None:
        """The result was stored: what the training left is wanted."""
        ...

    def discard(self, trial: optuna.Trial) -> None:
        """The result is not wanted: another worker has the trial."""
        ...


class Done(NamedTuple):
    """A trial that ended: its number, its outcome, and what to say of it."""

    number: int
    outcome: str
    text: str


class Stop:
    """Asked to leave by a signal: the training is given up at once, what is being stored is stored first."""

    def __init__(self) -> None:
        self.requested = False
        self._training = False

    def listen(self) -> "Stop":
        """Heed Ctrl-C, a polite kill and a closed terminal; in the main thread only."""
        heed_signals(self._on_signal)
        return self

    def _on_signal(self, *_: object) -> None:
        self.requested = True
        if self._training:
            raise KeyboardInterrupt

    @contextmanager
    def training(self) -> Iterator[None]:
        """What may be interrupted anywhere."""
        self._training = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._training = False

    def sleep(self, seconds: float) -> None:
        """Wait, but not on after a signal."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))


def heed_signals(handler: Callable[..., object]) -> None:
    """Call `handler` on Ctrl-C, a polite kill and a closed terminal, unless they are ignored (as under nohup)."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def run_worker(
    study: RunStudy,
    job: Job,
    can_run: Callable[[FrozenTrial], bool],
    stop: Stop | None = None,
    said: Callable[[Done], object] = lambda done: None,
) -> int:
    """Run trials until none waits that `can_run` and none runs anywhere, or until asked to stop.

    Args:
        study: whose trials.
        job: what is done with a trial.
        can_run: whether this machine has what a trial needs.
        stop: asked before each trial and while waiting.
        said: told of each trial that ended here.
    Returns:
        How many trials were completed.
    Raises:
        UserError: MAX_FAILURES_IN_A_ROW trials failed here with none completed between them.
    """
    stop = stop or Stop()
    # What the study's rows call this worker; a host runs many, and process numbers come back.
    name = f"{socket.gethostname()}-{os.getpid()}-{int(time.time())}"
    completed = failures = 0
    pause = min(5.0, study.storage.heartbeat.interval / 2)
    while not stop.requested:
        study.fail_stale()
        trial = study.take(can_run)
        if trial is not None:
            done = _run_trial(study, trial, job, name, stop)
            completed += done.outcome == "complete"
            said(done)
            failures = failures + 1 if done.outcome == "failed" else 0
            if failures == MAX_FAILURES_IN_A_ROW:
                raise UserError(
                    f"study {study.name}: {failures} trainings failed here one after another, the last with "
                    f"{done.text}; this worker leaves the others alone: mend the cause, then start it again"
                )
        elif study.is_idle(can_run):
            lost = {trial.number for trial in study.lost()}
            if not lost:
                break
            # Another worker may be about to queue them.
            stop.sleep(pause)
            study.requeue(trial for trial in study.lost() if trial.number in lost)
        else:
            stop.sleep(pause)
    return completed


def _run_trial(study: RunStudy, trial: optuna.Trial, job: Job, name: str, stop: Stop) -> Done:
    what = " ".join(str(trial.user_attrs[key]) for key in ("variant", "seed") if key in trial.user_attrs)
    with _beating(study.storage, trial._trial_id):
        try:
            with stop.training():
                trial.set_user_attr("worker", name)
                result = job.train(trial)
        except KeyboardInterrupt:
            if not stop.requested:
                raise
            study.hand_back(trial)
            return Done(trial.number, "stopped", f"{what}: back in the queue")
        except optuna.TrialPruned:
            study.pruned(trial)
            return Done(trial.number, "pruned", f"{what}: pruned")
        except UpdateFinishedTrialError:
            return _given_away(trial, job, what)
        except StorageInternalError:
            # Nobody can be told; the trial will be found without a heartbeat.
            raise
        # SystemExit: how a registered callback leaves spaCy with a user's mistake.
        except (Exception, SystemExit) as error:
            reason = _reason(error)
            study.failed(trial, reason, "".join(traceback.format_exception(error))[-4000:])
            return Done(trial.number, "failed", f"{what}: {reason}")
        score = result.final_f if math.isfinite(result.final_f) else 0.0
        if not study.complete(trial, score, result.to_dict(), name):
            return _given_away(trial, job, what)
    job.keep(trial)
    return Done(trial.number, "complete", f"{what}: F {score:.4f}")


def _reason(error: BaseException) -> str:
    """One line; without a message of its own an error says where it was raised."""
    cause = error.__cause__ if isinstance(error, SystemExit) and error.__cause__ else error
    text = " ".join(str(cause).split())[:500]
    if isinstance(cause, UserError):
        return text
    place = traceback.extract_tb(cause.__traceback__)[-1]
    return f"{type(cause).__name__}: {text or f'in {place.name} ({Path(place.filename).name}:{place.lineno})'}"


def _given_away(trial: optuna.Trial, job: Job, what: str) -> Done:
    job.discard(trial)
    return Done(trial.number, "given away", f"{what}: given to another worker meanwhile")


@contextmanager
def _beating(storage: Storage, trial_id: int) -> Iterator[None]:
    """Mark a trial as alive while the block runs, storing its result included."""
    over = threading.Event()

    def beat() -> None:
        while not over.is_set():
            storage.record_heartbeat(trial_id)
            over.wait(storage.heartbeat.interval)
        storage.remove_session()

    thread = threading.Thread(target=beat, name=f"heartbeat-{trial_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=storage.heartbeat.interval)


# -- planned trainings -----------------------------------------------------------------------------


class Ablation:
    """Trains the trials of an ablation study in folders of `folder`.

    A training works in unfinished/VARIANT-seedN-trialM, because a late worker and its successor may be on one machine,
    and is moved to VARIANT-seedN once its result is stored.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def train(self, trial: optuna.Trial) -> Result:
        """Train with the config that was queued.

        Raises:
            UserError: the trial has no fixed parameters. An ablation runs what was queued; Optuna makes up new points
                when the queue is empty.
        """
        fixed = trial.storage.get_trial_system_attrs(trial._trial_id).get("fixed_params", {})
        config = trial.user_attrs.get("config")
        if not {"variant", "seed"} <= fixed.keys() or config is None:
            raise UserError(
                f"trial {trial.number} has no fixed variant and seed; an ablation study runs what `ablate` queued"
            )
        self.discard(trial)
        return run_config(
            Config().from_str(config),
            name=fixed["variant"],
            seed=fixed["seed"],
            folder=self._working(trial),
            report=report_to(trial),
        )

    def keep(self, trial: optuna.Trial) -> None:
        """Move the training's folder to where a reader looks for it."""
        final = self.folder / f"{trial.user_attrs['variant']}-seed{trial.user_attrs['seed']}"
        shutil.rmtree(final, ignore_errors=True)
        self._working(trial).rename(final)

    def discard(self, trial: optuna.Trial) -> None:
        """Remove the training's folder."""
        shutil.rmtree(self._working(trial), ignore_errors=True)

    def _working(self, trial: optuna.Trial) -> Path:
        variant, seed = trial.user_attrs["variant"], trial.user_attrs["seed"]
        return self.folder / "unfinished" / f"{variant}-seed{seed}-trial{trial.number}"


def report_to(trial: optuna.Trial, prune: bool = False, score: str = "ents_f") -> Callable[[Mapping[str, Any]], None]:
    """A hook for `run_config`: each evaluation goes into the study, and may end the trial.

    Args:
        trial: whose curve it is.
        prune: ask the study's pruner after each evaluation and give the trial up if it says so (for searches).
        score: of an evaluation.
    Returns:
        A function of an evaluation; raises TrialPruned, or UpdateFinishedTrialError once the trial was given away.
    """

    def report(evaluation: Mapping[str, Any]) -> None:
        value = evaluation.get(score)
        if value is not None:
            trial.report(float(value), int(evaluation["step"]))
        if prune and trial.should_prune():
            raise optuna.TrialPruned

    return report


class SameKey:
    """Whether a trial would be the same training here: config, corpus and package versions give its key again."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}
        self.refused: set[int] = set()

    def __call__(self, trial: FrozenTrial) -> bool:
        key, config = trial.user_attrs.get("key"), trial.user_attrs.get("config")
        if key is None or config is None:
            return True  # taken, and failed with a reason
        if key not in self._known:
            self._known[key] = trial_key(Config().from_str(config)) == key
        if not self._known[key]:
            self.refused.add(trial.number)
        return self._known[key]


# -- processes -------------------------------------------------------------------------------------


class Process(NamedTuple):
    """A worker process and the file with what it says."""

    process: subprocess.Popen
    log: Path


def start_workers(command: Sequence[str], count: int, logs: Path, url: str) -> list[Process]:
    """Start `count` processes of `command`, each with one BLAS thread; the storage's URL is in their environment.

    Args:
        command: a worker's; it finds the URL in TRAJET_STORAGE, where a password is not shown to everybody.
        count: processes.
        logs: folder for what they print.
        url: of the storage.
    """
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **ONE_THREAD, "TRAJET_STORAGE": url}
    started = []
    for _ in range(count):
        handle, path = _new_log(logs)
        with handle:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                env=environment,
                # A terminal's Ctrl-C goes to the parent alone, which tells the workers once.
                start_new_session=True,
            )
        started.append(Process(process, path))
    return started


def stop_workers(workers: Sequence[Process]) -> None:
    """Ask all to leave and wait until they have; each puts its trial back into the queue."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.terminate()
    for worker in workers:
        worker.process.wait()


def _new_log(folder: Path) -> tuple[Any, Path]:
    number = 1
    while True:
        path = folder / f"worker-{socket.gethostname()}-{number}.log"
        try:
            return path.open("x", encoding="utf8"), path
        except FileExistsError:
            number += 1
