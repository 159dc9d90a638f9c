"""Sentences with their spans written into the text: "de [Marseille](DEP) à [Paris](ARR)"."""

import re
from collections.abc import Iterator

from spacy.language import Language
from spacy.training import Example

from trajet.errors import UserError

_SPAN = re.compile(r"\[([^\[\]]*)\]\(([^()]*)\)")


def split_marked(marked: str, where: str) -> Iterator[tuple[str, str]]:
    """(text, label) pieces in order; the label of plain text is "".

    Raises:
        UserError: an empty span, or a mark that is not closed; `where` is named.
    """
    end = 0
    for match in _SPAN.finditer(marked):
        yield from _plain(marked[end : match.start()], where)
        end = match.end()
        if not match[1].strip() or match[1] != match[1].strip():
            raise UserError(f"{where}: the span {match[1]!r} is empty or begins or ends in a space")
        yield match[1], match[2]
    yield from _plain(marked[end:], where)


def marked_example(nlp: Language, marked: str, component: str = "ner") -> Example:
    """A training example: the marked spans are its gold entities.

    Raises:
        UserError: a bad mark, a label the component does not know, a span off token borders, no text.
    """
    where = f"sentence {marked!r}"
    pieces = list(split_marked(marked, where))
    text = "".join(piece for piece, _ in pieces)
    reference = nlp.make_doc(text)
    if not len(reference):
        raise UserError(f"{where}: no word in it")
    known = nlp.get_pipe(component).labels  # type: ignore[attr-defined]
    spans, start = [], 0
    for piece, label in pieces:
        end = start + len(piece)
        if label:
            if label not in known:
                raise UserError(f"{where}: unknown label {label!r}; {component} knows {', '.join(known)}")
            span = reference.char_span(start, end, label=label)
            if span is None:
                tokens = " ".join(f"[{token.text}]" for token in reference)
                raise UserError(f"{where}: the span {piece!r} does not fall on token borders: {tokens}")
            spans.append(span)
        start = end
    # Set even when empty: entities that are not set would count as missing, not as none.
    reference.set_ents(spans, default="outside")
    return Example(nlp.make_doc(text), reference)


def _plain(text: str, where: str) -> Iterator[tuple[str, str]]:
    if "[" in text or "]" in text:
        raise UserError(f"{where}: a span mark is not closed near {text.strip()[:30]!r}; write [Lyon](ARR)")
    if text:
        yield text, ""
