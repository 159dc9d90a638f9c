"""Two versions of a sentence, piece by piece, so that a span of one can be found again in the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trajet.corpus.render import Segment
from trajet.evaluation import Span


@dataclass(frozen=True)
class Piece:
    """A stretch of text before and after; `label` is that of the gold span it is, or ""."""

    before: str
    after: str
    label: str = ""


@dataclass(frozen=True)
class Edit:
    """A sentence and what it was changed into."""

    pieces: tuple[Piece, ...]

    @property
    def before(self) -> str:
        return "".join(piece.before for piece in self.pieces)

    @property
    def after(self) -> str:
        return "".join(piece.after for piece in self.pieces)

    @property
    def gold_before(self) -> frozenset[Span]:
        return spans_of([Segment(piece.before, piece.label) for piece in self.pieces])

    @property
    def gold_after(self) -> frozenset[Span]:
        return spans_of([Segment(piece.after, piece.label) for piece in self.pieces])

    def moved(self, spans: Iterable[Span]) -> frozenset[Span] | None:
        """The spans of the sentence before, where they stand in the sentence after.

        Returns:
            None if a border lies inside a piece that was changed: it stands nowhere.
        """
        found = set()
        for start, end, label in spans:
            borders = self._border(start, first=True), self._border(end, first=False)
            if None in borders:
                return None
            found.add((*borders, label))
        return frozenset(found)

    def _border(self, position: int, first: bool) -> int | None:
        """A span's first border belongs to the piece it opens, its last one to the piece it closes."""
        before = after = 0
        for piece in self.pieces:
            within = position - before
            size = len(piece.before)
            if size and (0 <= within < size if first else 0 < within <= size):
                if piece.before == piece.after:
                    return after + within
                if within in (0, size):
                    return after + (len(piece.after) if within else 0)
                return None
            before += size
            after += len(piece.after)
        return None


def spans_of(segments: Iterable[Segment]) -> frozenset[Span]:
    """Labelled spans of a sentence in characters, whatever the tokenizer makes of it."""
    spans, start = set(), 0
    for segment in segments:
        if segment.label:
            spans.add((start, start + len(segment.text), segment.label))
        start += len(segment.text)
    return frozenset(spans)


def marked(text: str, spans: Iterable[Span]) -> str:
    """The text with its spans written into it: "de [Lyon](DEP)"."""
    parts: list[str] = []
    at = 0
    for start, end, label in sorted(spans):
        parts += [text[at:start], f"[{text[start:end]}]({label})"]
        at = end
    return "".join([*parts, text[at:]])


def unchanged(segments: Sequence[Segment]) -> list[Piece]:
    """A sentence's segments as pieces that stay as they are."""
    return [Piece(segment.text, segment.text, segment.label) for segment in segments]
