"""Files that are whole or absent: everything is written aside, flushed, and renamed into place."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from experiments.errors import UserError


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Replace ``path`` by ``parts``, so that a crash leaves the old file or the new one.

    Raises:
        OSError: There is no room or no permission; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)


def write(path: Path, content: str | bytes) -> None:
    """Replace a file that is read by people, in UTF-8; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode() if isinstance(content, str) else content)


def expanded(path: str | Path) -> Path:
    """Return a path with a person's home folder in place of ``~`` or ``~name``.

    Raises:
        UserError: There is no such person.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: there is no home folder for its beginning") from error


def checksum(path: str | Path | None) -> str | None:
    """Return the SHA-256 of a file in hexadecimal, or None if there is none that can be read."""
    try:
        if not path or not expanded(path).is_file():  # reading a pipe could take forever
            return None
        return hashlib.sha256(expanded(path).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def flush_folder(folder: Path) -> None:
    """Put the names in ``folder`` on disk, as far as its file system knows how to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left; nobody else may be writing to the folder."""
    for file in folder.glob(".*.*"):
        if file.suffix[1:].isdigit() and file.is_file():
            file.unlink(missing_ok=True)
