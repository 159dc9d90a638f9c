"""Writing files so that a reader never meets a half-written one."""

import gzip
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trajet.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write(temporary)` fill a file beside `path`, then rename it into place.

    An interrupted or failing `write` leaves what stood at `path` as it was.

    Raises:
        UserError: `path` is a folder, or the folder around it cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a file; choose another output")
    with _writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: matplotlib and others choose the format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _publish(temporary, 0o666)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_folder(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write(temporary)` fill a folder beside `path`, then put it in the place of whatever folder stands there.

    An interrupted or failing `write` leaves what stood at `path` as it was. The old folder is moved aside before the
    new one is moved in, put back if that fails, and deleted last.

    Raises:
        UserError: `path` is a file, or the folder around it cannot be made or written to.
    """
    path = Path(path)
    # Of a link, the folder it leads to is replaced, not the link.
    target = path.resolve()
    if target.is_file():
        raise UserError(f"{path}: is a file, not a folder; choose another output")
    with _writable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        write(temporary)
        _publish(temporary, 0o777)
        with _writable(target.parent):
            _put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _put_in_place(new: Path, target: Path) -> None:
    aside = new.with_name(f"{new.name}-old")
    if not target.exists():
        new.rename(target)
        return
    try:
        target.rename(aside)
        new.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: cannot write here ({error.strerror}); choose a folder you may write to") from None


def _publish(path: Path, mode: int) -> None:
    """What tempfile makes is private; what we publish follows the user's umask."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(mode & ~umask)


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8, atomically; compressed where the name ends in .gz, the same text to the same bytes."""
    content = text.encode("utf8")
    # The time, and what differs between systems, stay out of the header.
    content = gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: object) -> Path:
    """Write `value` as indented JSON with sorted keys, atomically."""
    return write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_text(path: Path, hint: str) -> str:
    """The text of a UTF-8 file, unpacked where its name ends in .gz, or a UserError that names the file and gives `hint`."""
    path = Path(path)
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf8")
        # As Python's text files have it.
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {hint}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a file; {hint}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(f"{path}: not a whole gzip file; {hint}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
