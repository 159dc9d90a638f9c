"""Noises of whole words: what is left out, exchanged, shortened, misheard - and what never is."""

import random

import pytest

from tests.corpus.test_noise import marked, outcomes, segments_of
from trajet.corpus.noise import NOISES
from trajet.corpus.noise.sms import SPELLINGS
from trajet.corpus.noise.speech import HOMOPHONES, in_letters
from trajet.corpus.noise.synonyms import SYNONYMS, synonyms
from trajet.corpus.noise.words import deletion, movable, protected, swaps

REQUEST = "Bonjour madame, auriez-vous un petit billet tout simple pour [Lyon]ARR demain matin, pas trop tard svp ?"


def _movable(text: str) -> list[str]:
    segments = segments_of(text)
    return [segments[index].text[start:end] for index, start, end in movable(segments)]


# -- left out and exchanged ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Two words before a place and one after it stay, and so does what decides about roles.
        (REQUEST, ["Bonjour", "madame", "un", "petit", "billet", "tout", "matin", "trop", "tard", "svp"]),
        ("finalement je pars plutôt de [Lyon]DEP", []),
        ("un train de nuit qui ne passe pas par [Pau] pour [Dax]ARR", ["un", "train", "nuit"]),
        # Names nobody labelled count as places.
        ("Le petit billet pour Lyon demain matin", ["petit", "matin"]),
        ("il me faut 2 places à 8h30 rapidement", ["faut", "places", "rapidement"]),
    ],
)
def test_what_may_go_or_move(text: str, words: list[str]) -> None:
    assert _movable(text) == words


@pytest.mark.parametrize(
    "word",
    ["de", "D'", "du", "des", "à", "a", "À", "au", "aux", "en", "vers", "pour", "depuis", "jusqu'à", "via", "par", "entre",
     "et", "puis", "non", "pas", "plus", "j'arrive", "pars", "Partir", "qu'il", "rentrerons", "passant", "évitant", "escale",
     "habite", "provenance", "destination", "aller-retour", "plutôt", "l'aéroport"],
)  # fmt: skip
def test_protected_words(word: str) -> None:
    assert protected(word)


def test_deletion_takes_its_share_of_the_movable_words_and_no_others() -> None:
    texts = [marked(deletion(0.3)(segments_of(REQUEST), random.Random(seed))) for seed in range(1000)]
    for text in texts:
        for kept in ("auriez-vous", "simple pour [Lyon]ARR demain", "pas"):
            assert kept in text
        assert "  " not in text
        assert text.endswith(" ?")
    for word in ("Bonjour", "billet", "matin", "svp"):
        assert sum(word not in text for text in texts) / 1000 == pytest.approx(0.3, abs=0.05)
    assert (
        marked(deletion(1.0)(segments_of(REQUEST), random.Random(0)))
        == "auriez-vous simple pour [Lyon]ARR demain, pas ?"
    )


def test_deletion_leaves_a_sentence() -> None:
    assert marked(deletion(1.0)(segments_of("merci beaucoup"), random.Random(0))) == "merci beaucoup"


def test_swaps_exchange_neighbours_and_keep_the_capital_in_front() -> None:
    found = set(outcomes("swap", REQUEST))
    assert REQUEST.replace("Bonjour madame", "Madame bonjour") in found
    assert REQUEST.replace("petit billet", "billet petit") in found
    assert len(found) == 6
    for text in found:
        assert sorted(text.lower().replace(",", " ").split()) == sorted(REQUEST.lower().replace(",", " ").split())
        for kept in ("simple pour [Lyon]ARR demain", "pas"):
            assert kept in text
    twice = {marked(swaps(2)(segments_of(REQUEST), random.Random(seed))) for seed in range(300)}
    assert len(twice) > len(found)
    assert set(outcomes("swap", "je pars de [Lyon]DEP")) == {"je pars de [Lyon]DEP"}


# -- synonyms --------------------------------------------------------------------------------------


def test_synonyms_keep_elisions_right_and_decide_nothing() -> None:
    assert len(SYNONYMS) >= 70
    for word, others in SYNONYMS.items():
        for other in others:
            assert other != word
            assert " " not in other, "labels by token position need one word for one"
            vowels = [text[0] in "aeéèiouyœ" or text.startswith("ho") for text in (word, other)]
            assert vowels[0] == vowels[1], (word, other)


