"""The challenge set: sentences written one by one, never trained on."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trajet.corpus.frames import LABELS
from trajet.corpus.render import Segment
from trajet.errors import UserError
from trajet.files import read_text

_SPAN = re.compile(r"\[([^\[\]]*)\]\(([^()]*)\)")


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
    end = 0
    for match in _SPAN.finditer(marked):
        yield from _plain(marked[end : match.start()], where)
        end = match.end()
        if match[2] not in LABELS:
            raise UserError(f"{where}: unknown label {match[2]!r}; labels are {' and '.join(LABELS)}")
        if not match[1].strip() or match[1] != match[1].strip():
            raise UserError(f"{where}: the span {match[1]!r} is empty or begins or ends in a space")
        yield Segment(match[1], match[2], place=True)
    yield from _plain(marked[end:], where)


def _plain(text: str, where: str) -> Iterator[Segment]:
    if "[" in text or "]" in text:
        raise UserError(f"{where}: a span mark is not closed near {text.strip()[:30]!r}; write [Lyon](ARR)")
    if text:
        yield Segment(text)
