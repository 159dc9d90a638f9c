"""Bad sources are refused with file and line; good ones become the pieces they say."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, run_script
from trajet.corpus.frames import Choice, Filler, Slot, load_fillers, load_frames, parse
from trajet.errors import UserError

FILLERS = {"date": ["demain"], "heure": ["8 h"]}


def test_a_frame_becomes_its_pieces() -> None:
    pieces = parse("<Bonjour, |>je pars {de:DEP} {À:ARR|station#1} {date}.", "f:1", FILLERS)
    assert pieces == (
        Choice(("Bonjour, ", "")),
        "je pars ",
        Slot("DEP", "de"),
        " ",
        Slot("ARR", "à", capital=True, kind="station", number="1"),
        " ",
        Filler("date"),
        ".",
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Je vais {à:AR}.", "AR is none of DEP, ARR, PLACE"),
        ("Je pars {demain}.", "unknown slot {demain}"),
        ("Je vais {à:ARR.", "a brace is opened and not closed"),
        ("Je vais à:ARR}.", "a brace is closed that was not opened"),
        ("Je vais {par:ARR}.", "unknown preposition 'par'"),
        ("Je vais {à:ARR|city}.", "unknown kind of place 'city'"),
        ("Je vais à ARR depuis {DEP}.", "the label ARR stands outside a slot"),
        ("Je vais <à ARR|là>.", "the label ARR stands outside a slot"),
    ],
)
def test_a_bad_frame_names_its_line(line: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(line, "corpus/frames/x.txt:7", FILLERS)
    assert str(caught.value).startswith("corpus/frames/x.txt:7: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("frames", "negatives", "says"),
    [
        ("De {DEP} vers {ARR} !\nde  {DEP}, vers {ARR}", "ok", "plain.txt:2: the same frame as "),
        ("Été à {ARR}\nete a {ARR}.", "ok", "plain.txt:2: the same frame as "),
        ("Il pleut.", "ok", "plain.txt:1: a request needs a {DEP} or {ARR} slot"),
        ("De {DEP}", "Il pleut {à:ARR}.", "other.txt:1: a negative may not label ARR"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path: Path, frames: str, negatives: str, says: str) -> None:
    for name, stem, text in (("frames", "plain", frames), ("negatives", "other", negatives)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{stem}.txt").write_text(text + "\n", encoding="utf8")
    with pytest.raises(UserError) as caught:
        load_frames(tmp_path, FILLERS)
    assert says in str(caught.value)


def test_signs_alone_tell_frames_apart(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "negatives").mkdir()
    (tmp_path / "frames" / "a.txt").write_text("{DEP} → {ARR}\n{DEP} {ARR}\n{DEP}-{ARR}\n", encoding="utf8")
    (tmp_path / "negatives" / "b.txt").write_text("?\nok\n", encoding="utf8")
    assert len(load_frames(tmp_path, FILLERS)) == 5


def test_the_sources_of_the_project_hold_enough() -> None:
    frames = load_frames(ROOT / "corpus", load_fillers(ROOT / "corpus" / "fillers"))
    assert sum(bool(frame.labels) for frame in frames) >= 400
    assert sum(not frame.labels for frame in frames) >= 200
    assert len({frame.ident for frame in frames}) == len(frames)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("frames/plain.txt", "Je vais {à:ARR", "plain.txt:1: a brace is opened"),
        ("places/stations.tsv", "\t5\n", "stations.tsv:1: empty place name"),
        ("places/stations.tsv", "la \t5\n", "stations.tsv:1: empty place name"),
        ("places/areas.tsv", "la Bretagne\tbeaucoup\n", "areas.tsv:1: weight 'beaucoup' is no number"),
        ("fillers/date.txt", "\n", "date.txt: no entry"),
    ],
)
def test_the_command_refuses_bad_sources_and_keeps_the_old_corpus(
    tmp_path: Path, file: str, text: str, says: str
) -> None:
    import shutil

    sources = tmp_path / "corpus"
    shutil.copytree(ROOT / "corpus", sources, ignore=shutil.ignore_patterns("*.spacy"))
    (sources / "train.spacy").write_bytes(b"the corpus of before")
    (sources / file).write_text(text, encoding="utf8")
    done = run_script("corpus", "--sources", sources, "--train", 50, "--dev", 10, "--test", 10)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert (sources / "train.spacy").read_bytes() == b"the corpus of before"
    assert not (sources / "dev.spacy").exists()
