"""French requests are hardly ever turned away; whole sentences in other languages are."""

import random
import sys

import pytest

from tests.conftest import ROOT
from trajet.corpus.challenge import half_path, load_challenge
from trajet.corpus.places import load_places
from trajet.resolve.language import french_detector

FOREIGN = [line.split("\t")[1] for line in (ROOT / "tests/resolve/foreign.txt").read_text(encoding="utf8").splitlines()]


@pytest.fixture(scope="module")
def is_french():
    detector = french_detector()
    assert detector is not None, "the test extra installs py3langid"
    return detector


def test_no_french_request_of_the_open_challenge_is_turned_away(is_french) -> None:
    sentences = load_challenge(half_path(ROOT / "corpus", "open"))
    foreign = {s.where for s in sentences if s.phenomenon == "negative-other-language"}
    for text_of in (lambda s: s.text, lambda s: " ".join(x.text for x in s.segments if not x.label)):
        turned_away = {s.where: s for s in sentences if not is_french(text_of(s))}
        assert set(turned_away) >= foreign
        french = [s for where, s in turned_away.items() if where not in foreign]
        # docs/resolve.md: one, and that is no request.
        assert len(french) <= 1
        assert [s.text for s in french if any(x.label for x in s.segments)] == []


def test_two_foreign_names_are_no_foreign_sentence(is_french) -> None:
    names = [place.name for place in load_places(ROOT / "corpus" / "places")["abroad"]]
    rng = random.Random(0)
    pairs = [" → ".join(rng.sample(names, 2)) for _ in range(300)]
    assert sum(not is_french(pair) for pair in pairs) <= 6


@pytest.mark.parametrize("text", ["", "12:30", "Hello", "zurich bilbao", "slt jveu 1 billet pr lyon dmain stp", "go Lyon direct ce soir"])  # fmt: skip
def test_what_is_short_or_careless_counts_as_french(is_french, text: str) -> None:
    assert is_french(text)


def test_other_languages_are_told_apart(is_french) -> None:
    taken = [text for text in FOREIGN if is_french(text)]
    assert len(FOREIGN) == 47
    assert len(taken) <= 3, taken


def test_without_the_package_there_is_no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    assert french_detector() is None
