"""Names of places written by ear, or taken apart."""

import re
from random import Random

from trajet.corpus.noise.basis import Noise, in_places, like
from trajet.corpus.noise.letters import strip_accents

_CONSONANT = "bcdfgjklmnpqrstvwxz"
# What sounds the same, or nearly so: (pattern, what is written for it).
_BY_EAR = tuple(
    (re.compile(pattern, re.IGNORECASE), written)
    for pattern, written in (
        (r"ph", "f"),
        (rf"([{_CONSONANT}])\1", r"\1"),
        (r"(?<=[^\W\d_]{3})[sxtdzp](?!\w)", ""),
        (r"(?<=[^\W\d_]{3})es?(?!\w)", ""),
        (r"(?<=\w)eaux?(?!\w)", "o"),
        (r"eau", "o"),
        (r"au", "o"),
        (r"ou", "u"),
        (r"(?<![aeoqgi\W])u(?![aeiouy\W])", "ou"),
        (r"ai", "è"),
        (r"(?<=\w)y(?=\w)", "i"),
        (r"th", "t"),
        (r"qu(?=[eéèi])", "k"),
        (r"ç", "s"),
        (r"(?<!s)c(?=[eéèiy])", "ss"),
        (r"(?<=[^\W\d_cpst])h", ""),
        (r"(?<=\w)en(?=[cdgqstv])", "an"),
        (r"(?<=\w)an(?=[cdgqstv])", "en"),
        (r"œu?", "e"),
    )
)
_SAINT = re.compile(r"\b(s)aint(e?)(?=[- ])", re.IGNORECASE)


def _by_ear(text: str, rng: Random) -> str:
    """One or two of the rules that apply, each in one spot; the first letter stays, and so do short words ("sur")."""
    for _ in range(rng.choice((1, 1, 2))):
        long = [word.span() for word in re.finditer(r"\w{4,}", text)]
        spots = [
            (match, written)
            for rule, written in _BY_EAR
            for match in rule.finditer(text)
            if any(start < match.start() < end for start, end in long)
        ]
        if not spots:
            return text
        match, written = rng.choice(spots)
        text = text[: match.start()] + like(match[0], match.expand(written)) + text[match.end() :]
    return text


def _abbreviate_saint(text: str, rng: Random) -> str:
    """ "Saint-Malo" -> "St-Malo"."""
    return _SAINT.sub(r"\1t\2", text)


def _taken_apart(text: str, rng: Random) -> str:
    """ "Saint-Étienne" -> "saint etienne", "St Étienne", "saint étienne"; "Le Mans" -> "le mans"."""
    text = text.replace("-", " ")
    if rng.random() < 0.5:
        text = _abbreviate_saint(text, rng)
    if rng.random() < 0.7:
        text = text.lower()
    return strip_accents(text) if rng.random() < 0.5 else text


NOISES: dict[str, Noise] = {
    "saint": in_places(_abbreviate_saint),
    "by-ear": in_places(_by_ear),
    "apart": in_places(_taken_apart),
}
