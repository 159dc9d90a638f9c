"""What a speech recogniser writes: small letters, no signs, words that sound the same, numbers in letters."""

import re
from dataclasses import replace
from random import Random

from trajet.corpus.noise.basis import Noise, each, in_places, like, outside_places
from trajet.corpus.render import Segment

# Of each word that has one: mostly the recogniser is right.
HOMOPHONE_SHARE = 0.25
_SAME_SOUND = (
    ("a", "à"),
    ("ou", "où"),
    ("et", "est"),
    ("ses", "ces", "c'est", "s'est"),
    ("se", "ce"),
    ("son", "sont"),
    ("on", "ont"),
    ("la", "là"),
    ("sa", "ça"),
    ("peu", "peux", "peut"),
    ("mes", "mais"),
    ("quel", "quelle", "quels", "quelles"),
    ("leur", "leurs"),
    ("tout", "tous"),
    ("vers", "vert", "verre"),
    ("par", "part"),
    ("pars", "part"),
    ("dois", "doit"),
    ("veux", "veut"),
    ("fait", "fais"),
    ("prix", "pris"),
    ("cher", "chère"),
    ("voie", "voix"),
    ("près", "prêt"),
    ("quand", "qu'en"),
    ("qui", "qu'il"),
    ("arrive", "arrives"),
    ("cherche", "cherches"),
    ("sans", "cent"),
    ("dans", "d'en"),
    ("sur", "sûr"),
    ("du", "dû"),
)
HOMOPHONES: dict[str, list[str]] = {}
for _group in _SAME_SOUND:
    for _word in _group:
        HOMOPHONES.setdefault(_word, []).extend(other for other in _group if other != _word)
_HOMOPHONE = re.compile(
    rf"(?<![\w'’-])(?:{'|'.join(sorted(HOMOPHONES, key=len, reverse=True))})(?![\w'’-])", re.IGNORECASE
)
_ENDINGS = ("er", "é", "ez")
_VERB = re.compile(r"(?<![\w-])([^\W\d_]{3,}?)(er|é|ez)(?![\w'’-])")
# These end like a verb and are none.
_NO_VERB = {"hier", "cher", "hiver", "enfer", "super", "papier", "premier", "dernier", "février", "janvier", "quartier",
            "courrier", "escalier", "métier", "chez", "assez", "côté", "été", "café", "université", "liberté", "mer",
            "ter", "métro", "intercité", "possibilité", "santé"}  # fmt: skip

_UNITS = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
          "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf")  # fmt: skip
_TENS = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante", 80: "quatre-vingt"}
_TIME = re.compile(r"(?<![\w.,:/-])(\d{1,2}) ?h(?:eures?)?(?: ?(\d{2}))?(?![\w:])", re.IGNORECASE)
_MONEY = re.compile(r"(?<![\w.,:/-])(\d{1,3}) ?€")
_NUMBER = re.compile(r"(?<!\S)\d{1,3}(?!\S)")


def in_letters(number: int) -> str:
    """A number from 0 to 999 as French says it: 71 -> "soixante et onze", 180 -> "cent quatre-vingts".

    Raises:
        ValueError: another number.
    """
    if not 0 <= number <= 999:
        raise ValueError(f"{number} is not between 0 and 999")
    if number >= 100:
        hundreds, rest = divmod(number, 100)
        words = "cent" if hundreds == 1 else f"{_UNITS[hundreds]} cent"
        return f"{words} {in_letters(rest)}" if rest else words + "s" * (hundreds > 1)
    if number < len(_UNITS):
        return _UNITS[number]
    # Seventy and ninety count on from sixty and eighty.
    tens = number // 10 * 10 if number < 60 else number // 20 * 20
    rest = number - tens
    if not rest:
        return "quatre-vingts" if tens == 80 else _TENS[tens]
    if rest in (1, 11) and tens != 80:
        return f"{_TENS[tens]} et {_UNITS[rest]}"
    return f"{_TENS[tens]}-{_UNITS[rest]}"


def _numbers(text: str, rng: Random) -> str:
    def time(match: re.Match) -> str:
        hour = int(match[1])
        said = "une heure" if hour == 1 else f"{in_letters(hour)} heures"
        return said + (f" {in_letters(int(match[2]))}" if match[2] and int(match[2]) else "")

    text = _TIME.sub(time, text)
    text = _MONEY.sub(lambda match: f"{in_letters(int(match[1]))} euros", text)
    return _NUMBER.sub(lambda match: in_letters(int(match[0])), text)


def _homophones(text: str, rng: Random) -> str:
    def same_sound(match: re.Match) -> str:
        if rng.random() >= HOMOPHONE_SHARE:
            return match[0]
        return like(match[0], rng.choice(HOMOPHONES[match[0].lower().replace("’", "'")]))

    return _HOMOPHONE.sub(same_sound, text)


def _endings(text: str, rng: Random) -> str:
    def other(match: re.Match) -> str:
        if match[0].lower() in _NO_VERB or rng.random() >= HOMOPHONE_SHARE:
            return match[0]
        return match[1] + rng.choice([ending for ending in _ENDINGS if ending != match[2]])

    return _VERB.sub(other, text)


def _no_signs(segments: list[Segment], rng: Random) -> list[Segment]:
    """Letters, digits, apostrophes and hyphens inside words stay; a decimal comma and a percent sign, too."""

    def spoken(text: str) -> str:
        text = re.sub(r"(?<!\d)[.,:]|[.,:](?!\d)|[^\w\s.,:'’%€-]|_|(?<!\w)-+|-+(?!\w)", " ", text)
        return re.sub(r"\s+", " ", text)

    kept = [segment if segment.place else replace(segment, text=spoken(segment.text)) for segment in segments]
    # The sentence neither begins nor ends with a space.
    if not kept[0].place:
        kept[0] = replace(kept[0], text=kept[0].text.lstrip())
    if not kept[-1].place:
        kept[-1] = replace(kept[-1], text=kept[-1].text.rstrip())
    return [segment for segment in kept if segment.text] or segments


def _speech(segments: list[Segment], rng: Random) -> list[Segment]:
    """A dictated sentence; numbers in letters and names without hyphens in half of them each."""
    steps = [each(str.lower), NOISES["homophones"], NOISES["endings"]]
    if rng.random() < 0.5:
        steps.append(NOISES["numbers"])
    if rng.random() < 0.5:
        steps.append(in_places(lambda text, rng: text.replace("-", " ")))
    for step in [*steps, _no_signs]:
        segments = step(segments, rng)
    return segments


NOISES: dict[str, Noise] = {
    "homophones": outside_places(_homophones),
    "endings": outside_places(_endings),
    "numbers": outside_places(_numbers),
    "speech": _speech,
}
