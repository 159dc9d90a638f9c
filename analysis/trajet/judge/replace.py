"""Putting another place's name into a sentence, with the preposition that French asks for before it."""

import re
from dataclasses import dataclass

from trajet.corpus.noise import strip_accents
from trajet.corpus.places import Place, after_a, after_de
from trajet.judge.edits import Piece

_DE = re.compile(r"(?<![^\W_])(?:de la |de l['’]|du |des |de |d['’])$", re.IGNORECASE)
_A = re.compile(r"(?<![^\W_])(?:à la |à l['’]|aux? |en |à )$", re.IGNORECASE)
_ARTICLE = re.compile(r"(?<![^\W_])(?:l[ae] |les |l['’])$", re.IGNORECASE)
# Forms that do not tell what the place is called elsewhere: "du [Mans]" is Le Mans, "du [Var]" is le Var.
_PLAIN = ("de ", "d'", "à ")


@dataclass(frozen=True)
class Context:
    """What stands before a place: the text that stays, and the preposition that depends on the name."""

    head: str
    preposition: str = ""

    @property
    def keeps_names(self) -> bool:
        """Whether the name stands here as it would elsewhere."""
        return not self.preposition or self.preposition.lower().replace("’", "'") in _PLAIN


def context_of(before: str) -> Context | None:
    """Split the text before a place; None after an article that belongs to that very place ("dans le [Var]")."""
    for pattern in (_DE, _A):
        if match := pattern.search(before):
            return Context(before[: match.start()], match[0])
    return None if _ARTICLE.search(before) else Context(before)


def put(context: Context, old: str, name: str, label: str, text: str) -> list[Piece]:
    """The pieces of a place and of the text before it, when `name` takes the place of `old`.

    Args:
        text: the whole sentence, whose way with capitals and accents is kept.
    """
    place = Place(name, "town", 1.0)
    preposition = ""
    if context.preposition:
        preposition, name = (after_de if _DE.search(context.preposition) else after_a)(place)
        preposition = _written_like(preposition, context.preposition, text)
    if text.isupper():
        name = name.upper()
    elif old.islower():
        # Who writes no capital writes few accents.
        name = name.lower() if text != strip_accents(text) else strip_accents(name.lower())
    pieces = [Piece(context.head, context.head), Piece(context.preposition, preposition), Piece(old, name, label)]
    return [piece for piece in pieces if piece.before or piece.after]


def _written_like(preposition: str, old: str, text: str) -> str:
    if text.isupper():
        return preposition.upper()
    if "’" in text and "'" not in text:
        preposition = preposition.replace("'", "’")
    return preposition[0].upper() + preposition[1:] if old[0].isupper() else preposition
