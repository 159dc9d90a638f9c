"""Where studies are kept: a SQLite file, or PostgreSQL for many machines, through Optuna's relational storage.

One kind of storage, so that heartbeats and retries work in both. What is added to Optuna's: it waits out an outage of
the server, transactions of a SQLite file exclude each other, and a trial counts as its worker's death only when this
process has seen its heartbeat missing for a while with the storage in reach.
"""

import functools
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import exc

from trajet.errors import UserError

DEFAULT_URL = "sqlite:///training/studies.db"
# Seconds for which a call is tried again when the storage is out of reach; a run's result waits as long.
PATIENCE = 1800.0
# How often a trial whose worker died is given to another one: a trial that kills its workers must not kill them all.
MAX_RETRIES = 5
# User attributes that say what a trial is; a retried copy keeps these and nothing of the run that died.
IDENTITY = ("variant", "seed", "key", "config")

_RETRY_SECONDS = 1.0
_LOCK_SECONDS = 60
_OPEN_ATTEMPTS = 5
# A dead network must end in an error within a minute, not in a heartbeat that hangs.
_POSTGRES_CONNECT = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

T = TypeVar("T")


class Heartbeat(NamedTuple):
    """A running trial is marked every `interval` seconds and given up after `grace` seconds without a mark."""

    interval: int = 20
    grace: int = 90


def open_storage(url: str = DEFAULT_URL, heartbeat: Heartbeat = Heartbeat(), patience: float = PATIENCE) -> "Storage":  # noqa: B008
    """The storage at `url`, its tables made where they are missing.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE` (psycopg 3 is used).
        heartbeat: of the trials run through this object; a study's own replaces it when the study is opened.
        patience: seconds for which calls are tried again in an outage, once the storage has been reached.
    Raises:
        UserError: not such a URL, psycopg is missing, or the storage cannot be reached.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _make_folder(Path(parsed.database or ""))
    # Optuna fills {SCHEMA_VERSION} into the URL, so braces of a password must be doubled.
    full = parsed.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for attempt in range(_OPEN_ATTEMPTS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return Storage(full, heartbeat, patience)
        except (exc.SQLAlchemyError, StorageInternalError) as error:
            # Two machines that open an empty database together both make its tables, and one of them fails.
            if _is_race(error) and attempt + 1 < _OPEN_ATTEMPTS:
                time.sleep(_RETRY_SECONDS)
                continue
            raise UserError(f"{shown(url)}: cannot open the storage: {_reason(error)}") from None
        except RuntimeError as error:  # Optuna: tables of another version
            raise UserError(f"{shown(url)}: {' '.join(str(error).split())}") from None
    raise AssertionError("unreachable")


def shown(url: str) -> str:
    """A storage URL without its password, for messages."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except exc.ArgumentError:
        return re.sub(r":[^:/@]*@", ":***@", url)


