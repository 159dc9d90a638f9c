"""The challenge halves: well formed, large enough, apart from each other and from the training frames."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.challenge import (
    HALVES,
    REGISTERS,
    WRITTEN_NOISES,
    challenge_reader,
    half_path,
    load_challenge,
)
from trajet.corpus.frames import Choice, Frame, Piece, load_fillers, load_frames, parse
from trajet.corpus.places import fold
from trajet.errors import UserError
from trajet.registry import challenge

# Folded letters of a frame's own words, below which anybody would write it.
LEAST_LETTERS = 14
# The longest name of a place has 38, and there is its preposition; more is another sentence.
MOST_IN_A_SLOT = 45


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
    texts = [sentence.text for name in HALVES for sentence in _half(name)]
    # The frame's place alone: a sentence of the final half is never shown.
    used = _frames_of(texts, frames)
    assert used == []


def test_a_sentence_is_known_for_a_frame_whatever_stands_in_it() -> None:
    fillers = {"jour": ["demain"]}
    line = "<Bonjour|Bonsoir>, {jour} je quitte {DEP} pour {ARR} sans passer par {PLACE} !"
    frame = Frame("frames/x.txt:1", "x", line, parse(line, "x:1", fillers))
    short = Frame("frames/x.txt:2", "x", "{DEP} puis {ARR} vite", parse("{DEP} puis {ARR} vite", "x:2", fillers))
    for text, found in (
        ("bonsoir lundi à midi je quitte Le Mans pour la gare de lyon sans passer par Tours", True),
        ("Bonjour, demain, JE QUITTE Pau pour Aix-en-Provence, sans passer par l'Île-d'Yeu...", True),
        ("Salut, demain je quitte Le Mans pour Lyon sans passer par Tours", False),
        ("Bonsoir, demain je quitte Le Mans pour Lyon sans passer par Tours" + " et tout ce qui est autour" * 3, False),
        ("Bonsoir, demain je quitte Le Mans pour Lyon", False),
        ("Lyon puis Nice vite", False),
    ):
        assert _frames_of([text], [frame, short]) == ["frames/x.txt:1"] * found, text


def _frames_of(texts: list[str], frames: list[Frame]) -> list[str]:
    """Which of the frames, by file and line, some text is made from, whatever stands in its slots and fillers.

    All is compared folded. A frame whose own words are few is nobody's.
    """
    sentences = [fold(text) for text in texts]
    together = "\n".join(sentences)
    used = []
    for frame in frames:
        words = [fold(piece) for piece in frame.pieces if isinstance(piece, str)]
        # Nearly every frame has words that no sentence has: a regular expression is made for few.
        if sum(map(len, words)) < LEAST_LETTERS or not all(word in together for word in words):
            continue
        pattern = re.compile("".join(map(_pattern, frame.pieces)))
        if any(pattern.fullmatch(sentence) for sentence in sentences if all(word in sentence for word in words)):
            used.append(frame.ident)
    return used


def _pattern(piece: Piece) -> str:
    if isinstance(piece, Choice):
        return f"(?:{'|'.join(re.escape(fold(option)) for option in piece.options)})"
    return re.escape(fold(piece)) if isinstance(piece, str) else f".{{1,{MOST_IN_A_SLOT}}}"


def _mask(segments: tuple) -> str:
    return "".join("@" if segment.label else fold(segment.text) for segment in segments)


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


def test_the_reader_gives_all_sentences_and_those_that_a_noise_changes_once_more_under_it(tmp_path: Path) -> None:
    path = tmp_path / "challenge.jsonl"
    lines = ["de [Évry](DEP) à [Pau](ARR)", "vers [Pau](ARR)", "de [Évry](DEP), vite"]
    path.write_text("".join(json.dumps({"text": text, "phenomenon": "plain"}) + "\n" for text in lines), "utf8")
    examples = list(challenge_reader(path, ["accents", "upper"])(blank_pipeline()))
    found = [(eg.reference.user_data["frame"].removeprefix(str(path)), eg.reference.text) for eg in examples]
    assert found == [
        (":1", "de Évry à Pau"),
        (":2", "vers Pau"),
        (":3", "de Évry, vite"),
        (":1 accents", "de Evry a Pau"),
        (":3 accents", "de Evry, vite"),
        (":1 upper", "DE ÉVRY À PAU"),
        (":2 upper", "VERS PAU"),
        (":3 upper", "DE ÉVRY, VITE"),
    ]
    assert [(ent.text, ent.label_) for ent in examples[5].reference.ents] == [("ÉVRY", "DEP"), ("PAU", "ARR")]
    assert not any(example.predicted.ents for example in examples)


def test_the_readers_noise_follows_its_seed() -> None:
    one, again, other = (
        [eg.text for eg in challenge_reader(half_path(ROOT / "corpus", "open"), ["typo"], seed)(blank_pipeline())]
        for seed in (0, 0, 1)
    )
    assert one == again != other
    # Few sentences have no word to mistype; a name that runs into its neighbour is left out.
    assert len(one) > 1.9 * len(_half("open"))


def test_the_reader_refuses_an_unknown_noise() -> None:
    with pytest.raises(UserError, match="noises has 'tipo'; the noises are lower, "):
        challenge_reader(Path("challenge.jsonl"), ["tipo"])


def test_a_missing_file_ends_a_training_with_one_line(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        challenge("nowhere.jsonl")(blank_pipeline())
    assert (left.value.code, capsys.readouterr().err.count("\n")) == (2, 1)
