"""A study of trainings that are known beforehand: what waits, who runs it, what came out.

Each trial is one training: a variant and a seed, queued as Optuna's fixed parameters. Trials of the same key (see
trajet.experiments.key.trial_key) are the same training, and of those one is completed, whatever happens to workers and
to the storage meanwhile:
- of several live trials of a key only the one with the lowest number is run, the others are dropped when taken;
- a trial that was given away while its worker seemed dead can no longer be completed by that worker.
"""

import copy
import warnings
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from trajet.errors import UserError
from trajet.experiments.studies.storage import MAX_RETRIES, Heartbeat, RetryDeadWorkersTrial, Storage, shown

# How often a training that raises an error is queued; each call of `enqueue` queues it once.
MAX_ERRORS = 3

# Why a failed trial failed, as its user attribute "outcome". A dead worker's trial has none.
RAISED, STOPPED, DUPLICATE, REPLACED = "raised", "stopped", "duplicate", "replaced"

_LIVE = (TrialState.WAITING, TrialState.RUNNING)
# A search gives trainings up early; they are as finished as others.
_DONE = {TrialState.COMPLETE, TrialState.PRUNED}


@dataclass(frozen=True)
class Planned:
    """A training to be done."""

    variant: str
    seed: int
    key: str
    config: str


@dataclass
class Enqueued:
    """What `enqueue` found and did; `given_up` failed MAX_ERRORS times, `outdated` are complete under another key."""

    added: int = 0
    waiting: int = 0
    running: int = 0
    complete: int = 0
    outdated: int = 0
    given_up: list[Planned] = field(default_factory=list)


class Counts(NamedTuple):
    """Trainings (not trials) of a study by their state; `failed` are neither complete nor live."""

    complete: int
    running: int
    waiting: int
    failed: int


