"""Words left out or exchanged, never one that decides what is labelled."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from trajet.corpus.noise.basis import Noise
from trajet.corpus.noise.letters import strip_accents
from trajet.corpus.render import Segment

# Without accents. Directions, stops, denials, corrections, times that make a story of a request.
_ROLE_WORDS = """
de d du des a au aux en vers pour depuis jusqu jusque via par entre et puis ensuite ou dans sur chez la-bas
le la les l avant apres sans sauf hors
ne n ni non pas plus jamais aucun aucune rien surtout plutot pardon euh enfin oups sinon mais lieu erreur finalement
je j tu t il elle on nous vous ils elles ca c ce se s me m y qui que qu si
pars suis es est sommes etes sont etais etait etaient ete serai sera serait ai as a avons avez ont avais avait aura
va vas vais vont irai iras ira irons irez iront aille allons
hier autrefois jadis avant-hier dernier derniere
gare aeroport ville aller retour aller-retour
combien comment autant
"""
# Every form of these verbs and nouns, and some words more: a protected word just stays where it is.
_ROLE_STEMS = """
part dep depar arriv rentr retourn revien reven revenu vien venai venu venir venez allai alle aller
pass quitt rejoin rend dirig rall gagn amen emmen condui descen mont embarqu debarqu decoll atterr
destin origin proven detou contourn evit escal arret correspond chang transit travers
habit viv vecu nais demeur resid log trouv pleu neig ador deteste
annul corrig rectifi tromp report
"""
_PROTECTED, _PROTECTED_STEMS = frozenset(_ROLE_WORDS.split()), tuple(_ROLE_STEMS.split())
_WORD = re.compile(r"\w+(?:['’-]\w+)*['’]?")
_SENTENCE_START = re.compile(r"(?:^|[.!?…:;]|\n)[\s«\"(-]*$")
# A place takes its preposition and the verb or noun before that along.
_BEFORE, _AFTER = 2, 1


@dataclass(frozen=True)
class _Word:
    segment: int
    start: int
    end: int
    text: str
    anchor: bool


def protected(word: str) -> bool:
    """Whether a word, or what an apostrophe or a hyphen sets off in it, decides about a role."""
    plain = strip_accents(word.lower())
    parts = [plain, *re.split(r"['’-]", plain)]
    return any(part in _PROTECTED or part.startswith(_PROTECTED_STEMS) for part in parts if part)


def _words(segments: Sequence[Segment]) -> list[_Word]:
    """All words in order; a place is one word, an anchor, and so is a name that nobody labelled."""
    words = []
    before = ""
    for index, segment in enumerate(segments):
        if segment.place:
            words.append(_Word(index, 0, len(segment.text), segment.text, True))
        else:
            for match in _WORD.finditer(segment.text):
                starts = _SENTENCE_START.search(before + segment.text[: match.start()])
                words.append(_Word(index, match.start(), match.end(), match[0], match[0][0].isupper() and not starts))
        before += segment.text
    return words


def movable(segments: Sequence[Segment]) -> list[tuple[int, int, int]]:
    """(segment, start, end) of the words that may go or move, in order.

    None is protected, has a digit, or stands within two words before or one after a place.
    """
    words = _words(segments)
    fixed = {
        near
        for position, word in enumerate(words)
        if word.anchor
        for near in range(position - _BEFORE, position + _AFTER + 1)
    }
    return [
        (word.segment, word.start, word.end)
        for position, word in enumerate(words)
        if position not in fixed and not protected(word.text) and not any(char.isdigit() for char in word.text)
    ]


def deletion(share: float) -> Noise:
    """Leave out each movable word with probability `share`."""

    def noise(segments: list[Segment], rng: Random) -> list[Segment]:
        gone = [place for place in movable(segments) if rng.random() < share]
        if len(gone) == len(_words(segments)):
            return segments
        changed = list(segments)
        # From the end: what comes before a word keeps its positions.
        for index, start, end in reversed(gone):
            changed[index] = replace(changed[index], text=_without(changed[index].text, start, end))
        return changed

    return noise


def _without(text: str, start: int, end: int) -> str:
    before, after = text[:start], text[end:]
    # "Bonjour, je" -> "je", "un billet, merci, vite" -> "un billet, vite", "vite merci." -> "vite."
    if after.startswith(", ") and before.rstrip()[-1:] in ("", ","):
        after = after[1:]
    if after.startswith(" "):
        return before + after[1:]
    return (before[:-1] if before.endswith(" ") else before) + after


def swaps(count: int) -> Noise:
    """Exchange two movable neighbours, `count` times."""

    def noise(segments: list[Segment], rng: Random) -> list[Segment]:
        for _ in range(count):
            segments = _swapped(segments, rng)
        return segments

    return noise


def _swapped(segments: list[Segment], rng: Random) -> list[Segment]:
    free = movable(segments)
    pairs = [
        (one, other)
        for one, other in pairwise(free)
        if one[0] == other[0] and segments[one[0]].text[one[2] : other[1]] == " "
    ]
    if not pairs:
        return segments
    (index, start, middle), (_, after, end) = rng.choice(pairs)
    text = segments[index].text
    first, second = text[start:middle], text[after:end]
    if first[0].isupper() and not second[0].isupper():
        first, second = first[0].lower() + first[1:], second[0].upper() + second[1:]
    changed = replace(segments[index], text=f"{text[:start]}{second} {first}{text[end:]}")
    return [*segments[:index], changed, *segments[index + 1 :]]


NOISES: dict[str, Noise] = {"deletion": deletion(0.1), "swap": swaps(1)}
