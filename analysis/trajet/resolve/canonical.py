"""What a place is really called: "st etienne" -> "Saint-Étienne", "Mans" -> "Le Mans", "marseile" -> "Marseille"."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from trajet.corpus.places import KIND_SHARES, Place, fold

# Letters a name needs so that one mistake, or two, leave no doubt which it is: among 15,000 names every
# short word is close to several.
LETTERS_FOR_ONE = 5
LETTERS_FOR_TWO = 8
# Of several names equally near, the most frequent is meant if it is this many times as frequent as the next.
DOMINANCE = 10.0
CACHE = 10_000

_SAINT = re.compile(r"\b(st|ste|sts|stes)\b\.?(?=[\s’'-]*\w)", re.IGNORECASE)
_FULL = {"st": "saint", "ste": "sainte", "sts": "saints", "stes": "saintes"}
_ON = re.compile(r"\bs/", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:le |la |les |l['’])(?=\S)", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """A place of the gazetteer.

    Attributes:
        name: its canonical name.
        kind: town, station, airport, area or abroad: of all places of that name, the most frequent one's.
        distance: letters added, left out, exchanged with the next or replaced, accents, hyphens, case,
            "st" for "saint" and a missing article not counted.
    """

    name: str
    kind: str
    distance: int


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: str
    frequency: float


class Gazetteer:
    """Canonical names of places, looked up by what people write.

    Args:
        places: by kind, as `trajet.corpus.places.load_places` gives them.
    """

    def __init__(self, places: Mapping[str, Iterable[Place]]) -> None:
        self._exact: dict[str, list[_Entry]] = defaultdict(list)
        self._without_article: dict[str, list[_Entry]] = defaultdict(list)
        for kind, members in places.items():
            members = list(members)
            total = sum(place.weight for place in members)
            for place in members:
                entry = _Entry(place.name, kind, KIND_SHARES[kind] * place.weight / total)
                # A set: without an article both spellings are one.
                for key in {letters(place.name), letters(place.article + place.name)}:
                    self._exact[key].append(entry)
                if bare := _ARTICLE.sub("", place.name):
                    self._without_article[letters(bare)].append(entry)
        self._keys = [key for key in {**self._exact, **self._without_article} if len(key) >= LETTERS_FOR_ONE - 1]
        # People write the same few places again and again.
        self.find = lru_cache(CACHE)(self._find)

    def _find(self, text: str) -> Match | None:
        """The place meant by `text`; None where no name is near enough, or several are.

        The written name itself goes before one that lacks its article, and that before names with mistakes:
        none below 5 letters or with a digit, one below 8, two from 8 on.
        """
        key = letters(text)
        for index in (self._exact, self._without_article):
            if key in index:
                # "Champagné" is a town, "Champagne" a region: accents tell them apart where they are written.
                as_written = [entry for entry in index[key] if entry.name.casefold() == text.strip().casefold()]
                return _choose(as_written or index[key], 0)
        allowed = 0 if any(char.isdigit() for char in key) else _allowed(key)
        if not allowed:
            return None
        near = process.extract(key, self._keys, scorer=OSA.distance, score_cutoff=allowed, limit=None)
        if not near:
            return None
        least = min(distance for _, distance, _ in near)
        entries = [
            entry
            for other, distance, _ in near
            if distance == least
            for entry in (*self._exact.get(other, ()), *self._without_article.get(other, ()))
        ]
        return _choose(entries, int(least))


def letters(text: str) -> str:
    """What is compared: "St-Étienne" -> "saintetienne"."""
    return fold(_ON.sub("sur ", _SAINT.sub(lambda match: _FULL[match[1].lower()] + " ", text)))


def _allowed(key: str) -> int:
    return 0 if len(key) < LETTERS_FOR_ONE else 1 if len(key) < LETTERS_FOR_TWO else 2


def _choose(entries: Iterable[_Entry], distance: int) -> Match | None:
    """The name that dominates, with the kind under which it is most frequent."""
    by_name: dict[str, list[_Entry]] = defaultdict(list)
    for entry in set(entries):
        by_name[entry.name].append(entry)
    ranked = sorted(by_name.values(), key=lambda group: (-_frequency(group), group[0].name))
    if len(ranked) > 1 and _frequency(ranked[0]) < DOMINANCE * _frequency(ranked[1]):
        return None
    best = max(ranked[0], key=lambda entry: entry.frequency)
    return Match(best.name, best.kind, distance)


def _frequency(group: list[_Entry]) -> float:
    return sum(entry.frequency for entry in group)
