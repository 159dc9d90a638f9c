"""Studies of planned trainings: the queue, workers on real small trainings, export."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.pruners import ThresholdPruner
from optuna.trial import FrozenTrial, TrialState
from thinc.api import Config

import scripts.ablate
import scripts.worker
from tests.conftest import ROOT, run_script
from tests.experiments.small_variants import write_small_variants
from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.result import Result
from trajet.experiments.run import run_config
from trajet.experiments.studies.export import write_export
from trajet.experiments.studies.exported import read_study
from trajet.experiments.studies.storage import MAX_RETRIES, Heartbeat, RetryDeadWorkersTrial, open_storage
from trajet.experiments.studies.study import MAX_ERRORS, Counts, Planned, RunStudy, create_study, load_study
from trajet.experiments.studies.threads import ONE_THREAD
from trajet.experiments.studies.worker import MAX_FAILURES_IN_A_ROW, Ablation, SameKey, report_to, run_worker
from trajet.experiments.variants import load_variants, resolve

COMPLETE, FAIL, WAITING, RUNNING = TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING, TrialState.RUNNING
A, B = Planned("a", 0, "key-a", "config of a"), Planned("b", 0, "key-b", "config of b")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def study(url: str) -> RunStudy:
    return create_study(open_storage(url, Heartbeat(1, 3)), "s", updates=20)


def _states(study: RunStudy) -> list[TrialState]:
    return [trial.state for trial in study.trials()]


def _die(study: RunStudy, trial: optuna.Trial, copy: bool = True) -> None:
    """What others do about a trial without heartbeats; without a copy: and die before they have queued it."""
    study.storage.set_trial_state_values(trial._trial_id, FAIL)
    if copy:
        RetryDeadWorkersTrial()(study.optuna, study.storage.get_trial(trial._trial_id))


def _history(trial: FrozenTrial) -> list[int]:
    return trial.system_attrs.get("retry_history", [])


# -- the queue -------------------------------------------------------------------------------------


def test_queueing_again_adds_nothing_that_waits_runs_or_is_complete(study: RunStudy) -> None:
    plan = [A, B, Planned("c", 0, "key-c", "")]
    assert study.enqueue(plan).added == 3
    first = study.trials()[0]
    assert first.system_attrs["fixed_params"] == {"variant": "a", "seed": 0}
    assert first.user_attrs == {"variant": "a", "seed": 0, "key": "key-a", "config": "config of a"}
    done = study.take()
    assert study.complete(done, 0.5, {"x": 1}, "me")
    study.take()
    again = study.enqueue(plan)
    assert (again.added, again.complete, again.running, again.waiting) == (0, 1, 1, 1)
    assert _states(study) == [COMPLETE, RUNNING, WAITING]
    assert study.trials()[0].value == 0.5
    assert study.trials()[0].user_attrs["result"] == {"x": 1}
    assert study.counts() == Counts(complete=1, running=1, waiting=1, failed=0)
    assert study.unfinished() == 2
    assert study.unfinished({"key-a"}) == 0


def test_nothing_is_made_up_when_the_queue_is_empty(study: RunStudy) -> None:
    assert study.take() is None
    assert study.trials() == []
    assert study.is_idle()


def test_what_failed_is_queued_again_by_the_next_call_and_not_for_ever(study: RunStudy) -> None:
    for attempt in range(MAX_ERRORS):
        assert study.enqueue([A]).added == 1, attempt
        study.failed(study.take(), "ValueError: no")
        assert study.is_idle()
        assert study.lost() == []
    assert study.enqueue([A]).given_up == [A]
    assert _states(study) == [FAIL] * MAX_ERRORS
    (last,) = study.failures()
    assert (last.number, last.user_attrs["reason"]) == (MAX_ERRORS - 1, "ValueError: no")
    assert study.counts() == Counts(0, 0, 0, failed=1)
    assert study.enqueue([A], retry_failed=True).added == 1


def test_another_key_is_another_training(study: RunStudy) -> None:
    study.enqueue([A])
    changed = replace(A, key="other")
    with pytest.raises(
        UserError, match="1 trials wait that were planned with another config, corpus or package versions"
    ):
        study.enqueue([changed])
    assert _states(study) == [WAITING]
    assert study.enqueue([changed], replace=True).added == 1
    assert _states(study) == [FAIL, WAITING]
    assert study.counts() == Counts(0, 0, waiting=1, failed=0)
    study.complete(study.take(), 0.5, {}, "me")
    assert study.unfinished() == 0
    done = study.enqueue([A])
    assert (done.added, done.outdated) == (1, 1)


def test_of_two_trials_of_a_training_one_is_run(study: RunStudy) -> None:
    """Two calls at the same moment may queue the same; Optuna's own check says so too."""
    other = load_study(open_storage(study.storage.url), "s", "")
    study.enqueue([A])
    study.optuna.enqueue_trial({"variant": "a", "seed": 0}, user_attrs={"variant": "a", "seed": 0, "key": A.key})
    one = study.take()
    assert other.take() is None
    assert _states(study) == [RUNNING, FAIL]
    assert study.trials()[1].user_attrs["reason"] == "the same training as trial 0"
    study.complete(one, 0.5, {}, "me")
    study.optuna.enqueue_trial({"variant": "a", "seed": 0}, user_attrs={"variant": "a", "seed": 0, "key": A.key})
    assert other.take() is None
    assert _states(study) == [COMPLETE, FAIL, FAIL]
    assert study.failures() == []


