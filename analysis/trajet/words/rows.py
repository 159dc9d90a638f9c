"""Which rows of the hash embedding a word stands in, and who else stands there."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from trajet.errors import UserError
from trajet.trace.parameters import name_parameters


@dataclass(frozen=True)
class WordRows:
    """A word's place in the table of word forms.

    Attributes:
        word: as asked for; its NORM (lower case) is what is looked up.
        parameter: the table's name in a trace.
        rows: four rows, whose vectors are added up; a small table may give the same row twice.
        count: how often the word stands in the training documents.
        shared: how often any word that uses one of these rows does, this one among them, row by row.
    """

    word: str
    parameter: str
    rows: tuple[int, ...]
    count: int
    shared: tuple[int, ...]

    @property
    def watches(self) -> list[str]:
        """Its rows as `watch` wants them."""
        return [f"{self.parameter}[{row},:]" for row in dict.fromkeys(self.rows)]

    @property
    def own_share(self) -> float:
        """Share of the rows' traffic that is the word's own."""
        return self.count * len(self.shared) / sum(self.shared) if sum(self.shared) else 0.0


def word_rows(nlp: Language, words: Iterable[str], docs: Iterable[Doc], component: str = "tok2vec") -> list[WordRows]:
    """Find words in the first hash-embedding table of a component, which is that of NORM.

    Args:
        nlp: an initialised pipeline.
        docs: the training documents, for the counts.

    Raises:
        UserError: no such component, no hash embedding in it, a "word" of several tokens.
    """
    if component not in nlp.pipe_names:
        raise UserError(f"the pipeline has no component {component!r}; it has {', '.join(nlp.pipe_names)}")
    model = nlp.get_pipe(component).model  # type: ignore[attr-defined]
    table = next((node for node in model.walk() if node.name == "hashembed"), None)
    if table is None:
        raise UserError(f"{component} has no hash embedding whose rows could be followed")
    name = next(p.name for p in name_parameters(component, model) if p.key == (table.id, "E"))
    size = table.get_param("E").shape[0]

    def rows_of(norms: list[int]) -> np.ndarray:
        ids = np.array(norms, dtype="uint64")
        return table.ops.hash(ids, table.attrs["seed"]) % size

    counts = Counter(token.norm for doc in docs for token in doc)
    norms = list(counts)
    traffic = np.zeros(size, dtype=int)
    for rows, norm in zip(rows_of(norms), norms, strict=True):
        for row in set(rows.tolist()):
            traffic[row] += counts[norm]
    found = []
    for word in words:
        doc = nlp.make_doc(word)
        if len(doc) != 1:
            raise UserError(f"--word {word!r} is {len(doc)} tokens; one word at a time can be followed")
        norm = doc[0].norm
        rows = tuple(int(row) for row in rows_of([norm])[0])
        shared = tuple(int(traffic[row]) for row in dict.fromkeys(rows))
        found.append(WordRows(word, name, rows, counts[norm], shared))
    return found
