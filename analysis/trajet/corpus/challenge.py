"""The challenge set: sentences written one by one, never trained on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trajet.corpus.frames import LABELS
from trajet.corpus.render import Segment
from trajet.errors import UserError
from trajet.files import read_text
from trajet.marked import split_marked


@dataclass(frozen=True)
class Challenge:
    """One sentence: its segments, the phenomenon it tests, where it stands."""

    segments: tuple[Segment, ...]
    phenomenon: str
    where: str

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)


def load_challenge(path: Path) -> list[Challenge]:
    """The sentences of a JSON Lines file with "text" (spans as `[Lyon](ARR)`) and "phenomenon".

    Raises:
        UserError: the file is missing, or a line is bad (file:line is named).
    """
    sentences = []
    for number, line in enumerate(read_text(path, "the challenge sentences belong there").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            entry = json.loads(line)
            text, phenomenon = entry["text"], entry["phenomenon"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{where}: not a JSON object with "text" and "phenomenon" ({error})') from None
        sentences.append(Challenge(tuple(_segments(text, where)), phenomenon, where))
    if not sentences:
        raise UserError(f"{path}: no sentence in it")
    return sentences


def _segments(marked: str, where: str) -> Iterator[Segment]:
    for text, label in split_marked(marked, where):
        if label and label not in LABELS:
            raise UserError(f"{where}: unknown label {label!r}; labels are {' and '.join(LABELS)}")
        yield Segment(text, label, place=bool(label))
