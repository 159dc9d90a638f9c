"""Files are written whole or not at all, the same text to the same bytes, and read back with one clear line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trajet.errors import UserError
from trajet.files import read_text, write_atomically, write_folder, write_text

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


def _fill(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_text(text, encoding="utf8")

    return write


def _found(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, and what is in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "target"
    assert write_folder(target, _fill("one")) == target
    (target / "stale").touch()
    write_folder(target, _fill("two"))
    assert _found(tmp_path) == {"new/target/deep/a": "two"}
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, ValueError])
def test_a_folder_half_written_changes_nothing(tmp_path: Path, interrupt: type[BaseException]) -> None:
    write_folder(tmp_path / "target", _fill("one"))

    def stop(folder: Path) -> None:
        _fill("two")(folder)
        raise interrupt

    with pytest.raises(interrupt):
        write_folder(tmp_path / "target", stop)
    assert _found(tmp_path) == {"target/deep/a": "one"}


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_between_the_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    write_folder(tmp_path / "target", _fill("one"))
    rename, calls = Path.rename, []

    def interrupted(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == at and not after:
            raise KeyboardInterrupt
        moved = rename(path, target)
        if len(calls) == at:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "target", _fill("two"))
    # Only after the second rename is the new one in place; the old one may then lie beside it.
    assert _found(tmp_path)["target/deep/a"] == ("two" if (at, after) == (2, True) else "one")


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    write_folder(tmp_path / "real", _fill("one"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_folder(tmp_path / "link", _fill("two"))
    assert (tmp_path / "link").is_symlink()
    assert _found(tmp_path / "real") == {"deep/a": "two"}


@pytest.mark.parametrize("write", [lambda path: write_text(path, TEXT), lambda path: write_folder(path, _fill("one"))])
def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path, write: Callable[[Path], object]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/deep: cannot write here \(Not a directory\); choose a folder"):
        write(tmp_path / "file" / "deep" / "target")
    with pytest.raises(UserError, match="file: is a file, not a folder"):
        write_folder(tmp_path / "file", _fill("one"))
    assert _found(tmp_path) == {"file": ""}


def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    write_folder(tmp_path / "taken.json", _fill("one"))
    (tmp_path / "link.json").symlink_to(tmp_path / "taken.json")
    for name in ("taken.json", "link.json"):
        worked: list[Path] = []
        with pytest.raises(UserError, match=rf"{name}: is a folder, not a file; choose another output"):
            write_atomically(tmp_path / name, worked.append)
        assert not worked
    assert _found(tmp_path) == {"taken.json/deep/a": "one"}