class RunStudy:
    """The queue of one study."""

    def __init__(self, study: optuna.Study, storage: Storage):
        self.optuna = study
        self.storage = storage

    @property
    def name(self) -> str:
        """The study's name."""
        return self.optuna.study_name

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in the order of their numbers, of all states if none is given."""
        return self.optuna.get_trials(deepcopy=False, states=states or None)

    def enqueue(self, plan: Iterable[Planned], replace: bool = False, retry_failed: bool = False) -> Enqueued:
        """Queue what neither waits, runs nor is complete.

        Args:
            plan: trainings.
            replace: take trials out of the queue that wait for the same variant and seed under another key.
            retry_failed: also those that raised an error MAX_ERRORS times.
        Raises:
            UserError: there are trials to be replaced and `replace` is false.
        """
        done = Enqueued()
        trials = self.trials()
        by_key: dict[str, list[FrozenTrial]] = {}
        by_cell: dict[tuple[str, int], list[FrozenTrial]] = {}
        for trial in trials:
            by_key.setdefault(trial.user_attrs.get("key"), []).append(trial)
            by_cell.setdefault((trial.user_attrs.get("variant"), trial.user_attrs.get("seed")), []).append(trial)
        plan = list(plan)
        others = {
            planned: [t for t in by_cell.get((planned.variant, planned.seed), ()) if t.user_attrs["key"] != planned.key]
            for planned in plan
        }
        obsolete = [t for found in others.values() for t in found if t.state == TrialState.WAITING]
        if obsolete and not replace:
            raise UserError(
                f"study {self.name}: {len(obsolete)} trials wait that were planned with another config, corpus or package "
                "versions; let their machine finish them, or take them out of the queue with --replace"
            )
        for trial in obsolete:
            self._retire(trial, REPLACED, "replaced by a plan with another key")
        for planned in plan:
            same = by_key.get(planned.key, [])
            states = {trial.state for trial in same}
            if states & _DONE:
                done.complete += 1
            elif TrialState.RUNNING in states:
                done.running += 1
            elif TrialState.WAITING in states:
                done.waiting += 1
            elif self._errors(same) >= MAX_ERRORS and not retry_failed:
                done.given_up.append(planned)
            else:
                done.outdated += any(t.state == TrialState.COMPLETE for t in others[planned])
                self._add(planned, same)
                done.added += 1
        return done

    def _add(self, planned: Planned, same: list[FrozenTrial]) -> None:
        last = _last_failed(same)
        if last is not None and last.user_attrs.get("outcome") in (None, STOPPED):
            # Linked to the trial that a worker took with it.
            self.requeue([last])
            return
        self.optuna.enqueue_trial(
            {"variant": planned.variant, "seed": planned.seed},
            user_attrs={
                "variant": planned.variant,
                "seed": planned.seed,
                "key": planned.key,
                "config": planned.config,
            },
        )

    def describe(self, variants: dict[str, dict[str, str]]) -> None:
        """Keep what a reader of the results wants to know of the variants: {name: {"group": ..., "question": ...}}."""
        self.optuna.set_user_attr("variants", {**self.optuna.user_attrs.get("variants", {}), **variants})

    def take(self, can_run: Callable[[FrozenTrial], bool] = lambda trial: True) -> optuna.Trial | None:
        """The first waiting trial that `can_run`, now running in our name; None if there is none.

        Optuna's `ask` would make up a new trial when none waits.
        """
        for waiting in self.trials(TrialState.WAITING):
            if not can_run(waiting) or not self._claim(waiting):
                continue
            twin = self._twin(waiting)
            if twin is None:
                return optuna.Trial(self.optuna, waiting._trial_id)
            self._fail(waiting._trial_id, DUPLICATE, f"the same training as trial {twin.number}")
        return None

    def is_idle(self, can_run: Callable[[FrozenTrial], bool] = lambda trial: True) -> bool:
        """Whether nothing runs anywhere and nothing waits that `can_run`."""
        return not any(trial.state == TrialState.RUNNING or can_run(trial) for trial in self.trials(*_LIVE))

    def complete(self, trial: optuna.Trial, value: float, result: dict[str, Any], worker: str) -> bool:
        """Store a result; False if the trial was given away meanwhile, and its result is not wanted any more."""
        try:
            trial.set_user_attr("result", result)
            self._tell(trial, TrialState.COMPLETE, value)
        except UpdateFinishedTrialError:
            # Either it was given away, or the storage went down after storing it and before saying so.
            stored = self.storage.get_trial(trial._trial_id)
            return stored.state == TrialState.COMPLETE and stored.user_attrs.get("worker") == worker
        return True

    def pruned(self, trial: optuna.Trial) -> None:
        """End a trial that a search has given up; nothing if it was given away meanwhile."""
        try:
            self._tell(trial, TrialState.PRUNED, None)
        except UpdateFinishedTrialError:
            return

    def failed(self, trial: optuna.Trial, reason: str, traceback: str = "") -> None:
        """End a trial whose training raised an error; nothing if it was given away meanwhile."""
        if traceback:
            self._note(trial._trial_id, "traceback", traceback)
        self._fail(trial._trial_id, RAISED, reason)

    def hand_back(self, trial: optuna.Trial) -> None:
        """Put a trial that its worker was told to leave back into the queue."""
        if self._fail(trial._trial_id, STOPPED, "its worker was stopped"):
            self.requeue([self.storage.get_trial(trial._trial_id)])

    def fail_stale(self) -> None:
        """Fail the trials of dead workers and queue copies of them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(self.optuna)

    def lost(self) -> list[FrozenTrial]:
        """Trials whose worker died or stopped and whose copy was lost with whoever was to queue it."""
        found = []
        for same in self._by_training().values():
            last = _last_failed(same)
            over = last is None or any(trial.state != TrialState.FAIL for trial in same)
            if not over and last.user_attrs.get("outcome") in (None, STOPPED):
                retries = len(last.system_attrs.get("retry_history", []))
                if retries < MAX_RETRIES:
                    found.append(last)
        return found

    def requeue(self, trials: Iterable[FrozenTrial]) -> None:
        """Queue copies of trials, linked to them."""
        for trial in trials:
            RetryDeadWorkersTrial(None)(self.optuna, copy.deepcopy(trial))

    def counts(self) -> Counts:
        """Trainings by state."""
        counts = dict.fromkeys(Counts._fields, 0)
        for same in self._by_training().values():
            states = {trial.state for trial in same}
            if states & _DONE:
                counts["complete"] += 1
            elif TrialState.RUNNING in states:
                counts["running"] += 1
            elif TrialState.WAITING in states:
                counts["waiting"] += 1
            elif {t.user_attrs.get("outcome") for t in same} - {REPLACED}:
                counts["failed"] += 1
        return Counts(**counts)

    def unfinished(self, keys: Container[str] | None = None) -> int:
        """Trainings that are neither complete nor pruned, of those with one of `keys`."""
        return sum(
            (keys is None or key in keys) and not any(trial.state in _DONE for trial in same)
            for key, same in self._by_training().items()
            if {trial.user_attrs.get("outcome") for trial in same} != {REPLACED}
        )

    def failures(self) -> list[FrozenTrial]:
        """The last trial of each training that is neither complete nor live, but for the replaced ones."""
        found = []
        for same in self._by_training().values():
            last = _last_failed(same)
            if last is not None and all(t.state == TrialState.FAIL for t in same):
                found.append(last)
        return found

    def _by_training(self) -> dict[object, list[FrozenTrial]]:
        by_key: dict[object, list[FrozenTrial]] = {}
        for trial in self.trials():
            by_key.setdefault(trial.user_attrs.get("key", trial.number), []).append(trial)
        return by_key

    def _claim(self, trial: FrozenTrial) -> bool:
        try:
            return self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _twin(self, trial: FrozenTrial) -> FrozenTrial | None:
        """Another trial of the same training that goes before this one: complete, or live with a lower number."""
        key = trial.user_attrs.get("key")
        for other in self.trials(*_DONE, *_LIVE):
            if key is None or other.user_attrs.get("key") != key or other.number == trial.number:
                continue
            if other.state in _DONE or other.number < trial.number:
                return other
        return None

    def _retire(self, trial: FrozenTrial, outcome: str, reason: str) -> None:
        if self._claim(trial):
            self._fail(trial._trial_id, outcome, reason)

    def _fail(self, trial_id: int, outcome: str, reason: str) -> bool:
        """Whether the trial was still ours to fail."""
        if not (self._note(trial_id, "outcome", outcome) and self._note(trial_id, "reason", reason)):
            return False
        try:
            return self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return False

    def _note(self, trial_id: int, name: str, value: Any) -> bool:
        try:
            self.storage.set_trial_user_attr(trial_id, name, value)
        except UpdateFinishedTrialError:
            return False
        return True

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None) -> None:
        try:
            self.optuna.tell(trial, value, state)
        except ValueError:
            # Optuna's own look at the state came before the storage's: "Cannot tell a FAIL trial".
            if self.storage.get_trial(trial._trial_id).state.is_finished():
                raise UpdateFinishedTrialError from None
            raise

    @staticmethod
    def _errors(trials: list[FrozenTrial]) -> int:
        return sum(trial.user_attrs.get("outcome") == RAISED for trial in trials)


