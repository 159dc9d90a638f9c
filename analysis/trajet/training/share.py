"""Training on a share of the data."""

import math
import random
from collections.abc import Callable, Iterable, Iterator

from spacy.language import Language
from spacy.training import Example

from trajet.errors import UserError

Reader = Callable[[Language], Iterable[Example]]


def share_reader(corpus: Reader, share: float, seed: int = 0, rest: bool = False) -> Reader:
    """The reader `trajet.Share.v1`: some of another reader's documents, or the others.

        k = max(1, round(share * n))     the first k of a seeded permutation of the n documents

    The same ones each time it is read, in the order of the corpus; a smaller share with the same seed is part of a
    larger one. `rest = true` gives exactly the documents that the share leaves. The other reader is
    read to its end, so it cannot be an endless one, and must give as many documents each time: an augmenter that adds
    some belongs around the share. Sentences made from one frame may come to lie on both sides.

    Args:
        corpus: the other reader, a block `[corpora.train.corpus]`.
        share: above 0, at most 1.
        seed: of the choice.
        rest: give what the share leaves.

    Raises:
        UserError: a bad share; when read, a share that leaves nothing for the rest.
    """
    if isinstance(share, bool) or not (math.isfinite(share) and 0 < share <= 1):
        raise UserError(f"[corpora]: trajet.Share.v1: share = {share}; it must lie above 0 and be at most 1")

    def read(nlp: Language) -> Iterator[Example]:
        examples = list(corpus(nlp))
        if not examples:
            return iter(())
        order = list(range(len(examples)))
        random.Random(seed).shuffle(order)
        count = max(1, round(share * len(examples)))
        if rest and count == len(examples):
            raise UserError(
                f"[corpora]: trajet.Share.v1: a share of {share} of {len(examples)} documents leaves no rest; "
                "set a smaller share or rest = false"
            )
        return iter([examples[index] for index in sorted(order[count:] if rest else order[:count])])

    return read
