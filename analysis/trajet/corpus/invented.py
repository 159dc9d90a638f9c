"""Town names that exist nowhere: whoever trains on them reads the context, not the name."""

import random
from collections.abc import Iterable, Sequence, Set

from trajet.corpus.places import Place, fold
from trajet.corpus.render import PlacePool

_ORDER = 3
_END = "\n"
_LENGTHS = range(4, 15)


class InventedPlaces:
    """A pool of invented towns, for `render`, in the place of a `PlacePool`.

    Names come from a Markov chain over letters: each letter is drawn as often as it follows the three before it in
    the real names. One that is taken is drawn again.

        P(c_i | c_1 ... c_{i-1}) = n(c_{i-3} c_{i-2} c_{i-1} c_i) / n(c_{i-3} c_{i-2} c_{i-1})

    Args:
        names: real names, of one word or with hyphens.
        taken: folded names that are not to come (see `trajet.corpus.places.fold`): those of real places.
        others: where a slot asks for another kind than a town, its place is drawn here.
    """

    def __init__(self, names: Iterable[str], taken: Set[str], others: PlacePool):
        self.others = others
        self._follows: dict[str, list[str]] = {}
        self._taken = taken
        for name in names:
            padded = _END * _ORDER + name + _END
            for at in range(_ORDER, len(padded)):
                self._follows.setdefault(padded[at - _ORDER : at], []).append(padded[at])

    def draw(self, rng: random.Random, kind: str = "") -> Place:
        if kind not in ("", "town", "abroad"):
            return self.others.draw(rng, kind)
        while True:
            name = self._name(rng)
            if len(name) in _LENGTHS and name[0].isupper() and name[-1].isalpha() and fold(name) not in self._taken:
                return Place(name, "town", 1.0)

    def _name(self, rng: random.Random) -> str:
        text = _END * _ORDER
        while len(text) < 2 * max(_LENGTHS):
            letter = rng.choice(self._follows[text[-_ORDER:]])
            if letter == _END:
                break
            text += letter
        return text[_ORDER:]


def chain_names(places: Sequence[Place]) -> list[str]:
    """The names a chain is made of: towns of one written word, where a hyphen is part of the word."""
    return [place.name for place in places if " " not in place.name and "'" not in place.name]
