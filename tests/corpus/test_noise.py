"""Every noise on every kind of sentence: labels stay, spans align, seeds repeat; and what each kind does."""

import random
from collections import Counter

import pytest

from tests.conftest import ROOT
from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.frames import load_fillers, load_frames
from trajet.corpus.noise import HABITS, NOISES, Habit, disturb, strip_accents
from trajet.corpus.noise.basis import free_range, joined
from trajet.corpus.places import load_places
from trajet.corpus.render import PlacePool, Segment, render


def segments_of(marked: str) -> list[Segment]:
    """Segments of "Je pars d'[Angers]DEP vers [Nice]": a place in brackets, its label behind."""
    segments = []
    for part in marked.split("["):
        name, bracket, rest = part.partition("]")
        if not bracket:
            segments.append(Segment(name))
            continue
        label = rest[:3] if rest[:3] in ("DEP", "ARR") else ""
        segments += [Segment(name, label, place=True), Segment(rest[len(label) :])]
    return [segment for segment in segments if segment.text]


def marked(segments: list[Segment]) -> str:
    return "".join(f"[{s.text}]{s.label}" if s.place else s.text for s in segments)


def outcomes(name: str, text: str, seeds: int = 300) -> Counter:
    """What a noise makes of a sentence, by how often."""
    return Counter(marked(NOISES[name](segments_of(text), random.Random(seed))) for seed in range(seeds))


@pytest.fixture(scope="module")
def rendered() -> list[list[Segment]]:
    """A sentence of every twentieth frame."""
    fillers = load_fillers(ROOT / "corpus" / "fillers")
    pool = PlacePool(load_places(ROOT / "corpus" / "places"))
    rng = random.Random(11)
    frames = load_frames(ROOT / "corpus", fillers)[::20]
    assert len(frames) > 400
    return [render(frame, [(1.0, pool)], fillers, rng) for frame in frames]


@pytest.mark.parametrize("segments", [[], [Segment("")]])
def test_an_empty_document_stays_empty_under_every_habit(segments: list[Segment]) -> None:
    for name, habit in HABITS.items():
        habits = {name: Habit(1.0, habit.noises)}
        assert disturb(list(segments), random.Random(0), habits) == segments, name


# -- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOISES)
def test_every_twentieth_frame_aligns_under_every_noise(name: str, rendered: list[list[Segment]]) -> None:
    nlp, rng = blank_pipeline(), random.Random(5)
    changed = 0
    for segments in rendered:
        noisy = NOISES[name](joined(segments), rng)
        assert [s.label for s in noisy if s.place] == [s.label for s in segments if s.place]
        doc = make_doc(nlp, [segment for segment in noisy if segment.text], name)
        assert [(e.text, e.label_) for e in doc.ents] == [(s.text, s.label) for s in noisy if s.label]
        changed += marked(noisy) != marked(segments)
    assert changed > 5


@pytest.mark.parametrize("name", NOISES)
def test_a_noise_repeats_with_its_seed_and_leaves_what_it_is_given(name: str, rendered: list[list[Segment]]) -> None:
    whole = [joined(segments) for segments in rendered[:200]]
    before = [list(segments) for segments in whole]
    first, again = ([NOISES[name](segments, rng) for segments in whole] for rng in (random.Random(3), random.Random(3)))
    assert first == again
    assert whole == before


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize(
    "text", ["[Y]DEP", "[Lyon]DEP-[Metz]ARR", "!", " ", "a", "d'[Y]ARR", "[Lyon]ARR ?", "« [Ay]DEP »→[Nice]ARR!!"]
)
def test_very_short_sentences(name: str, text: str) -> None:
    for seed in range(20):
        noisy = NOISES[name](segments_of(text), random.Random(seed))
        assert [s.label for s in noisy if s.label] == [s.label for s in segments_of(text) if s.label]
        assert all(s.text.strip() and s.text == s.text.strip() for s in noisy if s.place)


def test_what_touches_a_place_is_not_free() -> None:
    segments = segments_of("demain,[Lyon]DEP-[Metz]ARR, lundi d'[Angers]")
    free = [s.text[slice(*free_range(segments, i))] for i, s in enumerate(segments) if not s.place]
    assert free == ["", "", " lundi "]
    assert segments_of("a [Lyon] b")[0].text[slice(*free_range(segments_of("a [Lyon] b"), 0))] == "a "


def test_neighbours_without_a_place_become_one_segment() -> None:
    segments = [Segment("jusqu'"), Segment("à "), Segment("Lyon", "ARR", True), Segment(" "), Segment("vite")]
    assert joined(segments) == [Segment("jusqu'à "), Segment("Lyon", "ARR", True), Segment(" vite")]


# -- habits ----------------------------------------------------------------------------------------


def test_habits_name_noises_and_their_shares_leave_most_sentences_alone() -> None:
    for name, habit in HABITS.items():
        assert set(habit.noises) <= set(NOISES)
        # One name, one meaning: a config may name either.
        assert name not in NOISES or habit.noises == (name,)
    assert set(NOISES) - {noise for habit in HABITS.values() for noise in habit.noises} <= {
        "homophones", "endings", "numbers",  # parts of speech
    }  # fmt: skip
    assert sum(habit.share for habit in HABITS.values()) == pytest.approx(0.4)


