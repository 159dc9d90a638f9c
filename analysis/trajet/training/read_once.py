"""A corpus that is read once for each pipeline."""

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from spacy.language import Language
from spacy.training import Corpus, Example

from trajet.errors import UserError
from trajet.msgpack import extensions_found_once

Augmenter = Callable[[Language, Example], Iterator[Example]]

# By pipeline, then by what is read of which file: kept as long as the pipeline.
_examples: WeakKeyDictionary[Language, dict[tuple, list[Example]]] = WeakKeyDictionary()


def read_once(
    path: str | None,
    gold_preproc: bool = False,
    max_length: int = 0,
    limit: int = 0,
    augmenter: Augmenter | None = None,
) -> Callable[[Language], Iterator[Example]]:
    """The reader `trajet.ReadOnce.v1`: `spacy.Corpus.v1`, with its settings, that reads and tokenizes only once.

    A training reads its train documents some four times before the first update, which for 15,000 short ones takes
    longer than the first hundred updates, and its dev documents once more at each evaluation. Updates and evaluations
    work on copies of the examples, so what is kept stays as it was read. It takes the memory of the documents, which
    spaCy takes as well unless `max_epochs = -1`.

    Args:
        path: a `.spacy` file, or a folder of such.
        gold_preproc: tokens and sentences as in the file.
        max_length: longer documents are split into their sentences, or left out; 0: none is.
        limit: read so many of a file's documents; 0: all.
        augmenter: called anew for each example at each pass, as spaCy does.

    Raises:
        UserError: no path; when read, a file that is missing or none of spaCy's.
    """
    if path is None:
        raise UserError("[corpora]: trajet.ReadOnce.v1: path is empty; give the documents, such as --paths.train FILE")
    corpus = Corpus(path, gold_preproc=gold_preproc, max_length=max_length, limit=limit)
    key = (path, gold_preproc, max_length, limit)

    def read(nlp: Language) -> Iterator[Example]:
        known = _examples.setdefault(nlp, {})
        if key not in known:
            try:
                with extensions_found_once():
                    known[key] = list(corpus(nlp))
            except Exception as error:  # msgpack, zlib and srsly each have errors of their own
                reason = " ".join(str(error).split())[:200]
                raise UserError(
                    f"{path}: cannot be read ({reason}); build it again with `python -m spacy project run corpus`"
                ) from None
        if augmenter is None:
            return iter(known[key])
        return (made for example in known[key] for made in augmenter(nlp, example))

    return read
