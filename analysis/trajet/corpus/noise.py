"""What people's keyboards do to a sentence, with the labels kept right.

Each kind works on segments and leaves their borders alone, so a span is always what is written.
"""

import random
import unicodedata
from collections.abc import Callable
from dataclasses import replace

from trajet.corpus.render import Segment

Noise = Callable[[list[Segment], random.Random], list[Segment]]

_NEIGHBOURS = dict(
    zip(
        "azertyuiopqsdfghjklmwxcvbn",
        ("zq", "aes", "zrd", "etf", "ryg", "tuh", "yij", "uok", "ipl", "om", "asw", "qdz", "sfe", "dgr", "fht", "gjy",
         "hku", "jli", "kmo", "lp", "xs", "wcd", "xvf", "cbg", "vnh", "bj"),
        strict=True,
    )
)  # fmt: skip


def strip_accents(text: str) -> str:
    """ "Nîmes" -> "Nimes"; the length stays, but for ligatures."""
    plain = text.replace("œ", "oe").replace("Œ", "Oe").replace("æ", "ae")
    return "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))


def _each(change: Callable[[str], str]) -> Noise:
    return lambda segments, rng: [replace(segment, text=change(segment.text)) for segment in segments]


def _in_places(change: Callable[[str], str]) -> Noise:
    return lambda segments, rng: [replace(s, text=change(s.text)) if s.place else s for s in segments]


def _no_end(segments: list[Segment], rng: random.Random) -> list[Segment]:
    last = segments[-1]
    text = last.text.rstrip(" .?!…") if not last.place else last.text
    return [*segments[:-1], replace(last, text=text)] if text else segments[:-1] or segments


def _no_punctuation(segments: list[Segment], rng: random.Random) -> list[Segment]:
    def change(text: str) -> str:
        kept = "".join(" " if char in ',;:.?!…()«»"' else char for char in text)
        while "  " in kept:
            kept = kept.replace("  ", " ")
        return kept

    kept = [segment if segment.place else replace(segment, text=change(segment.text)) for segment in segments]
    return _no_end(kept, rng)


def _typo(segments: list[Segment], rng: random.Random) -> list[Segment]:
    """One letter doubled, dropped, exchanged with the next, or replaced by its neighbour on the keyboard."""
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
    at = rng.choice(letters)
    kind = rng.choice(("double", "drop", "swap", "neighbour"))
    if kind == "double":
        text = text[:at] + text[at] + text[at:]
    elif kind == "drop":
        text = text[:at] + text[at + 1 :]
    elif kind == "swap" and at + 1 < len(text) and text[at + 1].isalpha():
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    else:
        text = text[:at] + rng.choice(_NEIGHBOURS.get(text[at].lower(), "e")) + text[at + 1 :]
    return [*segments[:index], replace(segments[index], text=text), *segments[index + 1 :]]


def _abbreviate_saint(text: str) -> str:
    for full, short in (("Saint-", "St-"), ("Sainte-", "Ste-"), ("Saint ", "St "), ("Sainte ", "Ste ")):
        text = text.replace(full, short)
    return text


NOISES: dict[str, Noise] = {
    "lower": _each(str.lower),
    "upper": _each(str.upper),
    "accents": _each(strip_accents),
    "hyphens": _in_places(lambda text: text.replace("-", " ")),
    "saint": _in_places(_abbreviate_saint),
    "apostrophe": _each(lambda text: text.replace("'", "’")),
    "no-end": _no_end,
    "no-punctuation": _no_punctuation,
    "typo": _typo,
}

# What tends to come together: a phone, a dictation, a hurried mail, an old form.
HABITS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.65, ()),
    (0.06, ("lower", "no-end")),
    (0.03, ("lower", "accents", "no-punctuation")),
    (0.03, ("lower", "hyphens", "no-punctuation")),
    (0.02, ("lower",)),
    (0.06, ("typo",)),
    (0.04, ("lower", "typo", "no-end")),
    (0.01, ("typo", "typo", "typo")),
    (0.02, ("accents",)),
    (0.01, ("accents", "hyphens")),
    (0.02, ("hyphens", "saint")),
    (0.02, ("upper",)),
    (0.01, ("apostrophe",)),
    (0.02, ("no-end",)),
)


def disturb(segments: list[Segment], rng: random.Random) -> list[Segment]:
    """Apply the noises of one habit, drawn by its share."""
    habit = rng.choices([names for _, names in HABITS], weights=[share for share, _ in HABITS])[0]
    for name in habit:
        segments = [segment for segment in NOISES[name](segments, rng) if segment.text]
    return segments
