"""The challenge halves: well formed, large enough, apart from each other and from the training frames."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.challenge import load_challenge
from trajet.corpus.frames import Choice, Filler, Slot, load_fillers, load_frames
from trajet.corpus.places import fold
from trajet.errors import UserError

HALVES = ("open", "final")


def _half(name: str) -> list:
    return load_challenge(ROOT / "corpus" / f"challenge-{name}.jsonl")


def test_there_are_three_hundred_sentences_of_many_kinds() -> None:
    halves = [_half(name) for name in HALVES]
    assert sum(map(len, halves)) >= 300
    for half in halves:
        assert len(Counter(sentence.phenomenon for sentence in half)) >= 25


def test_every_span_aligns() -> None:
    nlp = blank_pipeline()
    for name in HALVES:
        for sentence in _half(name):
            doc = make_doc(nlp, sentence.segments, sentence.where)
            assert len(doc.ents) == sum(bool(segment.label) for segment in sentence.segments)


def test_no_sentence_is_in_both_halves_or_is_a_training_frame() -> None:
    masked = {name: {_mask(sentence.segments) for sentence in _half(name)} for name in HALVES}
    assert not masked["open"] & masked["final"]
    frames = load_frames(ROOT / "corpus", load_fillers(ROOT / "corpus" / "fillers"))
    known = {"".join(_frame_part(piece) for piece in frame.pieces) for frame in frames}
    # Only frames without free parts can be compared word by word; a bare pair of places is nobody's sentence.
    known = {frame for frame in known if len(frame.replace("@", "")) > 3}
    assert not known & (masked["open"] | masked["final"])


def _mask(segments: tuple) -> str:
    return "".join("@" if segment.label else fold(segment.text) for segment in segments)


def _frame_part(piece: object) -> str:
    if isinstance(piece, Slot):
        return fold(piece.preposition) + "@" if piece.preposition else "@"
    if isinstance(piece, Filler):
        return "*"
    return fold(piece.options[0]) if isinstance(piece, Choice) else fold(piece)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a JSON object"),
        ('{"text": "de [Lyon](DEP)"}', "'phenomenon'"),
        ('{"text": "de [Lyon](FROM)", "phenomenon": "x"}', "unknown label 'FROM'"),
        ('{"text": "de [Lyon(DEP)", "phenomenon": "x"}', "a span mark is not closed"),
        ('{"text": "de [](DEP)", "phenomenon": "x"}', "is empty"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(f'{{"text": "ok", "phenomenon": "x"}}\n{line}\n', encoding="utf8")
    with pytest.raises(UserError) as caught:
        load_challenge(path)
    assert f"{path}:2: " in str(caught.value)
    assert says in str(caught.value)
