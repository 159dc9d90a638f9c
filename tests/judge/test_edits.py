"""Spans carried from a sentence to its edited version, and names put where French lets them stand."""

import random

import pytest

from trajet.corpus.challenge import Challenge
from trajet.corpus.places import Place
from trajet.corpus.render import Segment
from trajet.judge import invariance
from trajet.judge.edits import Edit, Piece, marked
from trajet.judge.invented import invented_name
from trajet.marked import split_marked


def sentence(text: str) -> Challenge:
    segments = (Segment(piece, label, place=bool(label)) for piece, label in split_marked(text, "t"))
    return Challenge(tuple(segments), "p", "t:1")


def test_spans_move_with_what_they_are() -> None:
    edit = Edit((Piece("", "Bonjour. "), Piece("De ", "D'"), Piece("Pau", "Angers", "DEP"), Piece(" à Dax", " à Dax")))
    assert (edit.before, edit.after) == ("De Pau à Dax", "Bonjour. D'Angers à Dax")
    assert edit.gold_before == {(3, 6, "DEP")}
    assert edit.gold_after == {(11, 17, "DEP")}
    assert edit.moved([(3, 6, "ARR"), (9, 12, "DEP")]) == {(11, 17, "ARR"), (20, 23, "DEP")}
    # From "De" on, and up to the last letter: outer borders of changed pieces.
    assert edit.moved([(0, 12, "DEP")]) == {(9, 23, "DEP")}
    # A border inside "Pau" or inside "De " has no counterpart.
    assert edit.moved([(4, 6, "DEP")]) is None
    assert edit.moved([(0, 2, "DEP")]) is None
    assert edit.moved([]) == frozenset()
    assert marked(edit.after, edit.gold_after) == "Bonjour. D'[Angers](DEP) à Dax"


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        ("Je pars de [Pau](DEP) demain", "Angers", "Je pars d'[Angers](DEP) demain"),
        ("D'[Angers](DEP) demain", "Pau", "De [Pau](DEP) demain"),
        ("Je pars du [Mans](DEP)", "Pau", "Je pars de [Pau](DEP)"),
        ("aller au [Havre](ARR)", "Le Mans", "aller au [Mans](ARR)"),
        ("jusqu'en [Bretagne](ARR)", "Ax", "jusqu'à [Ax](ARR)"),
        ("à la [gare du Nord](ARR)", "Pau", "à [Pau](ARR)"),
        ("de la gare de [Pau](DEP)", "Agen", "de la gare d'[Agen](DEP)"),
        ("je pars d’[Angers](DEP)", "Orange", "je pars d’[Orange](DEP)"),
        ("JE PARS DE [PAU](DEP)", "Agen", "JE PARS D'[AGEN](DEP)"),
        ("vers [pau](ARR) à 8h là", "Évian", "vers [évian](ARR) à 8h là"),
        ("vers [pau](ARR) svp", "Évian", "vers [evian](ARR) svp"),
        ("un [Pau](DEP)-[Dax](ARR)", "Agen", None),
        ("aller dans le [Var](ARR)", "Pau", None),
        ("visiter l'[Alsace](ARR)", "Pau", None),
        ("Pau ou pas, de [Pau](DEP)", "Agen", None),
    ],
)
def test_a_name_is_put_in_as_french_would(before: str, name: str, after: str | None) -> None:
    names = iter([name])
    edit = invariance.rename(sentence(before), lambda rng: next(names, name), random.Random(0))
    assert (edit and marked(edit.after, edit.gold_after)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("De [Pau](DEP) à [Agen](ARR)", "D'[Agen](DEP) à [Pau](ARR)"),
        ("de [Le Mans](DEP) à [Pau](ARR)", "de [Pau](DEP) au [Mans](ARR)"),
        ("[Pau](ARR) depuis [Dax](DEP)", "[Dax](ARR) depuis [Pau](DEP)"),
        ("un [Pau](DEP)-[Dax](ARR)", "un [Dax](DEP)-[Pau](ARR)"),
        # What "du Mans" is called elsewhere, and "en Bretagne", cannot be told from the sentence.
        ("du [Mans](DEP) à [Pau](ARR)", None),
        ("de [Pau](DEP) en [Bretagne](ARR)", None),
        ("à [Pau](ARR) ou [Dax](ARR)", None),
        ("de [Pau](DEP) à [Dax](ARR) ou [Agen](ARR)", None),
        ("rien", None),
    ],
)
def test_names_are_exchanged_and_labels_stay(before: str, after: str | None) -> None:
    edit = invariance.swap(sentence(before))
    assert (edit and marked(edit.after, edit.gold_after)) == after


def test_a_place_said_twice_gets_one_name() -> None:
    names = iter(["Agen", "Agen", "Orange"])
    edit = invariance.rename(
        sentence("[Pau](DEP), et de [Pau](DEP) à [Dax](ARR)"), lambda rng: next(names), random.Random(0)
    )
    assert edit.after == "Agen, et d'Agen à Orange"


def test_polite_sentences_fit() -> None:
    assert invariance.closing(sentence("vers [Pau](ARR)"), random.Random(0)).after.startswith("vers Pau, ")
    assert invariance.closing(sentence("Vers [Pau](ARR) ?"), random.Random(0)).after.startswith("Vers Pau ? ")
    edit = invariance.preamble(sentence("Vers [Pau](ARR) ?"), random.Random(0))
    assert edit.after.endswith(" Vers Pau ?")
    assert edit.moved(edit.gold_before) == edit.gold_after


def test_invented_names_are_new_and_repeatable() -> None:
    names = [invented_name(random.Random(seed)) for seed in range(300)]
    assert names == [invented_name(random.Random(seed)) for seed in range(300)]
    assert len(set(names)) > 200
    assert all(name[0].isupper() and name[1:].islower() and name.isalpha() for name in names)
    rng = random.Random(0)
    taken = {invented_name(rng).lower() for _ in range(200)}
    again = random.Random(0)
    assert not {invented_name(again, taken).lower() for _ in range(200)} & taken


def test_villages_are_small_and_without_article() -> None:
    towns = [
        Place(name, "town", population**0.75) for name, population in (("Paris", 2e6), ("Ax", 900.0), ("Le Sap", 600.0))
    ]
    assert invariance.village_names(towns) == ["Ax"]