def test_a_late_worker_adds_no_second_result(study: RunStudy) -> None:
    late_study = load_study(open_storage(study.storage.url), "s", "")
    study.enqueue([A])
    late = late_study.take()
    _die(study, late)
    successor = study.take()
    assert _history(study.trials()[1]) == [0]
    # Before the other is done, and after.
    assert not late_study.complete(late, 0.1, {"late": True}, "late")
    assert study.complete(successor, 0.9, {}, "successor")
    assert not late_study.complete(late, 0.1, {"late": True}, "late")
    late_study.failed(late, "a late error")
    late_study.hand_back(late)
    assert _states(study) == [FAIL, COMPLETE]
    assert study.trials()[1].value == 0.9
    assert "late" not in json.dumps([trial.user_attrs for trial in study.trials()])


def test_a_result_whose_storing_was_not_confirmed_counts_for_its_worker_only(study: RunStudy) -> None:
    study.enqueue([A])
    trial = study.take()
    trial.set_user_attr("worker", "me")
    assert study.complete(trial, 0.5, {}, "me")
    # The server went down between storing and answering: the call is made again.
    assert study.complete(trial, 0.5, {}, "me")
    assert not study.complete(trial, 0.5, {}, "you")


def test_a_stopped_worker_hands_its_trial_back_linked(study: RunStudy) -> None:
    study.enqueue([A])
    trial = study.take()
    trial.set_user_attr("worker", "me")
    study.hand_back(trial)
    stopped, copy = study.trials()
    assert (stopped.state, stopped.user_attrs["outcome"]) == (FAIL, "stopped")
    assert (copy.state, _history(copy)) == (WAITING, [0])
    assert copy.user_attrs == {"variant": "a", "seed": 0, "key": A.key, "config": A.config}
    assert study.enqueue([A]).waiting == 1


def test_a_trial_lost_between_two_deaths_is_found(study: RunStudy) -> None:
    study.enqueue([A])
    assert study.lost() == []
    # A training that kills every worker ends.
    for attempt in range(MAX_RETRIES):
        _die(study, study.take(), copy=False)
        assert study.is_idle()
        lost = study.lost()
        assert [trial.number for trial in lost] == [attempt]
        study.requeue(lost)
        assert study.lost() == []
        assert _history(study.trials()[-1]) == list(range(attempt + 1))
    _die(study, study.take())
    assert _states(study) == [FAIL] * (MAX_RETRIES + 1)
    assert study.lost() == []
    assert study.counts().failed == 1
    assert study.enqueue([A]).added == 1
    assert _history(study.trials()[-1]) == list(range(MAX_RETRIES + 1))


