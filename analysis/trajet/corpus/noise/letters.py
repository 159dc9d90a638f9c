"""What keyboards do to letters: case, accents, hyphens, apostrophes, slips of the finger."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from trajet.corpus.noise.basis import Noise, each, in_places, outside_places
from trajet.corpus.render import Segment

_NEIGHBOURS = dict(
    zip(
        "azertyuiopqsdfghjklmwxcvbn",
        ("zq", "aes", "zrd", "etf", "ryg", "tuh", "yij", "uok", "ipl", "om", "asw", "qdz", "sfe", "dgr", "fht", "gjy",
         "hku", "jli", "kmo", "lp", "xs", "wcd", "xvf", "cbg", "vnh", "bj"),
        strict=True,
    )
)  # fmt: skip
_ELISION = re.compile(r"(?<=[^\W\d_])['’](?=[^\W\d_])")


def strip_accents(text: str) -> str:
    """ "Nîmes" -> "Nimes"; the length stays, but for ligatures."""
    plain = text.replace("œ", "oe").replace("Œ", "Oe").replace("æ", "ae").replace("Æ", "Ae")
    return "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))


def _slip(kinds: Sequence[str]) -> Noise:
    """One letter of one segment double, dropped, exchanged with the next or replaced by its neighbour."""

    def noise(segments: list[Segment], rng: Random) -> list[Segment]:
        # Places are short; weighing every segment by its letters would hardly ever hit them.
        candidates = [i for i, s in enumerate(segments) if sum(c.isalpha() for c in s.text) >= 4]
        if not candidates:
            return segments
        places = [i for i in candidates if segments[i].place]
        index = rng.choice(places if places and rng.random() < 0.5 else candidates)
        text = segments[index].text
        # The first letter stays: a place's capital and the border to the preposition depend on it.
        letters = [i for i in range(1, len(text)) if text[i].isalpha() and text[i - 1].isalpha()]
        if not letters:
            return segments
        changed = _slipped(text, rng.choice(letters), rng.choice(kinds), rng)
        return [*segments[:index], replace(segments[index], text=changed), *segments[index + 1 :]]

    return noise


def _slipped(text: str, at: int, kind: str, rng: Random) -> str:
    if kind == "double":
        return text[:at] + text[at] + text[at:]
    if kind == "drop":
        return text[:at] + text[at + 1 :]
    if kind == "swap" and at + 1 < len(text) and text[at + 1].isalpha():
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + _as_large(text[at], rng.choice(_NEIGHBOURS.get(text[at].lower(), "e"))) + text[at + 1 :]


def _as_large(model: str, letter: str) -> str:
    """A letter as large as the one it stands for."""
    return letter.upper() if model.isupper() else letter


def _lost_apostrophes(text: str, rng: Random) -> str:
    """ "j'arrive" -> "jarrive" or "j arrive", one way between two places."""
    return _ELISION.sub(rng.choice(("", " ")), text)


NOISES: dict[str, Noise] = {
    "lower": each(str.lower),
    "upper": each(str.upper),
    "accents": each(strip_accents),
    "hyphens": in_places(lambda text, rng: text.replace("-", " ")),
    "apostrophe": each(lambda text: text.replace("'", "’")),
    "no-apostrophe": outside_places(_lost_apostrophes),
    "typo": _slip(("double", "drop", "swap", "neighbour")),
    "doubled": _slip(("double",)),
}
