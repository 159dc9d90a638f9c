"""One frame and some places become one sentence with labelled spans."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from trajet.corpus.frames import Choice, Filler, Frame, Slot
from trajet.corpus.places import KIND_SHARES, Place, after_a, after_de, fold

# People also write "de Le Mans", "à Le Havre" and "la Rochelle".
_UNCONTRACTED = 0.08
_SMALL_ARTICLE = 0.15


@dataclass(frozen=True)
class Segment:
    """A stretch of text; `label` is DEP, ARR or "", `place` says that it is a place's name."""

    text: str
    label: str = ""
    place: bool = False


class PlacePool:
    """Places to draw from by kind, each as often as its weight says.

    Args:
        places: by kind.
        mix: share of each kind where a slot asks for none.
    """

    def __init__(self, places: dict[str, Sequence[Place]], mix: dict[str, float] = KIND_SHARES):
        self.places = {kind: list(entries) for kind, entries in places.items() if entries}
        self._cumulative = {kind: _running_sum([p.weight for p in entries]) for kind, entries in self.places.items()}
        self._kinds = [kind for kind in mix if kind in self.places]
        self._kind_sums = _running_sum([mix[kind] for kind in self._kinds])

    def draw(self, rng: random.Random, kind: str = "") -> Place:
        """A random place, of `kind` where the pool has that kind."""
        if kind not in self.places:
            kind = rng.choices(self._kinds, cum_weights=self._kind_sums)[0]
        return rng.choices(self.places[kind], cum_weights=self._cumulative[kind])[0]


def render(
    frame: Frame, pools: Sequence[tuple[float, PlacePool]], fillers: dict[str, list[str]], rng: random.Random
) -> list[Segment]:
    """Fill a frame.

    Args:
        pools: (share, pool) pairs; each slot draws its pool by share, then its place.

    Returns:
        Segments whose texts, put together, are the sentence.
    """
    chosen: dict[str, Place] = {}
    used: set[str] = set()
    segments: list[Segment] = []
    shares = [share for share, _ in pools]
    for piece in frame.pieces:
        if isinstance(piece, str):
            segments.append(Segment(piece))
        elif isinstance(piece, Choice):
            segments.append(Segment(rng.choice(piece.options)))
        elif isinstance(piece, Filler):
            segments.append(Segment(rng.choice(fillers[piece.name])))
        else:
            place = chosen.get(piece.number) if piece.number else None
            while place is None or (piece.number not in chosen and fold(place.name) in used):
                pool = rng.choices([pool for _, pool in pools], weights=shares)[0]
                place = pool.draw(rng, piece.kind)
            used.add(fold(place.name))
            if piece.number:
                chosen[piece.number] = place
            before, name = _place_segments(piece, place, rng)
            # "jusqu'à", but "jusque dans le Var"
            if (
                segments
                and segments[-1].text.lower().endswith("jusqu'")
                and not before.text.startswith(("à", "a", "e"))
            ):
                segments[-1] = Segment(segments[-1].text[:-1] + "e ")
            segments += [before, name]
    return [segment for segment in segments if segment.text]


def _place_segments(slot: Slot, place: Place, rng: random.Random) -> tuple[Segment, Segment]:
    uncontracted = place.name.startswith(("Le ", "Les ")) and rng.random() < _UNCONTRACTED
    if not slot.preposition:
        before, name = place.article, place.name
    elif uncontracted:
        before, name = slot.preposition + " ", place.name
    elif slot.preposition == "de":
        before, name = after_de(place)
        # "je pars de Bretagne" beside "de la Bretagne"
        if place.kind == "area" and place.article in ("la ", "l'") and rng.random() < 0.6:
            before = "de " if place.article == "la " else "d'"
    else:
        before, name = after_a(place)
    if name.startswith("La ") and rng.random() < _SMALL_ARTICLE:
        name = "la " + name[3:]
    if slot.capital and before:
        before = before[0].upper() + before[1:]
    return Segment(before), Segment(name, slot.label, place=True)


def _running_sum(values: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for value in values:
        total += value
        sums.append(total)
    return sums
