"""Writing files so that a reader never meets a half-written one."""

import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from trajet.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write(temporary)` fill a file beside `path`, then rename it into place.

    An interrupted or failing `write` leaves what stood at `path` as it was.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays: matplotlib and others choose the format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as error:
        raise UserError(
            f"{path.parent}: cannot write here ({error.strerror}); choose a folder you may write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files private; what we publish follows the user's umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


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
