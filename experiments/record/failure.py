"""Why a run failed, in one line that a person can act on."""

import errno
from pathlib import Path

from experiments.errors import UserError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def reason(error: BaseException) -> str:
    """Return one line that says why a run failed."""
    lines = str(error).strip().splitlines() or [""]
    if out_of_memory(error):
        return f"out of memory: {lines[0]}"
    if isinstance(error, UserError):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}"


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch or a GPU could not get the memory that was asked for."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"MemoryError", "OutOfMemoryError"}) or "allocate memory" in str(error)


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return an error to raise when the file system refused to write a file of a run."""
    if error.errno == errno.ENOENT:
        return removed(path.parent)
    later = ""
    if error.errno in NO_ROOM:
        later = "; what was written before is whole, and the same command goes on when there is"
        later += " room"
    return UserError(f"cannot write {path}: {error.strerror}{later}")


def removed(folder: Path) -> UserError:
    """Return an error to raise when a run's folder is not its own any more."""
    return UserError(
        f"the run folder {folder} was removed while the run went on; "
        "the same command starts it anew"
    )
