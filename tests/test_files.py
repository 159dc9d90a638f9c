"""Files are written whole or not at all, the same text to the same bytes, and read back with one clear line."""

from pathlib import Path

import pytest

from trajet.errors import UserError
from trajet.files import read_text, write_text

TEXT = "Évry → L'Haÿ\nune ligne\n" * 50


def test_a_text_comes_back_compressed_or_not(tmp_path: Path) -> None:
    plain, packed = (write_text(tmp_path / name, TEXT) for name in ("a.jsonl", "a.jsonl.gz"))
    assert read_text(plain, "") == read_text(packed, "") == TEXT
    assert len(packed.read_bytes()) < len(plain.read_bytes()) / 5
    again = write_text(tmp_path / "again.gz", TEXT)
    assert again.read_bytes() == packed.read_bytes()


def test_line_ends_are_those_of_text_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\ntwo\rthree\n")
    assert read_text(tmp_path / "a", "") == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    "broken", [lambda content: content[:40], lambda content: b"{}", lambda content: content[:-9] + b"x" * 9]
)
def test_a_broken_archive_is_one_line(tmp_path: Path, broken) -> None:
    packed = write_text(tmp_path / "a.gz", TEXT)
    packed.write_bytes(broken(packed.read_bytes()))
    with pytest.raises(UserError, match=r"a\.gz: not a whole gzip file; export it again"):
        read_text(packed, "export it again")