def test_between_a_third_and_two_fifths_of_the_sentences_change(rendered: list[list[Segment]]) -> None:
    rng = random.Random(2)
    changed = [marked(disturb(segments, rng)) != marked(segments) for segments in rendered * 4]
    assert 0.33 < sum(changed) / len(changed) < 0.42


def test_habits_are_drawn_by_share() -> None:
    segments = segments_of("Où aller d'[Évry]DEP ?")
    habits = {
        "accents": Habit(0.25, ("accents",)),
        "upper": Habit(0.5, ("upper",)),
    }
    rng = random.Random(0)
    found = Counter(marked(disturb(segments, rng, habits)) for _ in range(2000))
    assert set(found) == {"Où aller d'[Évry]DEP ?", "Ou aller d'[Evry]DEP ?", "OÙ ALLER D'[ÉVRY]DEP ?"}
    assert found["Ou aller d'[Evry]DEP ?"] / 2000 == pytest.approx(0.25, abs=0.04)
    assert found["OÙ ALLER D'[ÉVRY]DEP ?"] / 2000 == pytest.approx(0.5, abs=0.04)


# -- letters and signs -----------------------------------------------------------------------------

ALWAYS = {
    "lower": "je vais d'[évry]DEP à [saint-malo]ARR !",
    "upper": "JE VAIS D'[ÉVRY]DEP À [SAINT-MALO]ARR !",
    "accents": "Je vais d'[Evry]DEP a [Saint-Malo]ARR !",
    "hyphens": "Je vais d'[Évry]DEP à [Saint Malo]ARR !",
    "saint": "Je vais d'[Évry]DEP à [St-Malo]ARR !",
    "apostrophe": "Je vais d’[Évry]DEP à [Saint-Malo]ARR !",
    "no-end": "Je vais d'[Évry]DEP à [Saint-Malo]ARR",
    "no-apostrophe": "Je vais d'[Évry]DEP à [Saint-Malo]ARR !",
}


@pytest.mark.parametrize(("name", "expected"), ALWAYS.items())
def test_noises_that_leave_nothing_to_chance(name: str, expected: str) -> None:
    assert set(outcomes(name, "Je vais d'[Évry]DEP à [Saint-Malo]ARR !", 20)) == {expected}


def test_ligatures_and_accents() -> None:
    assert strip_accents("Nîmes, Œuilly, Lætitia, ÇA") == "Nimes, Oeuilly, Laetitia, CA"


def test_a_lost_apostrophe_never_glues_a_word_to_a_place() -> None:
    found = outcomes("no-apostrophe", "J'arrive d'[Évry]DEP, qu'importe", 50)
    assert set(found) == {
        f"{first} d'[Évry]DEP, {last}" for first in ("Jarrive", "J arrive") for last in ("quimporte", "qu importe")
    }


def test_slips_of_the_finger() -> None:
    found = outcomes("typo", "[Lyon]DEP ?", 2000)
    assert {"[Lyyon]DEP ?", "[Lyo]DEP ?", "[Loyn]DEP ?", "[Lyin]DEP ?"} <= set(found)
    assert all(text.startswith("[L") for text in found)
    assert set(outcomes("doubled", "[Lyon]DEP ?")) == {"[Lyyon]DEP ?", "[Lyoon]DEP ?", "[Lyonn]DEP ?"}
    # What is written in capitals is mistyped in capitals.
    assert all(text[1:].split("]")[0].isupper() for text in outcomes("typo", "[LYON]DEP ?"))


# -- names -----------------------------------------------------------------------------------------

BY_EAR = {
    "Marseille": {"Marseile", "Marseill"},
    "Philippeville": {"Philipeville"},
    "Joseph": {"Josef"},
    "Bordeaux": {"Bordo", "Bordeau"},
    "Toulouse": {"Tulouse", "Toulous", "Touluse"},
    "Calais": {"Calès", "Calai"},
    "Nantes": {"Nante", "Nant", "Nentes"},
    "Thiers": {"Thier"},
    "Besançon": {"Besanson"},
    "Nancy": {"Nanssy"},
    "CALAIS": {"CALÈS"},
}


@pytest.mark.parametrize(("name", "some"), BY_EAR.items())
def test_names_by_ear(name: str, some: set[str]) -> None:
    written = {text[1:].split("]")[0] for text in outcomes("by-ear", f"[{name}]ARR", 800)}
    assert some <= written
    assert all(text[0] == name[0] for text in written)


@pytest.mark.parametrize("name", ["Y", "Ay", "Dax", "Sus"])
def test_short_names_are_known_by_heart(name: str) -> None:
    assert set(outcomes("by-ear", f"[{name}]ARR")) == {f"[{name}]ARR"}


def test_names_taken_apart() -> None:
    found = set(outcomes("apart", "de [Saint-Étienne]DEP au [Mans]ARR ou à [Le Mans]"))
    names = {text[text.index("[") + 1 : text.index("]")] for text in found}
    assert names == {"Saint Étienne", "saint étienne", "St Étienne", "st étienne", "Saint Etienne", "saint etienne",
                     "St Etienne", "st etienne"}  # fmt: skip
    assert any("[le mans]" in text for text in found)
    assert all(text.startswith("de [") for text in found)