def create_study(storage: Storage, name: str, updates: int, heartbeat: Heartbeat | None = None) -> RunStudy:
    """The study of this name, made if there is none.

    Args:
        storage: where it is kept; takes over the study's heartbeat.
        name: of the study.
        updates: budget of each training; trainings of different budgets cannot be compared.
        heartbeat: of a new study's trials; the storage's if None.
    Raises:
        UserError: the study exists with another budget.
    """
    with _quiet():
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    known = study.user_attrs
    if "updates" not in known:
        study.set_user_attr("heartbeat", list(heartbeat or storage.heartbeat))
        study.set_user_attr("updates", updates)
        known = study.user_attrs
    if known["updates"] != updates:
        raise UserError(
            f"study {name} has a budget of {known['updates']} updates: ask for --updates {known['updates']}, "
            f"or begin another study (--study {name}-{updates})"
        )
    return _opened(study, storage)


def load_study(storage: Storage, name: str, url: str) -> RunStudy:
    """The study of this name.

    Args:
        storage: where it is kept; takes over the study's heartbeat.
        name: of the study.
        url: of the storage, for the message.
    Raises:
        UserError: there is none.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        names = ", ".join(sorted(each.study_name for each in storage.get_all_studies())) or "none yet"
        raise UserError(
            f"{shown(url)}: no study {name} (there are: {names}); `ablate --study {name}` makes one"
        ) from None
    return _opened(study, storage)


def _opened(study: optuna.Study, storage: Storage) -> RunStudy:
    if "heartbeat" in study.user_attrs:
        # All workers of a study must agree, or one would declare another's trial dead between two of its marks.
        storage.heartbeat = Heartbeat(*study.user_attrs["heartbeat"])
    return RunStudy(study, storage)


def _last_failed(trials: list[FrozenTrial]) -> FrozenTrial | None:
    failed = [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL and trial.user_attrs.get("outcome") not in (DUPLICATE, REPLACED)
    ]
    return failed[-1] if failed else None


class _quiet:
    """Optuna's information lines off for a while; they would get between the lines of a script."""

    def __enter__(self) -> None:
        self._before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def __exit__(self, *_: object) -> None:
        optuna.logging.set_verbosity(self._before)