def test_a_study_keeps_its_budget_and_its_heartbeat(study: RunStudy) -> None:
    url = study.storage.url
    with pytest.raises(UserError, match="study s has a budget of 20 updates: ask for --updates 20"):
        create_study(open_storage(url), "s", updates=30)
    opened = open_storage(url)
    assert opened.heartbeat != Heartbeat(1, 3)
    assert load_study(opened, "s", url).storage.heartbeat == Heartbeat(1, 3)
    with pytest.raises(UserError, match=r"no study t \(there are: s\)"):
        load_study(opened, "t", url)


# -- real trainings --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory, overrides: dict[str, Any]) -> Path:
    return write_small_variants(tmp_path_factory.mktemp("variants"), overrides)


@pytest.fixture(scope="module")
def plan(variants: Path) -> Callable[..., Planned]:
    def make(name: str = "base", seed: int = 0, updates: int = 20) -> Planned:
        config = resolve(load_variants(variants)[name], updates, seed)
        return Planned(name, seed, trial_key(config), config.to_str())

    return make


def _without_times(result: Result) -> dict[str, Any]:
    values = result.to_dict()
    del values["cpu_seconds"]
    for entry in values["evaluations"]:
        entry.pop("seconds_cpu", None)
    return values


def _four_digits(value: Any) -> Any:
    if isinstance(value, float):
        return pytest.approx(value, rel=6e-4, abs=0)
    if isinstance(value, dict):
        return {name: _four_digits(item) for name, item in value.items()}
    return [_four_digits(item) for item in value] if isinstance(value, list) else value


def test_ablate_makes_as_many_trainings_as_the_file_plans(variants: Path) -> None:
    plain = load_variants(variants)
    chosen = scripts.ablate._chosen
    names = list(plain)
    assert [(v.name, n) for v, n in chosen(plain, None, None)] == [(name, 3) for name in names]
    planned = {name: replace(variant, seeds=8 * (name == "base")) for name, variant in plain.items()}
    assert [(v.name, n) for v, n in chosen(planned, None, None)] == [("base", 8)]
    assert [(v.name, n) for v, n in chosen(planned, None, 2)] == [(name, 2) for name in names]
    assert [(v.name, n) for v, n in chosen(planned, ["clip-none", "base"], None)] == [("clip-none", 3), ("base", 8)]
    with pytest.raises(UserError, match="nearest is 'base'"):
        chosen(planned, ["bass"], None)

    two = {name: replace(plain[name], seeds=n) for name, n in (("base", 2), ("clip-none", 1))}
    plan = scripts.ablate._plan(chosen(two, None, None), 20)
    assert [(entry.variant, entry.seed) for entry in plan] == [("base", 0), ("clip-none", 0), ("base", 1)]


