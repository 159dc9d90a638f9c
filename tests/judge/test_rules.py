"""The rules baseline on sentences whose places anybody can point at."""

import pytest

from tests.conftest import ROOT
from trajet.corpus.places import Place
from trajet.errors import UserError
from trajet.evaluation import Span
from trajet.judge.gazetteer import Gazetteer, ordinary_words
from trajet.judge.rules import Rules, load_rules
from trajet.marked import split_marked

NAMES = (
    "Lyon", "Paris", "Saint-Étienne", "Le Mans", "La Rochelle", "La Côte", "Côte d'Azur", "Mer", "Nice", "Tours",
    "Aix-en-Provence", "Gare du Nord", "Paris Gare de Lyon", "L'Isle-Adam", "Bretagne", "Eu",
)  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(Gazetteer([Place(name, "town", 1.0) for name in NAMES], {"mer", "tours"}))


def _gold(marked: str) -> tuple[str, frozenset[Span]]:
    text, spans = "", set()
    for piece, label in split_marked(marked, "test"):
        if label:
            spans.add((len(text), len(text) + len(piece), label))
        text += piece
    return text, frozenset(spans)


@pytest.mark.parametrize(
    "marked",
    [
        "Je vais de [Lyon](DEP) à [Paris](ARR)",
        "je pars d'[aix en provence](DEP) vers [saint etienne](ARR)",
        "DEPUIS [ST-ETIENNE](DEP) JUSQU'À [L’ISLE ADAM](ARR)",
        "Du [Mans](DEP) à [Le Mans](ARR)",
        "entre [Lyon](DEP) et [Nice](ARR), demain",
        "un [Lyon](DEP)-[Nice](ARR) svp",
        "un [lyon](DEP) [nice](ARR) svp",
        "[Lyon](DEP) -> Paris > [Nice](ARR)",
        "[Lyon](DEP) (69000) => [Nice](ARR) (06000)",
        "de [Lyon](DEP) à [Nice](ARR) via Paris",
        "de [Lyon](DEP) à [Nice](ARR) en passant par Paris et Tours",
        "[Lyon](DEP) à [Paris](ARR)",
        "[Nice](ARR), on y va depuis [Lyon](DEP)",
        "à destination de [La Rochelle](ARR)",
        "Départ : [Lyon](DEP), arrivée : [Nice](ARR)",
        "de la gare de [Lyon](DEP) à la [gare du Nord](ARR)",
        "de [Paris Gare de Lyon](DEP) à [Paris 12e](ARR)",
        "à [Paris](ARR) ou [Nice](ARR)",
        "à Paris, euh non, à [Lyon](ARR)",
        "de [Lyon](DEP) à Paris puis [Nice](ARR)",
        "sur la [Côte d'Azur](ARR)",
        "Je suis bloqué à [Lyon](DEP), je rentre à [Nice](ARR)",
        "Je vais à [Tours](ARR) et à [Mer](ARR)",
        "la mer, deux tours et j'ai eu froid en mer",
        "Bonjour, un billet svp",
        "Mans est un nom",
        "",
    ],
)  # fmt: skip
def test_a_sentence_is_marked_as_a_reader_would(rules: Rules, marked: str) -> None:
    text, gold = _gold(marked)
    assert rules.spans(text) == gold


def test_it_judges_places_not_trips(rules: Rules) -> None:
    # The baseline's known weakness, and what the column of the negatives shows.
    assert rules.spans("le train Paris-Lyon est en retard") == {(9, 14, "DEP"), (15, 19, "ARR")}


def test_several_texts_are_several_answers(rules: Rules) -> None:
    assert rules(["à Lyon", "rien"]) == [frozenset({(2, 6, "ARR")}), frozenset()]


def test_two_names_that_touch_without_a_gap_of_one_name_stay_two() -> None:
    found = Gazetteer([Place("Aix en Provence", "town", 1.0), Place("Aix", "town", 1.0)])
    text = "Aix, en Provence ; aix‑en‑provence"
    assert [text[start:end] for start, end in found.find(text)] == ["Aix", "aix‑en‑provence"]


def test_ordinary_words_are_those_the_frames_use_in_lower_case() -> None:
    fillers = {"jour": ["lundi", "mardi", "Noël"]}
    assert ordinary_words([], fillers, least=1) == {"lundi", "mardi"}
    assert ordinary_words([], {"jour": ["la mer", "en mer"]}, least=2) == {"mer"}


def test_the_real_gazetteer_knows_every_kind_of_place() -> None:
    rules = load_rules(ROOT / "corpus")
    for marked in (
        "De [Clermont-Ferrand](DEP) à [Nevers](ARR)",
        "de la [gare du Nord](DEP) à [Roissy](ARR)",
        "de [londres](DEP) en [bretagne](ARR)",
        "vers [Lyon Part-Dieu](ARR)",
    ):
        text, gold = _gold(marked)
        assert rules.spans(text) == gold


def test_missing_sources_are_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"fillers: no \.txt file"):
        load_rules(tmp_path)
