"""Whatever a line holds, one request comes out of it."""

import io

import pytest

from trajet.errors import UserError
from trajet.resolve.lines import LONGEST, read_lines


def _read(content: bytes, **more) -> list[tuple[str, str]]:
    return [(line.id, line.sentence) for line in read_lines(io.BytesIO(content), **more)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"7,De Lyon\n", [("7", "De Lyon")]),
        (b"7,De Lyon", [("7", "De Lyon")]),
        (b"\xef\xbb\xbf7,De Lyon\r\n8,Oui\r\n", [("7", "De Lyon"), ("8", "Oui")]),
        ("é-1 , Où ça ? \n".encode(), [("é-1", "Où ça ?")]),
        # everything after the first comma
        (b"7,De Lyon, demain, merci\n", [("7", "De Lyon, demain, merci")]),
        (b'7,"De Lyon, demain"\n', [("7", "De Lyon, demain")]),
        (b'7,"Il dit ""non"", puis oui"\n', [("7", 'Il dit "non", puis oui')]),
        (b'"a,b","De Lyon"\n', [("a,b", "De Lyon")]),
        (b'"7" , De Lyon\n', [("7", "De Lyon")]),
        # quotes that are no CSV
        (b'7,"Lyon" ou "Nice"\n', [("7", '"Lyon" ou "Nice"')]),
        (b'7,"De Lyon\n8,Oui\n', [("7", '"De Lyon'), ("8", "Oui")]),
        (b'"Lyon" ou Nice,oui\n', [('"Lyon" ou Nice', "oui")]),
        # no id: the number of the line, empty ones counted
        (b"De Lyon\n", [("1", "De Lyon")]),
        (b"\n \r\n,De Lyon\n", [("3", "De Lyon")]),
        (b'"De Lyon, demain"\n', [("1", "De Lyon, demain")]),
        (b'"",De Lyon\n', [("1", "De Lyon")]),
        (b",\n7,\n", [("1", ""), ("7", "")]),
        (b"", []),
        (b"\n\n\xef\xbb\xbf", [("3", "\ufeff")]),
    ],
)
def test_what_is_read(content: bytes, expected: list) -> None:
    assert _read(content) == expected


def test_lines_without_ids_are_sentences_whole() -> None:
    assert _read(b'Bonjour, de Lyon\n\n"Oui, merci"\n', ids=False) == [("1", "Bonjour, de Lyon"), ("3", "Oui, merci")]


def test_bytes_that_are_not_utf8_are_replaced_and_told() -> None:
    first, second = read_lines(io.BytesIO("1,De N\u00eemes\n".encode("latin-1") + b"2,De Lyon\n"))
    assert first.sentence == "De N\ufffdmes"
    assert first.warnings == ("bytes that are not UTF-8 were replaced",)
    assert (second.sentence, second.warnings) == ("De Lyon", ())


def test_nul_bytes_are_left_out_and_told() -> None:
    first, second = read_lines(io.BytesIO(b"1,De\x00 Lyon\n\x00\x00\n3,Oui\n"))
    assert first.sentence == "De Lyon"
    assert first.warnings == ("NUL bytes were left out",)
    assert (second.number, second.sentence) == (3, "Oui")


@pytest.mark.parametrize("ending", [b"\n2,Oui\n", b"\r\n2,Oui"])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_very_long_line_is_cut_between_letters_and_told(ending: bytes, shift: int) -> None:
    # Two bytes a letter: with one shift or the other the cut falls inside one.
    first, second = read_lines(io.BytesIO(b"1," + b"x" * shift + "é".encode() * (3 * LONGEST) + ending))
    assert set(first.sentence) <= {"x", "é"}
    assert LONGEST - 3 <= len(f"1,{first.sentence}".encode()) <= LONGEST
    assert first.warnings == (f"longer than {LONGEST:,} bytes, the rest is not read",)
    assert (second.number, second.id, second.sentence) == (2, "2", "Oui")


def test_a_line_of_the_greatest_length_is_whole() -> None:
    first, second = read_lines(io.BytesIO(b"1," + b"a" * (LONGEST - 2) + b"\n2,Oui"))
    assert len(first.sentence) == LONGEST - 2
    assert not first.warnings
    assert second.id == "2"


def test_quotes_without_end_take_no_time_to_speak_of() -> None:
    # A careless pattern would try every way to split this.
    assert _read(b'1,"' + b'""a' * 5000 + b"\n")[0][1].startswith('"')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_is_refused(encoding: str) -> None:
    content = ("\ufeff" if encoding == "utf-16-be" else "") + "1,De Lyon\n"
    with pytest.raises(UserError, match="UTF-16"):
        _read(content.encode(encoding))