def test_ablate_trains_exports_and_is_resumed(
    variants: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = tmp_path / "out" / "s.jsonl"
    arguments = ["--study", "s", "--variants", variants, "--only", "base", "--only", "impossible", "--updates", 20,
                 "--seeds", 1, "--storage", url, "--folder", tmp_path / "runs", "--export", export]  # fmt: skip
    done = run_script("ablate", *arguments, "--workers", 1)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 added to the queue" in done.stdout
    assert "failed: impossible seed 0: NotImplementedError" in done.stdout
    assert "1/2 done, 0 running, 0 waiting, 1 failed" in done.stdout
    study = load_study(open_storage(url), "s", url)
    assert sorted(_states(study), key=str) == [COMPLETE, FAIL]
    (failed,) = study.failures()
    assert "NotImplementedError" in failed.user_attrs["traceback"]

    # The stored result is that of a training without any study.
    config = resolve(load_variants(variants)["base"], 20, 0)
    expected = _without_times(run_config(config, name="base", seed=0, folder=tmp_path / "alone"))
    (trial,) = study.trials(COMPLETE)
    assert trial.value == expected["final_f"]
    assert trial.intermediate_values == {entry["step"]: entry["ents_f"] for entry in expected["evaluations"]}
    assert _without_times(Result.from_dict(trial.user_attrs["result"])) == expected
    assert {path.name for path in (tmp_path / "runs" / "base-seed0").iterdir()} == {
        "config.cfg", "trace.jsonl", "result.json"
    }  # fmt: skip
    assert list((tmp_path / "runs" / "unfinished").iterdir()) == []

    # Back from the file: the same but for digits and times; the statistics read it too.
    compared = read_study(export)
    row = compared.results["base"][0]
    assert row.cpu_seconds is None
    assert row.final_f == pytest.approx(expected["final_f"], abs=1e-4)
    assert _without_times(replace(row, final_f=expected["final_f"])) == {
        **_four_digits(expected),
        "final_f": expected["final_f"],
    }
    assert "seconds_cpu" not in export.read_text(encoding="utf8")
    assert compared.questions["base"] == "What does the base reach?"
    first = export.read_bytes()
    assert write_export(load_study(open_storage(url), "s", url), export) == 1
    assert export.read_bytes() == first

    # Once more: what is complete is not trained again, what failed is queued again.
    scripts.ablate.main(
        study="s", variants=variants, only=["base", "impossible"], updates=20, seeds=1, storage=url, workers=0
    )
    assert "1 complete already, 0 running, 0 waiting, 1 added to the queue" in capsys.readouterr().out


def test_a_worker_trains_only_what_would_be_the_same_training_here(
    study: RunStudy, plan: Callable, tmp_path: Path
) -> None:
    here = plan()
    elsewhere = replace(here, key="made with another corpus")
    study.enqueue([elsewhere])
    can_run = SameKey()
    assert run_worker(study, Ablation(tmp_path), can_run) == 0
    assert can_run.refused == {0}
    assert _states(study) == [WAITING]
    assert can_run(optuna.trial.create_trial(state=WAITING, user_attrs={"key": here.key, "config": here.config}))
    heeded = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(UserError, match="1 trials wait that would be another training here"):
            scripts.worker.main(study="s", storage=study.storage.url, folder=tmp_path)
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)


def test_an_ablation_refuses_a_trial_without_fixed_parameters(study: RunStudy, tmp_path: Path) -> None:
    study.optuna.add_trial(optuna.trial.create_trial(state=WAITING))
    said = []
    run_worker(study, Ablation(tmp_path), SameKey(), said=said.append)
    assert _states(study) == [FAIL]
    assert "trial 0 has no fixed variant and seed" in study.trials()[0].user_attrs["reason"]
    assert said[0].outcome == "failed"
    # Optuna's own loop makes a point up when nothing waits.
    with pytest.raises(UserError, match="trial 1 has no fixed variant and seed"):
        study.optuna.optimize(Ablation(tmp_path).train, n_trials=1)


def test_a_worker_that_fails_at_everything_leaves_the_rest_of_the_queue_alone(study: RunStudy, tmp_path: Path) -> None:
    for _ in range(MAX_FAILURES_IN_A_ROW + 2):
        study.optuna.add_trial(optuna.trial.create_trial(state=WAITING))
    with pytest.raises(UserError, match=r"5 trainings failed here one after another.*no fixed variant.*mend the cause"):
        run_worker(study, Ablation(tmp_path), SameKey())
    assert _states(study) == [FAIL] * MAX_FAILURES_IN_A_ROW + [WAITING] * 2


def test_a_search_may_prune_at_an_evaluation(url: str, plan: Callable, tmp_path: Path) -> None:
    class Search(Ablation):
        def train(self, trial: optuna.Trial) -> Result:
            config = Config().from_str(trial.user_attrs["config"])
            folder = self._working(trial)
            return run_config(config, name="base", seed=0, folder=folder, report=report_to(trial, prune=True))

    study = create_study(open_storage(url), "s", updates=20)
    # No F is that high: pruned at the second evaluation, which the first two steps of patience let it reach.
    study.optuna.pruner = ThresholdPruner(lower=2.0, n_warmup_steps=1)
    study.enqueue([plan()])
    said = []
    run_worker(study, Search(tmp_path), SameKey(), said=said.append)
    (trial,) = study.trials()
    assert (trial.state, said[0].outcome) == (TrialState.PRUNED, "pruned")
    assert list(trial.intermediate_values) == [0, 10]
    assert study.counts().complete == 1
    assert study.enqueue([plan()]).complete == 1


