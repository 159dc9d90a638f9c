"""Finding known place names in a text, whatever their case, accents, hyphens and apostrophes."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from trajet.corpus.frames import Choice, Frame
from trajet.corpus.places import Place, fold

Word = tuple[str, int, int]  # folded, borders in characters

_WORD = re.compile(r"[^\W_]+")
# What may stand between two words of one name.
_INSIDE = re.compile(r"[ \u00a0]?[-‐‑–'’.]?[ \u00a0]?")
_DISTRICT = re.compile(r"[ \u00a0]\d{1,2}(?:er|e|ème|eme)\b")
_FULL = {"st": "saint", "ste": "sainte"}
_CONTRACTED = ("du", "des", "au", "aux")


class Gazetteer:
    """Place names by their folded words.

    Args:
        places: whose names are looked for; "Le Mans" is also found as "du [Mans]".
        ordinary: folded words of everyday French; a name that is one of them counts only with a capital inside a
            sentence ("la mer", but "à Mer").
    """

    def __init__(self, places: Iterable[Place], ordinary: Iterable[str] = ()):
        # first word -> all words -> whether a contracted article must stand before
        self._names: dict[str, dict[tuple[str, ...], bool]] = {}
        self._ordinary = set(ordinary)
        for place in places:
            words = tuple(word for word, _, _ in _words(place.name))
            self._add(words, contracted=False)
            if words[:1] in (("le",), ("les",)):
                self._add(words[1:], contracted=True)

    def _add(self, words: tuple[str, ...], contracted: bool) -> None:
        if words:
            entry = self._names.setdefault(words[0], {})
            entry[words] = entry.get(words, True) and contracted

    def find(self, text: str) -> list[tuple[int, int]]:
        """Borders of the names from left to right, at each word the longest; they do not overlap."""
        words = list(_words(text))
        found = []
        at = 0
        while at < len(words):
            length = self._longest(text, words, at)
            # "la Côte d'Azur": not the town of La Côte, when the name begun inside reaches further.
            if length > 1 and self._longest(text, words, at + 1) >= length:
                length = 0
            if length:
                start, end = words[at][1], words[at + length - 1][2]
                if district := _DISTRICT.match(text, end):
                    end = district.end()
                found.append((start, end))
            at += max(1, length)
        return found

    def _longest(self, text: str, words: list[Word], at: int) -> int:
        best = 0
        for name, contracted in self._names.get(words[at][0], {}).items():
            part = words[at : at + len(name)]
            if len(name) <= best or tuple(word for word, _, _ in part) != name:
                continue
            if contracted and (not at or words[at - 1][0] not in _CONTRACTED):
                continue
            gaps = [text[left[2] : right[1]] for left, right in pairwise(part)]
            if all(map(_INSIDE.fullmatch, gaps)) and (len(name) > 1 or self._is_a_name(text, part[0])):
                best = len(name)
        return best

    def _is_a_name(self, text: str, word: Word) -> bool:
        """Whether one word that could be a place's name is meant as one, by its capital."""
        folded, start, end = word
        written = text[start:end]
        inside = bool(text[:start].rstrip(' \u00a0«"(')) and text[:start].rstrip()[-1:] not in ".?!…"
        capital = written[0].isupper() and inside and not text.isupper()
        if len(folded) < 3:
            # "Y", "Eu"; "y" and "eu" are no places.
            return capital
        return folded not in self._ordinary or capital


def ordinary_words(frames: Iterable[Frame], fillers: dict[str, list[str]], least: int = 3) -> set[str]:
    """Folded words that the sentence frames use in lower case, beside their places, `least` times ("jambon de bayonne")."""
    # Not `trajet.place_norms.ordinary_words`, which goes by the pipeline's tokens as they are written.
    words: Counter[str] = Counter()
    texts = [entry for entries in fillers.values() for entry in entries]
    for frame in frames:
        texts += [piece for piece in frame.pieces if isinstance(piece, str)]
        texts += [option for piece in frame.pieces if isinstance(piece, Choice) for option in piece.options]
    for text in texts:
        words.update(folded for folded, start, _ in _words(text) if text[start].islower())
    return {word for word, count in words.items() if count >= least}


def _words(text: str) -> Iterator[Word]:
    for match in _WORD.finditer(text):
        if word := fold(match[0]):
            yield _FULL.get(word, word), match.start(), match.end()
