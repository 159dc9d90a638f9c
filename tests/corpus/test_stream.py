"""trajet.Frames.v1: what an endless stream of sentences gives, and what it never gives."""

import random
import re
from itertools import islice
from pathlib import Path

import pytest

from tests.corpus.small_sources import small_sources
from trajet.corpus.build import blank_pipeline, hold_out_places, split_frames
from trajet.corpus.frames import load_fillers, load_frames
from trajet.corpus.invented import InventedPlaces, chain_names
from trajet.corpus.noise import HABITS
from trajet.corpus.places import fold, load_places
from trajet.corpus.render import PlacePool
from trajet.corpus.stream import Mix, frames_reader
from trajet.errors import UserError

PLAIN = Mix(rare=0.0, invented=0.0, joined=0.0, noise=False)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def nlp():
    return blank_pipeline()


@pytest.fixture(scope="module")
def split(sources: Path):
    return split_frames(load_frames(sources, load_fillers(sources / "fillers")), 0)


@pytest.fixture(scope="module")
def towns(sources: Path):
    return hold_out_places(load_places(sources / "places"), 0)


def _read(reader, nlp, count: int) -> list[tuple]:
    return [
        (example.text, tuple((ent.text, ent.label_) for ent in example.reference.ents))
        for example in islice(reader(nlp), count)
    ]


def _spans(rows: list[tuple]) -> list[str]:
    return [name for _, spans in rows for name, _ in spans]


def test_a_round_shows_each_training_frame_once_and_the_next_has_other_places(sources, nlp, split) -> None:
    count = len(split["train"])
    rows = _read(frames_reader(sources, mix=PLAIN), nlp, 2 * count)

    def patterns(frames) -> list[re.Pattern]:
        slot = r"(?:\{[^}]*\}|<[^>]*>)"
        return [re.compile(".*".join(re.escape(t) for t in re.split(slot, f.source)), re.I | re.S) for f in frames]

    first, second = rows[:count], rows[count:]
    for pattern in patterns(split["train"]):
        assert any(pattern.fullmatch(text) for text, _ in first), pattern
    assert _spans(first) != _spans(second)
    assert len({text for text, _ in first} & {text for text, _ in second}) < count / 4


def test_held_places_and_frames_never_come(sources, nlp, split, towns) -> None:
    # A name may be both a held village and a known station, or end like a known one ("Le Mans", "Mans").
    known, held = ({fold(place.name) for places in part.values() for place in places} for part in towns)
    held -= known | {name.removeprefix("le").removeprefix("les") for name in known}
    rows = _read(frames_reader(sources, mix=Mix(0.5, 0.0, 0.0, False)), nlp, 600)
    assert not {fold(name) for name in _spans(rows)} & held
    words = {" ".join(re.sub(r"\{[^}]*\}|<[^>]*>", " ", f.source).split()) for f in split["dev"] + split["test"]}
    long_ones = [text for text in words if len(text) > 25 and "{" not in text]
    assert long_ones
    assert not any(text in row for text in long_ones for row, _ in rows)


def test_the_same_draws_give_the_same_sentences_and_others_others(sources, nlp) -> None:
    def once(draws: int) -> list[tuple]:
        return _read(frames_reader(sources, draws=draws), nlp, 80)

    assert once(0) == once(0)
    assert once(0) != once(1)


def test_rare_and_invented_shares_are_those_asked_for(sources, nlp, towns) -> None:
    known, _ = towns
    names = {fold(place.name) for places in known.values() for place in places}
    invented = _spans(_read(frames_reader(sources, mix=Mix(0.0, 0.4, 0.0, False)), nlp, 700))
    share = sum(fold(name) not in names for name in invented) / len(invented)
    # Slots that ask for a station or an area keep a real one.
    assert 0.25 < share < 0.42
    big = {fold(place.name) for place in sorted(known["town"], key=lambda p: -p.weight)[:700]}
    common = _spans(_read(frames_reader(sources, mix=PLAIN), nlp, 700))
    rare = _spans(_read(frames_reader(sources, mix=Mix(1.0, 0.0, 0.0, False)), nlp, 700))

    def of_the_big(spans: list[str]) -> float:
        return sum(fold(name) in big for name in spans) / len(spans)

    assert of_the_big(rare) < 0.5 * of_the_big(common)


