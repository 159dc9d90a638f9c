"""The baseline without learning: known place names, labelled by the words before them."""

import re
from collections.abc import Sequence
from pathlib import Path

from trajet.corpus.frames import load_fillers, load_frames
from trajet.corpus.noise import strip_accents
from trajet.corpus.places import load_places
from trajet.evaluation import Span
from trajet.judge.gazetteer import Gazetteer, ordinary_words

NONE = ""
_ARTICLE = r"(?:la |le |les |l')?"


def _ends_with(words: str) -> re.Pattern[str]:
    """Words right before a place, an article between them or a sign ("Départ : Lyon")."""
    return re.compile(rf"(?:^|[^a-z])(?:{words})(?:[ :=]+{_ARTICLE}|(?<='))$")


# Tried in this order on the text between the place before and this one, in lower case without accents.
CUES: tuple[tuple[re.Pattern[str], str], ...] = (
    # a stop, a place to avoid, one that is taken back
    (_ends_with(r"via|par|sauf|pas|evit(?:er|e|ez|ant|ons)|contourn(?:er|e|ez|ant)|travers(?:er|e|ez|ant)"), NONE),
    (_ends_with(r"(?:chang\w+|correspondances?|escales?|arrets?|arret\w+|halte|passe[rz]?|habit\w+)(?: \w+){0,3} a"), NONE),
    (_ends_with(r"(?:a )?(?:destination|direction|arrivee)(?: de| d'| du| des)?"), "ARR"),
    (_ends_with(r"(?:suis|sommes|chui|bloque\w*|coince\w*|part\w*|pars|prends?|prendr\w+|embarqu\w+|depart) a"), "DEP"),
    (_ends_with(r"depuis|de|d'|du|des|entre|depart|dep|partant|quitt(?:er|e|ez|ant|ons|ent)|origine"), "DEP"),
    (_ends_with(r"(?:jusqu')?(?:a|au|aux)|jusque|en|vers|pour|pr|sur|dans|arr"), "ARR"),
    (_ends_with(r"rejoindre|(?:re)?gagner|rallier|atteindre|visiter"), "ARR"),
)  # fmt: skip
# "à la gare de Tours": the words before "gare" decide.
_STATION = re.compile(rf"{_ARTICLE}(?:gare|aeroport)s? (?:de la |de l'|de |d'|du |des )?$")
_POSTCODE = re.compile(r"[ \u00a0]?\(\d{2,5}\)")
_PAIR = re.compile(r"\s*(?:[-–—‐‑=]*[>→⇒➔➜»]|[-–—‐‑/|])\s*|\s+")
_BETWEEN = re.compile(r"(?:^|[^a-z])entre $")
_AND = re.compile(r"\s*(?:,|,? (?:et|ou|ou bien))\s+")
_THEN = re.compile(r"(?:^|[^a-z])(?:puis|ensuite|apres)[^a-z]")
_CORRECTION = re.compile(r"(?:^|[^a-z])(?:euh non|ah non|non|pardon|plutot|je voulais dire|je veux dire|enfin)[^a-z]")


class Rules:
    """Spans of a text by gazetteer and cue words; a `Predictor`."""

    def __init__(self, gazetteer: Gazetteer):
        self._gazetteer = gazetteer

    def __call__(self, texts: Sequence[str]) -> list[frozenset[Span]]:
        return [self.spans(text) for text in texts]

    def spans(self, text: str) -> frozenset[Span]:
        """The places of one text that are given a role."""
        places = self._gazetteer.find(text)
        starts = [0, *(end for _, end in places)]
        gaps = [
            strip_accents(_POSTCODE.sub("", text[before:start]).lower().replace("’", "'"))
            for before, (start, _) in zip(starts, places, strict=False)
        ]
        return frozenset((*place, role) for place, role in zip(places, roles(gaps), strict=True) if role)


def roles(gaps: Sequence[str]) -> list[str]:
    """A role for each place: DEP, ARR or "".

    Args:
        gaps: the text before each place, from the place before on; lower case, no accents.
    """
    found: list[str | None] = [_cue(gap) for gap in gaps]
    for index in range(1, len(gaps)):
        gap = gaps[index]
        if _PAIR.fullmatch(gap):
            _pair(found, gaps, index)
        elif _BETWEEN.search(gaps[index - 1]) and gap == " et ":
            found[index] = "ARR"
        elif _AND.fullmatch(gap):
            found[index] = found[index - 1]
        if _CORRECTION.search(gap):
            found[index] = found[index - 1] if found[index] is None else found[index]
            found[index - 1] = NONE
        elif _THEN.search(gap) and found[index - 1] == "ARR" and found[index] in (None, "ARR"):
            found[index - 1], found[index] = NONE, "ARR"
    _complete(found)
    return [role or NONE for role in found]


def load_rules(corpus: Path) -> Rules:
    """The baseline over all places of the corpus sources, those held out of training among them.

    Raises:
        UserError: a source is missing or bad.
    """
    fillers = load_fillers(Path(corpus) / "fillers")
    frames = load_frames(Path(corpus), fillers)
    places = [place for kind in load_places(Path(corpus) / "places").values() for place in kind]
    return Rules(Gazetteer(places, ordinary_words(frames, fillers)))


def _cue(gap: str) -> str | None:
    """What the words before a place say of it; None where they say nothing."""
    gap = _STATION.sub("", gap)
    return next((role for cue, role in CUES if cue.search(gap)), None)


def _pair(found: list[str | None], gaps: Sequence[str], index: int) -> None:
    """ "A-B", "A B", "A > B": from A to B; of "A-B-C", B is a stop. After "via" all are stops."""
    first = index - 1
    while first and _PAIR.fullmatch(gaps[first]):
        first -= 1
    if found[first] == NONE and _cue(gaps[first]) == NONE:
        found[index] = NONE
        return
    found[first : index + 1] = ["DEP", *[NONE] * (index - first - 1), "ARR"]


def _complete(found: list[str | None]) -> None:
    """The one place without a cue takes the role that is left over."""
    if found.count(None) == 1 and len({role for role in found if role}) == 1:
        found[found.index(None)] = "DEP" if "ARR" in found else "ARR"
