"""Why a cell has no result: failed.json in its folder, until a later run of it succeeds."""

import errno
import json
import socket
import traceback
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from experiments.errors import UserError
from experiments.record.files import write_atomically
from experiments.record.lock import batch_job

NAME = "failed.json"
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
    """Return an error to raise when the file system refused something of a run."""
    if error.errno == errno.ENOENT:
        return UserError(
            f"the run folder {path.parent} was removed while the run went on; "
            "the same command starts it anew"
        )
    later = ""
    if error.errno in NO_ROOM:
        later = "; what was written before is whole, and the same command goes on when there is"
        later += " room"
    return UserError(f"cannot write {path}: {error.strerror}{later}")


def write(folder: Path, why: str, error: BaseException | None = None) -> None:
    """Leave the reason in the folder; on a full disk there may be no room for it."""
    values = {
        "reason": why,
        "host": socket.gethostname(),
        "job": batch_job(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if error is not None and not isinstance(error, UserError):
        values["traceback"] = "".join(traceback.format_exception(error))
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / NAME, (json.dumps(values, indent=1) + "\n").encode())


def read(folder: Path) -> str | None:
    """Return the reason in a folder, or None."""
    try:
        return str(json.loads((folder / NAME).read_text())["reason"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return f"{NAME} is damaged"


def job(folder: Path) -> str | None:
    """Return the batch job in which a cell failed, or None."""
    try:
        return json.loads((folder / NAME).read_text()).get("job") or None
    except (OSError, ValueError, AttributeError):
        return None


def remove(folder: Path) -> None:
    """Forget the failure."""
    (folder / NAME).unlink(missing_ok=True)