# -- processes -------------------------------------------------------------------------------------


def _until(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def _start(module: str, log: Path, *arguments: object) -> subprocess.Popen:
    with log.open("w") as handle:
        return subprocess.Popen(
            [sys.executable, "-m", f"scripts.{module}", *map(str, arguments)],
            # A shell's background job ignores Ctrl-C, and so would its children; a terminal's does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            cwd=ROOT, stdout=handle, stderr=subprocess.STDOUT, env={**os.environ, **ONE_THREAD},
        )  # fmt: skip


def _at_work(study: RunStudy) -> list[FrozenTrial]:
    """Running trials that have come to their first evaluation."""
    return [trial for trial in study.trials(RUNNING) if trial.intermediate_values]


def _freeze(process: subprocess.Popen, url: str) -> None:
    """Suspend a process, but not while it holds the lock of the file: nobody could go on."""
    while True:
        process.send_signal(signal.SIGSTOP)
        try:
            with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.2, isolation_level=None) as probe:
                probe.execute("BEGIN IMMEDIATE")
                probe.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)


def test_a_worker_that_wakes_up_late_adds_no_second_result(
    study: RunStudy, plan: Callable, url: str, tmp_path: Path
) -> None:
    study.enqueue([plan(updates=40)])
    arguments = ("--study", "s", "--storage", url, "--folder", tmp_path / "runs")
    sleeper = _start("worker", tmp_path / "sleeper.log", *arguments)
    try:
        _until(lambda: _at_work(study), "the worker never began")
        _freeze(sleeper, url)
        assert _states(study) == [RUNNING]
        said = []
        # In this process: finds the trial without heartbeats, and trains it.
        assert run_worker(study, Ablation(tmp_path / "runs"), SameKey(), said=said.append) == 1
        assert _states(study) == [FAIL, COMPLETE]
        sleeper.send_signal(signal.SIGCONT)
        assert sleeper.wait(180) == 0
    finally:
        sleeper.kill()
    assert "base 0: given to another worker meanwhile" in (tmp_path / "sleeper.log").read_text()
    assert _states(study) == [FAIL, COMPLETE]
    assert _history(study.trials()[1]) == [0]
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.name != "unfinished"] == ["base-seed0"]


def test_ctrl_c_stops_the_workers_and_leaves_a_study_to_go_on_with(variants: Path, url: str, tmp_path: Path) -> None:
    study = create_study(open_storage(url), "s", updates=5000)
    log = tmp_path / "log"
    ablate = _start("ablate", log, "--study", "s", "--variants", variants, "--only", "base", "--seeds", 2,
                    "--updates", 5000, "--workers", 1, "--storage", url, "--folder", tmp_path / "runs",
                    "--export", tmp_path / "s.jsonl")  # fmt: skip
    try:
        (trial,) = _until(lambda: _at_work(study), "no worker began")
        worker = int(trial.user_attrs["worker"].split("-")[-2])
        os.kill(worker, 0)
        ablate.send_signal(signal.SIGINT)
        assert ablate.wait(180) == 130, log.read_text()
    finally:
        ablate.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert _states(study) == [FAIL, WAITING, WAITING]
    stopped, _, copy = study.trials()
    assert stopped.user_attrs["outcome"] == "stopped"
    assert (_history(copy), copy.user_attrs["seed"]) == ([0], 0)
    assert "the same command goes on" in log.read_text()
    assert not (tmp_path / "s.jsonl").exists()
    assert list((tmp_path / "runs" / "unfinished").iterdir()) == []
