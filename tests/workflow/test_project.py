"""The real workflow, small: what a newcomer runs, run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from trajet.plots.panels import PANELS
from trajet.trace import read_trace

SMALL = {"max_steps": 260, "train_docs": 300, "dev_docs": 40, "test_docs": 40}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files in a folder of their own, with nothing built."""
    target = tmp_path_factory.mktemp("clone") / "trajet"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _run(clone: Path, *arguments: str, **variables: object) -> subprocess.CompletedProcess:
    overrides = [part for name, value in {**SMALL, **variables}.items() for part in (f"--vars.{name}", str(value))]
    command = [sys.executable, "-m", "spacy", "project", "run", *arguments, ".", *overrides]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)


def test_the_workflow_trains_scores_and_draws(clone: Path) -> None:
    done = _run(clone, "train")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What to expect" in done.stdout
    assert "Initial learn rate: 0.0" in done.stdout
    trace = read_trace(clone / "training" / "base" / "trace.jsonl")
    assert trace.steps["step"].tolist() == list(range(261))
    assert trace.steps["learn_rate"].iloc[100] == pytest.approx(2e-5)
    assert trace.steps["learn_rate"].iloc[250] == pytest.approx(5e-5)
    assert len(trace.watched)
    assert trace.evaluations["dev_loss_ner"].notna().all()
    for part in ("model-best", "model-last"):
        assert (clone / "training" / "base" / part / "meta.json").exists()
    assert json.loads((clone / "metrics" / "base.json").read_text(encoding="utf8"))["test"]["sentences"] == 40
    assert {path.name for path in (clone / "plots" / "base").iterdir()} == {
        f"{p.name}{s}" for p in PANELS for s in (".svg", ".png")
    }
    for path in ("corpus/train.spacy", "metrics/base.json", "plots/base/score.svg"):
        assert f"wrote {path}" in done.stdout


def test_a_second_run_repeats_nothing_that_is_unchanged(clone: Path) -> None:
    before = (clone / "training" / "base" / "trace.jsonl").stat().st_mtime_ns
    done = _run(clone, "train")
    assert done.returncode == 0
    assert done.stdout.count("nothing changed") >= 3
    assert (clone / "training" / "base" / "trace.jsonl").stat().st_mtime_ns == before


def test_ctrl_c_keeps_both_models_and_the_trace(clone: Path) -> None:
    overrides = [
        part
        for name, value in {**SMALL, "max_steps": 5000, "run": "stopped"}.items()
        for part in (f"--vars.{name}", str(value))
    ]
    command = [sys.executable, "-m", "spacy", "project", "run", "fit", ".", *overrides]
    # A shell's background job ignores the signal, and so would its children; a terminal's does not.
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    trace = clone / "training" / "stopped" / "trace.jsonl"
    deadline = time.monotonic() + 180
    try:
        while not (trace.exists() and trace.read_bytes().count(b"\n") > 30):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert len(read_trace(trace).steps) > 20
    for part in ("model-best", "model-last"):
        assert (clone / "training" / "stopped" / part / "meta.json").exists()


def test_a_missing_corpus_is_named(clone: Path, tmp_path: Path) -> None:
    (clone / "corpus" / "dev.spacy").rename(tmp_path / "dev.spacy")
    try:
        done = _run(clone, "fit", run="nothing")
    finally:
        shutil.move(tmp_path / "dev.spacy", clone / "corpus" / "dev.spacy")
    assert done.returncode == 1  # Weasel's own refusal
    assert "corpus/dev.spacy" in done.stdout + done.stderr


def test_run_without_a_command_lists_them_with_help(clone: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spacy", "project", "run"], cwd=clone, capture_output=True, text=True, check=False
    )
    for word in ("corpus", "fit", "evaluate", "plot", "benchmarks", "train", "all"):
        assert word in done.stdout + done.stderr


def test_benchmarks_run_at_a_small_size(clone: Path) -> None:
    done = _run(clone, "benchmarks", benchmark_steps=20, benchmark_pairs=1)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in (
        "every = 1",
        "every = 10",
        "median ratio",
        "memory kept",
        "MB for 20,000 steps",
        "read_trace",
        "losses_on",
    ):
        assert word in done.stdout
