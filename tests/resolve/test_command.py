"""`python -m scripts.resolve`, as a shell runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import spacy

from tests.conftest import ROOT, run_script
from trajet.resolve.lines import LONGEST

LINES = (
    "1,Je veux aller de Marseille à Paris\n"
    '2,"Je pars du Mans demain"\n'
    "\n"
    ",De Lyon à Nice ou Toulon, peu importe\n"
    "5,Il pleut sur la ville\n"
)
ORDERS = "1,Marseille,Paris\n2,Mans,\n4,Lyon,Nice\n5,NOT_TRIP,\n"


def _command(training: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "scripts.resolve", "small", *map(str, arguments), "--training", str(training)]


def _run(training: Path, *arguments: object, content: bytes = b"", **more) -> subprocess.CompletedProcess:
    return subprocess.run(_command(training, *arguments), cwd=ROOT, input=content, capture_output=True, check=False, **more)  # fmt: skip


def test_a_pipe_whatever_the_locale(training: Path) -> None:
    content = (
        b"\xef\xbb\xbf"
        + LINES.replace("\n", "\r\n").encode()
        + b"6,caf\xe9\n7,Un billet pour marseile s'il vous pla\xc3\xaet\n"
    )
    done = _run(training, content=content, env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == f"{ORDERS}6,NOT_TRIP,\n7,,marseile\n"
    warning, summary = done.stderr.decode().splitlines()
    assert warning == "line 6: bytes that are not UTF-8 were replaced"
    assert summary.startswith("6 lines: 4 TRIP, 2 NOT_TRIP; ")
    assert summary.endswith(" a second")


def test_a_file_and_an_output(training: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "new" / "out.csv"
    source.write_text(LINES, encoding="utf8")
    done = run_script("resolve", "small", source, "--training", training, "--output", target)
    assert done.returncode == 0, done.stderr
    assert target.read_text(encoding="utf8") == ORDERS
    assert done.stdout == ""
    assert f"wrote {target}" in done.stderr


def test_sentences_and_a_pipeline_by_its_path(training: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    done = run_script(
        "resolve", "--model", training / "small" / "model-best", "--json", "--canonical", "--output", target,
        "--sentence", "Je vais de Lille vers st etienne", "--sentence", "Bonjour, il pleut",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trip, other = map(json.loads, target.read_text(encoding="utf8").splitlines())
    assert (trip["departure"], trip["arrival"]) == ("Lille", "Saint-Étienne")
    assert trip["spans"][1]["place"] == {"name": "Saint-Étienne", "distance": 0, "kind": "town"}
    assert 0.5 < trip["spans"][1]["score"]["min"] <= 1
    # A sentence is not split at its comma.
    assert (other["id"], other["sentence"]) == ("2", "Bonjour, il pleut")


def test_a_reader_that_has_enough_is_no_error(training: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("1,Il pleut sur la ville\n" * 30_000, encoding="utf8")
    process = subprocess.Popen(_command(training, source), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"1,NOT_TRIP,\n"
    process.stdout.close()
    stderr = process.stderr.read().decode()
    assert process.wait() == 0
    assert stderr.count("\n") == 1, stderr
    # It stopped there and then.
    assert "30,000 lines" not in stderr


def _interrupted(training: Path, *arguments: object) -> subprocess.Popen:
    """A run that waits for more input; a shell's background job would ignore Ctrl-C, a terminal's does not."""
    return subprocess.Popen(
        _command(training, *arguments), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def test_one_line_a_batch_is_answered_at_once_and_ctrl_c_keeps_what_was_written(training: Path) -> None:
    process = _interrupted(training, "--batch-size", 1)
    for line, answer in zip(LINES.splitlines()[:2], ORDERS.splitlines()[:2], strict=True):
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().decode() == f"{answer}\n"
    process.send_signal(signal.SIGINT)
    rest, stderr = process.communicate(timeout=120)
    assert (process.returncode, rest) == (130, b"")
    assert stderr.decode().startswith("interrupted; 2 lines: 2 TRIP; ")
    assert stderr.count(b"\n") == 1


def test_ctrl_c_leaves_the_output_as_it_was_and_keeps_the_part(training: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old\n", encoding="utf8")
    process = _interrupted(training, "--batch-size", 2, "--output", target)
    process.stdin.write(LINES.encode() + b"\xff\n6,x\n")
    process.stdin.flush()
    # The warning of line 6 says that the first batches are done.
    assert b"line 6" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert target.read_text(encoding="utf8") == "old\n"
    part = (tmp_path / "out.partial.csv").read_text(encoding="utf8")
    assert part
    assert part in f"{ORDERS}6,UNKNOWN,\n6,NOT_TRIP,\n"
    assert f"what was done lies in {tmp_path / 'out.partial.csv'}" in stderr.decode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.partial.csv"]


def test_many_bad_lines_do_not_flood_the_terminal(training: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"1,\xff\n" * 50 + b"2," + b"a" * 2 * LONGEST + b"\n3,\x00a\n")
    done = run_script("resolve", "small", source, "--training", training, "--output", tmp_path / "out.csv")
    assert done.stderr.count("not UTF-8") == 20
    assert "; 52 warnings" in done.stderr
    assert len((tmp_path / "out.csv").read_text(encoding="utf8").splitlines()) == 52


def test_without_the_detector_all_is_french_and_it_is_said(training: Path, tmp_path: Path, monkeypatch) -> None:
    sentence = "I want to travel from Marseille to Paris tomorrow morning"
    arguments = ("small", "--training", training, "--output", tmp_path / "out.csv", "--sentence", sentence)

    def rows(*more: str) -> str:
        done = run_script("resolve", *arguments, *more)
        assert done.returncode == 0, done.stderr
        assert ("language not checked" in done.stderr) == (sys.modules.get("py3langid.langid", 0) is None)
        return (tmp_path / "out.csv").read_text(encoding="utf8")

    assert rows() == "1,NOT_FRENCH,\n"
    assert rows("--any-language") == "1,Marseille,Paris\n"
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    assert rows() == "1,Marseille,Paris\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give the name of a run"),
        (("small", "in.csv", "--model", "elsewhere"), "one of the two"),
        (("missing", "--sentence", "Oui"), "no trained pipeline there"),
        (("--model", "elsewhere", "--sentence", "Oui"), "elsewhere: no trained pipeline there"),
        (("small", "nowhere.csv"), "nowhere.csv: no such file"),
        (("small", "corpus"), "corpus: cannot be read"),
        (("small", "-", "--sentence", "Oui"), "not both"),
        (("small", "--sentence", "Oui", "--canonical", "--places", "nowhere"), "stations.tsv: no such file"),
    ],
)
def test_mistakes_get_one_line(training: Path, tmp_path: Path, arguments: tuple, says: str) -> None:
    target = tmp_path / "out.csv"
    done = run_script("resolve", *arguments, "--training", training, "--output", target)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not target.exists()


def test_pipelines_with_other_labels_or_damage_are_refused(training: Path, tmp_path: Path) -> None:
    other = spacy.blank("fr")
    other.add_pipe("ner").add_label("PER")
    other.initialize()
    other.to_disk(tmp_path / "other")
    spacy.blank("fr").to_disk(tmp_path / "blank")
    spacy.blank("fr").to_disk(tmp_path / "damaged")
    (tmp_path / "damaged" / "config.cfg").write_text("[nlp", encoding="utf8")
    for name, says in (
        ("other", "labels DEP and ARR (labels it knows: PER)"),
        ("blank", "labels it knows: none"),
        ("damaged", "cannot be loaded as a spaCy pipeline"),
    ):
        done = run_script("resolve", "--model", tmp_path / name, "--sentence", "Oui")
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert says in done.stderr


def test_utf16_leaves_nothing_behind(training: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(LINES, encoding="utf-16")
    done = run_script("resolve", "small", tmp_path / "in.csv", "--training", training, "--output", tmp_path / "out.csv")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "UTF-16" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