class Storage(RDBStorage):
    """Optuna's relational storage that waits out outages and is careful about whom it declares dead."""

    def __init__(self, url: str, heartbeat: Heartbeat, patience: float):
        self.patience = patience
        self._opened = False
        self._first_seen_stale: dict[int, float] = {}
        self._seen_lock = threading.Lock()
        sqlite = url.startswith("sqlite")
        super().__init__(
            url,
            engine_kwargs={
                "pool_pre_ping": True,
                "connect_args": {"timeout": _LOCK_SECONDS, "isolation_level": None} if sqlite else _POSTGRES_CONNECT,
            },
            heartbeat_interval=heartbeat.interval,
            grace_period=heartbeat.grace,
            heartbeat_stale_trial_callback=RetryDeadWorkersTrial(),
        )
        if sqlite:
            # Python begins a SQLite transaction at the first write only, so two workers could both read that a trial
            # waits and both take it. A lock from the first read on is what FOR UPDATE is to PostgreSQL.
            sa.event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self._opened = True

    @property
    def heartbeat(self) -> Heartbeat:
        """Interval and grace in force."""
        return Heartbeat(self.heartbeat_interval, self.grace_period)

    @heartbeat.setter
    def heartbeat(self, value: Heartbeat) -> None:
        self.heartbeat_interval, self.grace_period = value

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """Optuna's, with a first heartbeat before a trial runs.

        Optuna's own comes afterwards: a worker killed in between leaves a trial that runs for ever, because only a
        trial with a heartbeat can be missed.
        """
        if state == TrialState.RUNNING:
            self.record_heartbeat(trial_id)
        return self._patiently(lambda: RDBStorage.set_trial_state_values(self, trial_id, state, values))

    def _get_prepared_new_trial(self, study_id: int, template_trial: FrozenTrial | None, session: Any) -> Any:
        """Optuna's, with a first heartbeat in the same transaction where the new trial runs at once."""
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        if trial.state == TrialState.RUNNING:
            session.add(optuna.storages._rdb.models.TrialHeartbeatModel(trial_id=trial.trial_id))
        return trial

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Trials without a mark for the grace period, seen so by this process for two more intervals.

        After an outage longer than the grace period every running trial looks dead for a moment; whoever lives marks
        it again within the two intervals.
        """
        stale = self._patiently(lambda: RDBStorage._get_stale_trial_ids(self, study_id))
        now = time.monotonic()
        with self._seen_lock:
            self._first_seen_stale = {trial: self._first_seen_stale.get(trial, now) for trial in stale}
            return [
                trial for trial, seen in self._first_seen_stale.items() if now - seen >= 2 * self.heartbeat_interval
            ]

    def _patiently(self, call: Callable[[], T]) -> T:
        """Make `call` until the storage answers, for `patience` seconds at most."""
        began = None
        while True:
            try:
                return call()
            except (exc.SQLAlchemyError, StorageInternalError) as error:
                if not self._opened or not _is_outage(error):
                    raise
                now = time.monotonic()
                began = began or now
                if now - began > self.patience:
                    raise
                with self._seen_lock:
                    self._first_seen_stale.clear()
                self.remove_session()
                time.sleep(_RETRY_SECONDS)


def _patient(name: str) -> Callable:
    method = getattr(RDBStorage, name)

    @functools.wraps(method)
    def call(self: Storage, *args: Any, **kwargs: Any) -> Any:
        return self._patiently(lambda: method(self, *args, **kwargs))

    return call


# Everything Optuna asks of the storage, by the names under which its cache in front of it does. A call that was
# carried out although its answer got lost is made twice: what that can do is caught where trials are taken and told.
for _name in (
    "create_new_study", "delete_study", "get_all_studies", "get_study_id_from_name", "get_study_name_from_id",
    "get_study_directions", "get_study_user_attrs", "get_study_system_attrs", "set_study_user_attr",
    "set_study_system_attr", "_create_new_trial", "_get_trials", "_get_best_trial_id", "get_trial",
    "get_trial_id_from_study_id_trial_number", "get_trial_param", "get_trial_user_attrs", "get_trial_system_attrs",
    "_set_trial_param", "set_trial_user_attr", "set_trial_system_attr", "set_trial_intermediate_value",
    "record_heartbeat",
):  # fmt: skip
    setattr(Storage, _name, _patient(_name))


class RetryDeadWorkersTrial(RetryHeartbeatStaleTrialCallback):
    """Put a copy of a dead worker's trial in the queue: fixed parameters, identity and retry history, no results."""

    def __init__(self, max_retry: int | None = MAX_RETRIES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(max_retry)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Add the copy, unless the trial was retried as often as it may be."""
        trial.user_attrs = {name: value for name, value in trial.user_attrs.items() if name in IDENTITY}
        super().__call__(study, trial)


def _parse(url: str) -> sa.URL:
    hint = f"write {DEFAULT_URL} or postgresql://USER@HOST/DATABASE"
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise UserError(f"{shown(url)}: not the URL of a storage; {hint}") from None
    name = parsed.drivername
    if name in ("postgresql", "postgres", "postgresql+psycopg"):
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise UserError(f'{shown(url)}: PostgreSQL needs psycopg: pip install "psycopg[binary]"') from None
        return parsed.set(drivername="postgresql+psycopg")
    if name != "sqlite":
        raise UserError(f"{shown(url)}: {name} is not supported; {hint}")
    if parsed.database in (None, "", ":memory:"):
        raise UserError(f"{shown(url)}: names no file, and workers are processes of their own; {hint}")
    return parsed


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path.parent}: cannot make this folder ({error.strerror}); choose another --storage"
        ) from None


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _is_outage(error: BaseException) -> bool:
    return any(
        isinstance(cause, exc.OperationalError | exc.InterfaceError | exc.PendingRollbackError | exc.TimeoutError)
        or (isinstance(cause, exc.DBAPIError) and cause.connection_invalidated)
        for cause in _causes(error)
    )


def _is_race(error: BaseException) -> bool:
    return any(
        isinstance(cause, exc.IntegrityError | exc.ProgrammingError) or "already exists" in str(cause)
        for cause in _causes(error)
    )


def _reason(error: BaseException) -> str:
    original = next((cause.orig for cause in _causes(error) if isinstance(cause, exc.DBAPIError)), None)
    return " ".join(str(original or error).split())[:300]
