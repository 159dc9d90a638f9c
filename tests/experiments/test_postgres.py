"""Many machines: a real PostgreSQL, three worker processes, one of them killed, the server restarted under the others."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.conftest import ROOT
from tests.experiments.postgres import PASSWORD, Postgres, find_postgres
from tests.experiments.small_variants import write_small_variants
from trajet.experiments.key import trial_key
from trajet.experiments.studies.export import write_export
from trajet.experiments.studies.exported import read_study
from trajet.experiments.studies.storage import Heartbeat, open_storage
from trajet.experiments.studies.study import Planned, RunStudy, create_study
from trajet.experiments.studies.worker import Process, start_workers
from trajet.experiments.variants import load_variants, resolve

# Of a second each would do, but a loaded machine keeps a living worker from its mark for seconds.
HEARTBEAT = Heartbeat(interval=4, grace=10)
UPDATES = 40
# Far more than it takes; only a defect is to meet them.
DEADLINE = 600


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    binaries = find_postgres()
    if binaries is None:
        pytest.skip("no PostgreSQL server installed here (apt-get install postgresql)")
    server = Postgres(binaries)
    yield server
    server.remove()


def _until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def _at_work(study: RunStudy, *pids: int) -> list[FrozenTrial]:
    """Trials that these workers train: begun, and not yet half done."""
    return [
        trial
        for trial in study.trials(TrialState.RUNNING)
        if len(trial.intermediate_values) == 1 and int(trial.user_attrs["worker"].split("-")[-2]) in pids
    ]


def _plan(folder: Path, overrides: dict[str, Any]) -> list[Planned]:
    variants = load_variants(write_small_variants(folder, overrides))
    configs = {
        (name, seed): resolve(variants[name], UPDATES, seed) for seed in range(2) for name in ("base", "clip-none")
    }
    return [Planned(*cell, trial_key(config), config.to_str()) for cell, config in configs.items()]


def test_each_training_is_completed_once_whatever_dies(
    server: Postgres, tmp_path: Path, overrides: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    storage = open_storage(server.url, HEARTBEAT)
    assert storage.engine.dialect.driver == "psycopg"
    study = create_study(storage, "s", UPDATES)
    plan = _plan(tmp_path / "variants", overrides)
    assert study.enqueue(plan).added == 4
    command = [sys.executable, "-m", "scripts.worker", "--study", "s", "--folder", str(tmp_path / "runs")]
    workers = start_workers(command, 3, tmp_path / "logs", server.url)

    def at_work(chosen: list[Process]) -> list[FrozenTrial]:
        assert any(worker.process.poll() is None for worker in chosen), _logs(workers)
        return _at_work(study, *(worker.process.pid for worker in chosen))

    try:
        victim = _until(lambda: at_work(workers), "no worker began")[0]
        pid = int(victim.user_attrs["worker"].split("-")[-2])
        os.kill(pid, signal.SIGKILL)
        live = [worker for worker in workers if worker.process.pid != pid]
        # Away for longer than the grace period: nobody may take those for dead who could not tell that they live.
        held = _until(lambda: at_work(live), "no other worker is in mid-trial")[0]
        server.restart(down_seconds=HEARTBEAT.grace + 1)
        # What a worker with nothing to do does: whoever looks dead right after the outage must not be given up.
        _until(lambda: study.fail_stale() or all(w.process.poll() is not None for w in live), "the workers stay")
        codes = [worker.process.returncode for worker in live]
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
    assert codes == [0, 0], _logs(workers)

    trials = study.trials()
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert len(complete) + len(failed) == len(trials)
    assert sorted(trial.user_attrs["key"] for trial in complete) == sorted(planned.key for planned in plan)
    assert {(t.system_attrs["fixed_params"]["variant"], t.system_attrs["fixed_params"]["seed"]) for t in complete} == {
        (planned.variant, planned.seed) for planned in plan
    }
    # The dead worker's row stays, and says whose it was; each such row is in the history of the trial that took over.
    assert str(pid) in trials[victim.number].user_attrs["worker"]
    assert "result" not in trials[victim.number].user_attrs
    dead = [trial for trial in failed if "outcome" not in trial.user_attrs]
    assert {trial.user_attrs["outcome"] for trial in failed if trial not in dead} <= {"duplicate"}
    assert victim.number in {trial.number for trial in dead}
    for trial in dead:
        successor = next(t for t in complete if t.user_attrs["key"] == trial.user_attrs["key"])
        assert trial.number in successor.system_attrs["retry_history"], (trial.user_attrs, _logs(workers))
    # Its worker waited for the server, and stored what it had.
    assert trials[held.number].state == TrialState.COMPLETE, _logs(workers)

    assert write_export(study, tmp_path / "s.jsonl") == 4
    exported = read_study(tmp_path / "s.jsonl").results
    assert {name: list(by_seed) for name, by_seed in exported.items()} == {"base": [0, 1], "clip-none": [0, 1]}
    assert PASSWORD not in _logs(workers)


def _logs(workers: list[Process]) -> str:
    return "\n".join(worker.log.read_text(encoding="utf8") for worker in workers)
