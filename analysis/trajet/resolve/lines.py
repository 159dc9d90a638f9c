"""Reading `id,sentence` lines from anything that gives bytes, one at a time, whatever is in them."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from trajet.errors import UserError

# A request has a few hundred bytes; what is longer is cut, so that one line cannot fill the memory.
LONGEST = 20_000
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"')


@dataclass(frozen=True)
class Line:
    """One request as it came in.

    Attributes:
        number: of the line in its source, from 1, empty ones counted.
        id: what stands before the first comma, or the number.
        sentence: the rest, without the quotes of CSV and the spaces around it.
        warnings: what was mended in it, in words.
    """

    number: int
    id: str
    sentence: str
    warnings: tuple[str, ...] = ()


def read_lines(stream: BinaryIO, ids: bool = True) -> Iterator[Line]:
    """The lines of a UTF-8 stream that are not empty, read as they are asked for.

    Args:
        stream: only its `readline(limit)` is used.
        ids: whether a line begins with an id; otherwise the whole line is the sentence.
    Raises:
        UserError: the stream is UTF-16.
    """
    number = 0
    while content := stream.readline(LONGEST + 1):
        number += 1
        if number == 1:
            if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise UserError("the input is UTF-16, not UTF-8; save it as UTF-8")
            content = content.removeprefix(codecs.BOM_UTF8)
        warnings = []
        if len(content) > LONGEST and not content.endswith(b"\n"):
            _skip_rest(stream)
            content = content[:LONGEST]
            # The cut may fall inside a letter: without `final` what is unfinished is left out.
            text, _ = codecs.utf_8_decode(content, "replace", False)
            warnings.append(f"longer than {LONGEST:,} bytes, the rest is not read")
        else:
            text = content.decode("utf8", "replace")
        if not _is_utf8(content, bool(warnings)):
            warnings.append("bytes that are not UTF-8 were replaced")
        if "\x00" in text:
            text = text.replace("\x00", "")
            warnings.append("NUL bytes were left out")
        if text := text.strip():
            name, sentence = _fields(text) if ids else ("", _unquoted(text))
            yield Line(number, name or str(number), sentence, tuple(warnings))


def _fields(text: str) -> tuple[str, str]:
    """(id, sentence); no line break is ever part of a field."""
    if quoted := _QUOTED.match(text):
        rest = text[quoted.end() :].lstrip()
        if not rest:
            return "", _unquoted(text)
        if rest.startswith(","):
            return _unquoted(quoted[0]), _unquoted(rest[1:])
    name, comma, sentence = text.partition(",")
    return (name.strip(), _unquoted(sentence)) if comma else ("", text)


def _unquoted(field: str) -> str:
    """What is quoted as a whole, without its quotes: '"dit ""oui"", là"' -> 'dit "oui", là'."""
    field = field.strip()
    quoted = _QUOTED.fullmatch(field)
    return quoted[1].replace('""', '"').strip() if quoted else field


def _is_utf8(content: bytes, cut: bool) -> bool:
    try:
        codecs.utf_8_decode(content, "strict", not cut)
    except UnicodeDecodeError:
        return False
    return True


def _skip_rest(stream: BinaryIO) -> None:
    while (rest := stream.readline(LONGEST)) and not rest.endswith(b"\n"):
        pass
