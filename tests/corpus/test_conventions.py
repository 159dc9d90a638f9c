"""The label conventions as a table: what is written, what is labelled."""

import random

import pytest

from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.frames import Frame, parse
from trajet.corpus.places import Place, after_a, after_de
from trajet.corpus.render import PlacePool, render

TOWNS = {
    "Lyon": ("de [Lyon]", "à [Lyon]"),
    "Angers": ("d'[Angers]", "à [Angers]"),
    "Évry": ("d'[Évry]", "à [Évry]"),
    "Hyères": ("d'[Hyères]", "à [Hyères]"),
    "Honfleur": ("de [Honfleur]", "à [Honfleur]"),
    "Yvetot": ("d'[Yvetot]", "à [Yvetot]"),
    "Yutz": ("de [Yutz]", "à [Yutz]"),
    "Le Mans": ("du [Mans]", "au [Mans]"),
    "Le Havre": ("du [Havre]", "au [Havre]"),
    "Les Sables-d'Olonne": ("des [Sables-d'Olonne]", "aux [Sables-d'Olonne]"),
    "La Rochelle": ("de [La Rochelle]", "à [La Rochelle]"),
    "L'Isle-Adam": ("de [L'Isle-Adam]", "à [L'Isle-Adam]"),
}
OTHERS = [
    (Place("Bretagne", "area", 1, "la "), "de la [Bretagne]", "en [Bretagne]"),
    (Place("Alsace", "area", 1, "l'"), "de l'[Alsace]", "en [Alsace]"),
    (Place("Portugal", "area", 1, "le "), "du [Portugal]", "au [Portugal]"),
    (Place("Pays-Bas", "area", 1, "les "), "des [Pays-Bas]", "aux [Pays-Bas]"),
    (Place("Var", "area", 1, "le ", "dans le "), "du [Var]", "dans le [Var]"),
    (Place("gare du Nord", "station", 1, "la "), "de la [gare du Nord]", "à la [gare du Nord]"),
    (Place("gare de l'Est", "station", 1, "la "), "de la [gare de l'Est]", "à la [gare de l'Est]"),
    (Place("Lyon Part-Dieu", "station", 1), "de [Lyon Part-Dieu]", "à [Lyon Part-Dieu]"),
    (Place("CDG", "airport", 1), "de [CDG]", "à [CDG]"),
    (Place("Orly", "airport", 1), "d'[Orly]", "à [Orly]"),
]


@pytest.mark.parametrize(("name", "forms"), TOWNS.items())
def test_elision_and_contraction_of_towns(name: str, forms: tuple[str, str]) -> None:
    place = Place(name, "town", 1)
    assert tuple(f"{before}[{span}]" for before, span in (after_de(place), after_a(place))) == forms


@pytest.mark.parametrize(("place", "de", "a"), OTHERS)
def test_articles_of_other_places(place: Place, de: str, a: str) -> None:
    assert [f"{before}[{span}]" for before, span in (after_de(place), after_a(place))] == [de, a]


# frame, places by kind, marked text
SENTENCES = [
    ("Je pars {de:DEP} {à:ARR}.", ["Angers", "Le Havre"], {"Je pars d'[Angers]DEP au [Havre]ARR.", "Je pars du [Havre]DEP à [Angers]ARR."}),
    ("Un billet pour {ARR}, vite", ["Nice"], {"Un billet pour [Nice]ARR, vite"}),
    ("Il pleut {à:PLACE}.", ["Lyon"], {"Il pleut à Lyon."}),
    ("{DEP}-{ARR}", ["Saint-Malo", "Melun"], {"[Saint-Malo]DEP-[Melun]ARR", "[Melun]DEP-[Saint-Malo]ARR"}),
    ("{DEP}→{ARR} svp", ["Metz", "Nancy"], {"[Metz]DEP→[Nancy]ARR svp", "[Nancy]DEP→[Metz]ARR svp"}),
    ("la gare {de:DEP} ({de:DEP#1} et {DEP#1})", ["Tours", "Dax"], {
        "la gare de [Tours]DEP (de [Dax]DEP et [Dax]DEP)", "la gare de [Dax]DEP (de [Tours]DEP et [Tours]DEP)"}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "towns", "expected"), SENTENCES)
def test_rendered_sentences(source: str, towns: list[str], expected: set[str]) -> None:
    pool = PlacePool({"town": [Place(name, "town", 1) for name in towns]})
    frame = Frame("f:1", "f", source, parse(source, "f:1", {}))
    nlp = blank_pipeline()
    found = set()
    for seed in range(60):
        segments = render(frame, [(1.0, pool)], {}, random.Random(seed))
        text = "".join(f"[{s.text}]{s.label}" if s.label else s.text for s in segments)
        if "de [Le " in text or "à [Le " in text:  # people write that, too
            continue
        found.add(text)
        doc = make_doc(nlp, segments, "f:1")
        assert [(ent.text, ent.label_) for ent in doc.ents] == [(s.text, s.label) for s in segments if s.label]
    assert found == expected


def test_jusque_meets_a_consonant() -> None:
    pool = PlacePool({"area": [Place("Var", "area", 1, "le ", "dans le ")]})
    frame = Frame("f:1", "f", "", parse("jusqu'{à:ARR|area}", "f:1", {}))
    assert "".join(s.text for s in render(frame, [(1.0, pool)], {}, random.Random(0))) == "jusque dans le Var"
