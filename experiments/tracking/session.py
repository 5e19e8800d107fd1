"""Weights & Biases as one process uses it: quiet, silent about itself, and never in the way."""

import atexit
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

EXTRA = "extra_columns"  # summary key: names of a row's columns that the schema does not have
CLOSE_TIMEOUT = 3.0  # seconds that the end of the process waits for W&B's service
READ_TIMEOUT = 60.0  # seconds for reading one local file
PROBE = 1 << 17  # bytes


class Session:
    """What a process knows about W&B from one of its runs to the next.

    wandb is imported by :meth:`usable`, at the first run. Its service is another process, which
    can be killed or hang; then :meth:`restart` or :meth:`give_up` drops it, so that neither the
    next run nor the end of the process stumbles over it.

    Attributes:
        online: Whether runs may go to the server: there is a login and it has not failed yet.
        off: Whether the process goes on without W&B.
    """

    _current: "Session | None" = None

    def __init__(self) -> None:
        self.online = True
        self._pid = os.getpid()
        self.off = False
        self._started = False
        self._closing = threading.Event()
        # Made now, because Python 3.12 starts no thread at the end of a process.
        self._closer = threading.Thread(target=self._close, name="wandb-closer", daemon=True)

    @classmethod
    def of_this_process(cls) -> "Session":
        """The session of this process; a forked child gets its own."""
        if cls._current is None or cls._current._pid != os.getpid():
            cls._current = cls()
        return cls._current

    def usable(self) -> bool:
        """Import wandb with its telemetry switched off; if that fails, say so once."""
        if self.off:
            return False
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # wandb reports home even from offline runs
        try:
            import wandb  # noqa: F401

            logging.getLogger("wandb").setLevel(logging.CRITICAL)  # its file may lie on a full disk
        except Exception as error:
            self.off = True
            log.warning("W&B is switched off: %s", brief(error))
        return not self.off

    def start(self) -> None:
        """Start the service if it does not run, and look for a login without asking for one."""
        import wandb

        if not self._started:
            os.environ.pop("WANDB_SERVICE", None)  # a parent's service would end with the parent
            self._closer.start()
        wandb.setup(settings=settings())
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)  # later than wandb's own hook, hence called before it
        if not self._started:
            self.online = _logged_in()
        self._started = True

    def restart(self) -> None:
        """Drop the service with all that it holds; the next start starts another."""
        import wandb

        with contextlib.suppress(BaseException):  # it may be dead, and ends by sys.exit
            wandb.teardown()

    def give_up(self, reason: str) -> None:
        """Leave W&B out of the rest of this process."""
        self.off = True
        self._closing.set()
        log.warning("W&B is switched off and the run goes on: %s", reason)

    def _close(self) -> None:
        self._closing.wait()
        self.restart()

    def _at_exit(self) -> None:
        """End the service, with no traceback if it was killed and no waiting if it hangs."""
        if self._pid == os.getpid():
            self._closing.set()
            self._closer.join(CLOSE_TIMEOUT)


def settings(**timeouts: float) -> "wandb.Settings":
    """Settings of a W&B that prints nothing and records neither terminal, machine nor code."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        save_code=False,
        disable_git=True,
        label_disable=True,
        symlink=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=1.0,  # seconds of points that a kill may cost
        **timeouts,
    )


def attempts(folder: Path, run_id: str) -> list[Path]:
    """The local files of all attempts at a run, oldest first."""
    folders = sorted(folder.glob("wandb/*run-*"), key=lambda path: path.name.split("run-", 1)[1])
    files = [path / f"run-{run_id}.wandb" for path in folders]
    return [path for path in files if path.exists()]


def unsynced(file: Path) -> bool:
    """Whether ``file`` is of an offline attempt that ``wandb sync`` has not uploaded."""
    offline = file.parent.name.startswith("offline-")
    return offline and not file.with_name(f"{file.name}.synced").exists()


def last_step(files: list[Path]) -> int:
    """The last step found in ``files``, read by wandb's own tool; -1 if there is none."""
    for file in reversed(files):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        output = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=READ_TIMEOUT
        ).stdout
        records = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        steps = [row["history"]["step"]["num"] for row in records if row.get("type") == "history"]
        if steps:
            return max(steps)
    return -1


def has_room(folder: Path) -> bool:
    """Whether ``folder`` takes a small file; W&B drops without a word what its folder does not."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(PROBE))
        return True
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def brief(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _logged_in() -> bool:
    import wandb

    try:
        return wandb.login(prompt=False, verify=False)
    except Exception as error:
        log.warning("W&B login: %s", brief(error))
        return False