def test_synonyms_replace_their_share() -> None:
    text = "Bonjour, un billet rapide pour [Lyon]ARR, d'un prix-billet"
    noisy = [marked(synonyms(0.5)(segments_of(text), random.Random(seed))) for seed in range(600)]
    assert sum("un ticket" in text for text in noisy) / 600 == pytest.approx(0.5, abs=0.06)
    assert {text.split(",")[0] for text in noisy} == {"Bonjour", "Bonsoir", "Salut"}
    assert all(text.endswith("pour [Lyon]ARR, d'un prix-billet") for text in noisy)
    assert marked(synonyms(0.0)(segments_of(text), random.Random(0))) == text


# -- short messages --------------------------------------------------------------------------------


def test_the_list_of_short_spellings() -> None:
    assert len(SPELLINGS) >= 80
    for full, short in {
        "pour": "pr", "je": "j", "que": "ke", "quelqu'un": "qqn", "demain": "dem1", "c'est": "c", "s'il te plaît": "stp",
        "s'il te plait": "stp", "beaucoup": "bcp", "dans": "ds", "vous": "vs", "nous": "ns", "salut": "slt",
        "bonjour": "bjr", "rendez-vous": "rdv",
    }.items():  # fmt: skip
        assert short in SPELLINGS[full]
    assert all(text.strip() and text not in ("", full) for full, short in SPELLINGS.items() for text in short)


def test_short_spellings_touch_whole_words_away_from_places() -> None:
    found = outcomes("sms", "Bonjour, je ne sais pas pour qui, demain,[Lyon]ARR, c’est l'un que pourvu")
    words = {word for text in found for word in text.replace(",", "").split()}
    assert {"Bjr", "Bonjour", "jsp", "sais", "pr", "pour", "ki", "c", "cé", "l'un", "ke", "q", "pourvu"} <= words
    assert not {"l'1", "prvu"} & words
    # "dem1,Lyon" would be one token.
    assert all(" demain,[Lyon]ARR, " in text for text in found)


# -- speech ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"),
    {
        0: "zéro", 1: "un", 16: "seize", 17: "dix-sept", 21: "vingt et un", 22: "vingt-deux", 70: "soixante-dix",
        71: "soixante et onze", 79: "soixante-dix-neuf", 80: "quatre-vingts", 81: "quatre-vingt-un",
        91: "quatre-vingt-onze", 100: "cent", 101: "cent un", 200: "deux cents", 280: "deux cent quatre-vingts",
        999: "neuf cent quatre-vingt-dix-neuf",
    }.items(),
)  # fmt: skip
def test_numbers_in_letters(number: int, words: str) -> None:
    assert in_letters(number) == words


@pytest.mark.parametrize("number", [-1, 1000])
def test_numbers_that_nobody_spells_out(number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} is not between 0 and 999"):
        in_letters(number)


def test_times_prices_and_counts_are_said() -> None:
    (said,) = outcomes("numbers", "2 places à 18h30 ou 1 h, 9 heures 15, 20€, le 12/05, [Paris 12e]ARR 75012", 5)
    assert said == (
        "deux places à dix-huit heures trente ou une heure, neuf heures quinze, vingt euros, le 12/05, [Paris 12e]ARR 75012"
    )


def test_homophones_are_whole_words_of_their_group() -> None:
    for word, others in HOMOPHONES.items():
        assert others
        assert word not in others
        assert all(word in HOMOPHONES[other] for other in others)
    found = outcomes("homophones", "C'est à [Lyon]ARR ou jusqu'à la-bas, et l'on", 500)
    words = {word for text in found for word in text.replace(",", "").split()}
    assert {"C'est", "Ces", "Ses", "S'est", "à", "a", "ou", "où", "et", "est"} <= words
    assert all("jusqu'à la-bas" in text and text.endswith("l'on") for text in found)


def test_verbs_may_end_as_they_sound() -> None:
    found = outcomes("endings", "hier il faut réserver et payé avant février", 500)
    words = {word for text in found for word in text.split()}
    assert {"réservé", "réservez", "réserver", "payer", "payez", "payé"} <= words
    assert all(text.startswith("hier il faut ") and text.endswith(" avant février") for text in found)


def test_a_dictated_sentence_has_no_capital_and_no_sign() -> None:
    for seed in range(100):
        (text,) = {
            marked(
                NOISES["speech"](
                    segments_of("— Je vais d'[Aix-les-Bains]DEP→[Nice]ARR, 39,90 € !"), random.Random(seed)
                )
            )
        }
        start, rest = text.split("[", 1)
        assert start == "je vais d'"
        assert rest in {f"{name}]DEP [nice]ARR 39,90 €" for name in ("aix-les-bains", "aix les bains")}
