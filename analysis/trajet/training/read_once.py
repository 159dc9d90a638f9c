"""A corpus that is read once for each pipeline."""

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from spacy.language import Language
from spacy.training import Corpus, Example

from trajet.errors import UserError

# By pipeline, then by file: kept as long as the pipeline.
_examples: WeakKeyDictionary[Language, dict[str, list[Example]]] = WeakKeyDictionary()


def read_once(path: str) -> Callable[[Language], Iterator[Example]]:
    """The reader `trajet.ReadOnce.v1`: `spacy.Corpus.v1` of a file, without limits and augmenter.

    A training reads its documents four times before the first update, which for 12,000 short ones takes longer than
    the first hundred updates. An update works on copies of the examples, so what is kept stays as it was read.

    Raises:
        UserError: when read, a file that is none of spaCy's.
    """

    def read(nlp: Language) -> Iterator[Example]:
        known = _examples.setdefault(nlp, {})
        if path not in known:
            try:
                known[path] = list(Corpus(path)(nlp))
            except Exception as error:  # msgpack, zlib and srsly each have errors of their own
                reason = " ".join(str(error).split())[:200]
                raise UserError(
                    f"{path}: cannot be read ({reason}); build it again with `python -m spacy project run corpus`"
                ) from None
        return iter(known[path])

    return read
