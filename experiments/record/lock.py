"""One process a run folder: a lock that dies with its holder, on local and on network disks.

The kernel holds the lock and lets go of it when the process dies; NFS servers do so across
machines. Some file systems keep no locks, others keep them to one machine, and Windows has none of
this kind. There the holder writes a count into the file every few seconds, as a sign of life, and a
process that wants the folder first watches the file: if the count stands still, the holder is dead.
It measures this time itself, so that no two machines need to agree on what time it is.
"""

import errno
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from experiments.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BEAT = 10.0  # seconds between two signs of life
SILENCE = 3.5 * BEAT  # seconds without one after which a holder on another machine is dead
PATIENCE = 1.0  # seconds to wait for a holder that may just be leaving
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Busy(UserError):
    """Another process holds the folder."""


class Lock:
    """Held inside the ``with`` block.

    Args:
        path: The lock file; its folder is what is locked.

    Raises:
        Busy: Another process holds it.
        OSError: The folder cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._record = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "job": batch_job(),
            "token": uuid.uuid4().hex,
        }
        self._left = threading.Event()

    def __enter__(self) -> "Lock":
        self._file, kernel_locks = self._acquire()
        self._write(0)
        if not kernel_locks:
            self._settle()
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._left.set()
        self._thread.join()
        if self.holds():
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:  # Windows removes no open file; an empty one names no holder
                os.ftruncate(self._file, 0)
        os.close(self._file)

    def holds(self) -> bool:
        """Whether the folder is there and still this process's."""
        return _same(self._file, self.path)

    def _acquire(self) -> tuple[int, bool]:
        """Return the open file, and whether the kernel locked it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                locked = _try(file)
                if locked is False and time.monotonic() > deadline:
                    raise _busy(self.path, _read(self.path))
                if locked is not False and _same(file, self.path):
                    self._outwait(bool(locked))
                    return file, bool(locked)
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # another process holds it, or removed it just now
            time.sleep(PATIENCE / 10)

    def _settle(self) -> None:
        """Let one of several processes stay that start together where the kernel locks nothing.

        Each has written its record into the file by now. The last one to do so stays.
        """
        time.sleep(BEAT / 5)
        now = _read(self.path)
        if now is None or now["token"] != self._record["token"]:
            os.close(self._file)
            raise _busy(self.path, now)

    def _outwait(self, locked: bool) -> None:
        """Watch a holder that the kernel of this machine does not know of; leave if it lives.

        Args:
            locked: Whether the kernel locked the file, so that no process of this machine holds it.

        Raises:
            Busy: It gives signs of life.
        """
        before = _read(self.path)
        if before is None or (before["job"] and before["job"] == self._record["job"]):
            return  # nobody, or an earlier attempt of this very job, which has ended
        if locked and before["host"] == self._record["host"]:
            return
        end = time.monotonic() + SILENCE
        while time.monotonic() < end:
            time.sleep(BEAT / 5)
            now = _read(self.path)
            if now is None:
                return
            if now != before:
                raise _busy(self.path, now)

    def _beat(self) -> None:
        count = 0
        while not self._left.wait(BEAT):
            count += 1
            self._write(count)

    def _write(self, count: int) -> None:
        """Write who holds the lock and a count, always in the same number of bytes."""
        text = json.dumps(self._record | {"beat": count}).encode()
        try:
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, text.ljust(400))
            os.fsync(self._file)
        except OSError:
            return  # a full disk; where the kernel holds the lock, it still does


def holder(path: Path) -> dict[str, Any] | None:
    """Return who holds a lock file at this moment, or None.

    Where the kernel keeps no locks this cannot be told without watching, and is None.
    """
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        return (_read(path) or {}) if _try(file) is False else None
    finally:
        os.close(file)


def _try(file: int) -> bool | None:
    """Lock an open file: True if that worked, False if another holds it, None if none can."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _busy(path: Path, record: dict[str, Any] | None) -> Busy:
    who = f" (process {record['pid']} on {record['host']})" if record else ""
    return Busy(f"{path.parent} is being run by another process{who}")


def _same(file: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        there, here = os.stat(path), os.fstat(file)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _read(path: Path) -> dict[str, Any] | None:
    """Read the holder's record through a new handle, which makes NFS ask the server."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def batch_job() -> str:
    """Return the batch job that this process belongs to; it is the same after a requeue."""
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID")
    job, task, single = (os.environ.get(name, "") for name in names)
    return f"{job}_{task}" if job else single