def test_a_sentence_beside_a_request_adds_no_label(sources, nlp) -> None:
    alone = list(islice(frames_reader(sources, mix=PLAIN)(nlp), 300))
    joined = list(islice(frames_reader(sources, mix=Mix(0.0, 0.0, 1.0, False))(nlp), 300))
    requests = [example.reference for example in joined if example.reference.ents]
    assert sum(len(doc) for doc in requests) / len(requests) > 1.3 * (
        sum(len(e.reference) for e in alone if e.reference.ents) / sum(bool(e.reference.ents) for e in alone)
    )
    most = max(len(example.reference.ents) for example in alone)
    assert max(len(doc.ents) for doc in requests) <= most


def test_tags_tell_the_role_of_every_word(sources, nlp) -> None:
    seen = set()
    for example in islice(frames_reader(sources, roles=True)(nlp), 300):
        doc = example.reference
        for token in doc:
            label = token.ent_type_
            assert token.tag_ == label if label else token.tag_ in ("PLACE", "O")
            seen.add(token.tag_)
    assert seen == {"DEP", "ARR", "PLACE", "O"}


def test_a_share_of_the_frames_is_part_of_a_larger_one(sources, nlp, split) -> None:
    total = len(split["train"])
    small = frames_reader(sources, mix=PLAIN, share=0.1)
    frames = round(0.1 * total)
    rows = _read(small, nlp, 4 * frames)
    # Each frame once a round: the k-th round shows the same frames again.
    assert len(rows) == 4 * frames
    lengths = [sorted(len(text.split()) for text, _ in rows[k * frames : (k + 1) * frames]) for k in range(4)]
    assert max(abs(a - b) for row in lengths[1:] for a, b in zip(lengths[0], row, strict=True)) < 12


def test_a_noise_left_out_leaves_the_others() -> None:
    assert {noise for habit in Mix(without=("typo",)).habits.values() for noise in habit.noises} == {
        noise for habit in HABITS.values() for noise in habit.noises
    } - {"typo"}
    assert Mix(noise=False).habits == {}


def test_invented_names_are_no_real_ones_and_look_like_them(towns) -> None:
    known, _ = towns
    real = {fold(place.name) for part in towns for places in part.values() for place in places}
    pool = InventedPlaces(chain_names(known["town"]), real, PlacePool(known))
    rng = random.Random(0)
    names = [pool.draw(rng).name for _ in range(3000)]
    assert not {fold(name) for name in names} & real
    assert len(set(names)) > 2500
    # Every run of four letters stands in some real name.
    runs = {name[i : i + 4] for name in chain_names(known["town"]) for i in range(len(name) - 3)}
    assert all(name[i : i + 4] in runs for name in names for i in range(len(name) - 3))
    assert pool.draw(rng, "station").kind == "station"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"mix": Mix(rare=-0.1)}, "rare"),
        ({"mix": Mix(rare=0.8, invented=0.4)}, "together"),
        ({"mix": Mix(joined=1.5)}, "joined"),
        ({"mix": Mix(without=("nosuch",))}, "nosuch"),
        ({"share": 0}, "share"),
        ({"share": True}, "share"),
    ],
)
def test_a_bad_share_is_refused(sources, settings, word) -> None:
    with pytest.raises(UserError, match=word):
        frames_reader(sources, **settings)


def test_missing_sources_are_named(tmp_path: Path, nlp) -> None:
    with pytest.raises(UserError, match="fillers"):
        next(frames_reader(tmp_path)(nlp))
