"""What each word is to the trip, for a second task beside the entities."""

from collections.abc import Sequence

from spacy.tokens import Doc

from trajet.corpus.render import Segment

OUTSIDE = "O"
BYSTANDER = "PLACE"


def set_roles(doc: Doc, segments: Sequence[Segment]) -> None:
    """Set the tag of every token: DEP, ARR, PLACE for a place that plays no role, O for all other words.

    The entities say nothing of a place that plays no role; a stop or a birthplace is told apart from an ordinary
    word here.
    """
    start = 0
    for token in doc:
        token.tag_ = OUTSIDE
    for segment in segments:
        end = start + len(segment.text)
        if segment.place:
            for token in doc.char_span(start, end, alignment_mode="expand") or ():
                token.tag_ = segment.label or BYSTANDER
        start = end
