"""The storage of studies: addresses, locks, heartbeats, an outage as its callers see it."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from trajet.errors import UserError
from trajet.experiments.studies.storage import Heartbeat, Storage, open_storage, shown
from trajet.experiments.studies.study import Planned, RunStudy, create_study


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies/a.db"


def _study(url: str, heartbeat: Heartbeat = Heartbeat(1, 2), trials: int = 1) -> RunStudy:  # noqa: B008
    study = create_study(open_storage(url, heartbeat), "s", updates=20)
    study.enqueue(Planned(f"v{number}", 0, f"key{number}", "") for number in range(trials))
    return study


def _until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("studies.db", ["studies.db", "not the URL of a storage", "sqlite:///"]),
        ("mysql://me:secret@host/x", ["mysql", "not supported"]),
        ("sqlite://", ["names no file"]),
        ("sqlite:///:memory:", ["names no file"]),
        # Port 1 answers nobody.
        ("postgresql://me:secret@127.0.0.1:1/x", ["postgresql://me:***@127.0.0.1:1/x", "cannot open", "refused"]),
    ],
)
def test_a_wrong_address_is_refused_in_one_line_without_its_password(url: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        open_storage(url)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "secret" not in text
    assert "\n" not in text


def test_a_missing_psycopg_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r'pip install "psycopg\[binary\]"'):
        open_storage("postgresql://me:secret@host/x")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.db").write_text("not a database at all, but long enough to have a header" * 20)
    with pytest.raises(UserError, match="cannot open the storage: file is not a database"):
        open_storage(f"sqlite:///{tmp_path}/file.db")
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="cannot make this folder"):
        open_storage(f"sqlite:///{tmp_path}/taken/a.db")


def test_passwords_are_not_shown_even_of_what_is_no_url() -> None:
    assert shown("postgresql://me:secret@host/x") == "postgresql://me:***@host/x"
    assert "secret" not in shown("me:secret@host port")


def test_braces_in_an_address_are_kept(tmp_path: Path) -> None:
    open_storage(f"sqlite:///{tmp_path}/{{odd}}.db")
    assert (tmp_path / "{odd}.db").exists()


def test_several_may_make_the_tables_of_one_database_together(url: str) -> None:
    opened: list[Storage] = []
    threads = [threading.Thread(target=lambda: opened.append(open_storage(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4


# -- locks -----------------------------------------------------------------------------------------


def test_of_several_workers_one_takes_a_trial(url: str) -> None:
    """Optuna's own storage fails this on SQLite: it reads that a trial waits before it locks."""
    ids = [trial._trial_id for trial in _study(url, trials=10).trials()]
    workers = 4
    barrier = threading.Barrier(workers)
    taken: list[int] = []

    def take() -> None:
        storage = open_storage(url)
        for trial in ids:
            barrier.wait()
            if storage.set_trial_state_values(trial, TrialState.RUNNING):
                taken.append(trial)

    threads = [threading.Thread(target=take) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(taken) == dict.fromkeys(ids, 1)


# -- heartbeats ------------------------------------------------------------------------------------


def test_a_worker_that_dies_before_its_first_heartbeat_is_missed(url: str) -> None:
    study = _study(url)
    # Taken, and never marked alive: as if killed at once.
    assert study.take() is not None
    _until(lambda: study.fail_stale() or len(study.trials(TrialState.FAIL)) == 1, "never found dead")
    dead, copy = study.trials()
    assert copy.state == TrialState.WAITING
    assert copy.system_attrs["fixed_params"] == dead.system_attrs["fixed_params"] == {"variant": "v0", "seed": 0}
    assert copy.user_attrs == dead.user_attrs
    assert copy.system_attrs["retry_history"] == [dead.number]


def test_a_new_point_that_runs_at_once_is_missed_too(url: str) -> None:
    storage = open_storage(url, Heartbeat(1, 1))
    study = optuna.create_study(storage=storage)
    with pytest.warns(UserWarning, match="Heartbeat of storage"):
        trial = study.ask()  # nothing waits: Optuna makes a point up
    _until(lambda: storage._get_stale_trial_ids(study._study_id) == [trial._trial_id], "never found dead")


def test_a_live_worker_is_not_declared_dead_after_an_outage(url: str) -> None:
    study = _study(url, Heartbeat(1, 1))
    trial = study.take()
    storage, number = study.storage, study.optuna._study_id
    # Nobody could mark anything for longer than the grace period; Optuna's own storage gives the trial up now.
    _until(lambda: RDBStorage._get_stale_trial_ids(storage, number) == [trial._trial_id], "not stale")
    assert storage._get_stale_trial_ids(number) == []
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.2):
            storage.record_heartbeat(trial._trial_id)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        _until(lambda: RDBStorage._get_stale_trial_ids(storage, number) == [], "the mark did not count")
        for _ in range(8):
            assert storage._get_stale_trial_ids(number) == []
            time.sleep(0.3)
    finally:
        over.set()
        thread.join()


def test_an_outage_forgets_who_looked_dead(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study(url, Heartbeat(1, 1))
    study.take()
    storage, number = study.storage, study.optuna._study_id
    _until(lambda: RDBStorage._get_stale_trial_ids(storage, number) != [], "not stale")
    storage._get_stale_trial_ids(number)
    assert storage._first_seen_stale
    answers = iter([OperationalError("x", None, Exception("gone")), None])

    def record(*_: object) -> None:
        if error := next(answers):
            raise error

    storage._patiently(record)
    assert not storage._first_seen_stale
    assert next(answers, "asked twice") == "asked twice"


def test_patience_ends_and_a_defect_is_not_waited_for(url: str) -> None:
    study = _study(url)
    study.storage.patience = 1.5
    calls = []

    def gone() -> None:
        calls.append(1)
        raise OperationalError("x", None, Exception("gone"))

    with pytest.raises(OperationalError):
        study.storage._patiently(gone)
    assert len(calls) > 1
    with pytest.raises(KeyError):
        study.storage.get_trial(12345)


def test_every_call_of_optunas_cache_is_patient(url: str) -> None:
    """Names of Optuna's own that this stands on; an upgrade that adds or renames one is noticed."""
    import inspect
    import re

    from optuna.storages import _CachedStorage

    asked = set(re.findall(r"self\._backend\.(\w+)", inspect.getsource(_CachedStorage)))
    # Answer from memory, without the database.
    asked -= {"get_heartbeat_interval", "get_heartbeat_stale_trial_callback"}
    assert asked
    assert {name for name in asked if name not in vars(Storage)} == set()
