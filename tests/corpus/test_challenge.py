"""The challenge halves: well formed, large enough, apart from each other and from the training frames."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.challenge import HALVES, REGISTERS, WRITTEN_NOISES, half_path, load_challenge
from trajet.corpus.frames import Choice, Filler, Slot, load_fillers, load_frames
from trajet.corpus.places import fold
from trajet.errors import UserError


def _half(name: str) -> list:
    return load_challenge(half_path(ROOT / "corpus", name))


def test_there_are_more_than_a_thousand_sentences_of_many_kinds() -> None:
    halves = [_half(name) for name in HALVES]
    assert sum(map(len, halves)) >= 1000
    for half in halves:
        assert len(Counter(sentence.phenomenon for sentence in half)) >= 45


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
        ('{"text": 7, "phenomenon": "x"}', "must both be strings"),
        ('{"text": "ok", "phenomenon": null}', "must both be strings"),
        (
            '{"text": "ok", "phenomenon": "x", "register": "slang"}',
            "unknown register 'slang'; write one of neutral, formal",
        ),
        ('{"text": "ok", "phenomenon": "x", "noise": ["typo"]}', "unknown noise ['typo']; write one of none, typo"),
        ('{"text": "ok", "phenomenon": "x", "noise": null}', "unknown noise None"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(f'{{"text": "ok", "phenomenon": "x"}}\n{line}\n', encoding="utf8")
    with pytest.raises(UserError) as caught:
        load_challenge(path)
    assert f"{path}:2: " in str(caught.value)
    assert says in str(caught.value)


def test_register_and_noise_may_be_given_and_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    lines = [
        '{"text": "ok", "phenomenon": "x"}',
        '{"text": "tkt jpars de [lyon](DEP)", "phenomenon": "x", "register": "chat", "noise": "sms"}',
    ]
    path.write_text("\n".join(lines), encoding="utf8")
    plain, chat = load_challenge(path)
    assert (plain.register, plain.noise) == ("neutral", "none")
    assert (chat.register, chat.noise) == ("chat", "sms")


def test_the_readme_names_every_register_and_noise() -> None:
    text = (ROOT / "corpus" / "README.md").read_text(encoding="utf8")
    assert all(f"`{value}`" in text for value in (*REGISTERS, *WRITTEN_NOISES))
