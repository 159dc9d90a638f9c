"""Names of towns that do not exist, made of syllables. Shares nothing with how training data is made."""

import random
from collections.abc import Collection

_ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "g", "gr", "l", "m", "n", "p", "pl", "r", "s", "t", "tr", "v", "")
_VOWELS = ("a", "e", "i", "o", "u", "ou", "oi", "é", "an", "on")
_ENDINGS = ("ville", "court", "ac", "gny", "mont", "lles", "rac", "bourg", "zan", "cy", "neuil", "ges", "don", "lieu")


def invented_name(rng: random.Random, taken: Collection[str] = ()) -> str:
    """One name: one or two syllables and an ending, "Broufétrac".

    Args:
        taken: lower-case names that must not come out.
    """
    while True:
        syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((1, 2)))]
        name = "".join(syllables) + rng.choice(_ENDINGS)
        if name not in taken and len(name) >= 5:
            return name[0].upper() + name[1:]
