"""W&B's own library as the laboratory uses it, and the local files that it writes."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import wandb

from experiments.record.failure import reason

log = logging.getLogger(__name__)
logging.getLogger("wandb").setLevel(logging.CRITICAL)  # its file may lie on a full disk

EXTRA = "extra_columns"  # summary key: names of a row's columns that the schema does not have
CLOSE_TIMEOUT = 3.0  # seconds to wait for W&B's service to end
READ_TIMEOUT = 60.0  # seconds for reading one local file
PROBE = 1 << 17  # bytes

_lock = threading.Lock()
_sessions = 0


@contextmanager
def session(*, keep: bool = False, **typed: Any) -> Iterator[wandb.Settings]:
    """Have W&B's service inside the block; blocks of several threads share one.

    The service is another process, which can be killed or hang. As it ends with the block, neither
    the next run nor the end of this process stumbles over it. A service that other code of this
    process has started is not stopped.

    Args:
        keep: Leave the service to the next block, unless this one ends by an exception.
        **typed: Settings that win over what variables and W&B's own files say.

    Yields:
        The settings that hold here.
    """
    global _sessions
    with _lock:
        if not _sessions and not keep and "WANDB_SERVICE" in os.environ:
            _sessions += 1  # somebody else's, which does not end
        _sessions += 1
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            if not os.environ[name]:
                del os.environ[name]  # empty means unset
    try:
        wandb.termsetup(settings(), None)  # else W&B prints which settings files it reads
        yield wandb.setup(settings=settings(**typed)).settings
    except BaseException:
        keep = False
        raise
    finally:
        with _lock:
            _sessions -= 1
            if not _sessions and not keep:
                drop_service()


def settings(**more: Any) -> wandb.Settings:
    """Settings of a W&B that prints nothing and records neither terminal, machine nor code."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        save_code=False,
        disable_git=True,
        label_disable=True,
        symlink=False,
        sagemaker_disable=True,  # it would give all runs of a SageMaker job one id
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=1.0,  # seconds of points that a kill may cost
        **more,
    )


def login() -> bool:
    """Whether there is a login; nobody is asked for one."""
    try:
        return wandb.login(prompt=False, verify=False)
    except Exception as error:
        log.warning("W&B login: %s", reason(error))
        return False


def drop_service() -> None:
    """End W&B's service with all that it holds; if it hangs, it is not waited for."""
    closer = threading.Thread(target=_teardown, name="wandb-closer", daemon=True)
    closer.start()
    closer.join(CLOSE_TIMEOUT)


def _teardown() -> None:
    with suppress(BaseException):  # it ends by sys.exit if the service was killed
        wandb.teardown()


def attempts(folder: Path, run_id: str) -> list[Path]:
    """The local files of all attempts at a run, oldest first."""
    files = folder.glob(f"wandb/*run-*/run-{run_id}.wandb")
    return sorted(files, key=lambda file: file.parent.name.split("run-", 1)[1])


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
        steps: list[int] = [
            row["history"]["step"]["num"] for row in records if row.get("type") == "history"
        ]
        if steps:
            return max(steps)
    return -1


def check_room(folder: Path) -> None:
    """Write and remove a small file; W&B drops without a word what its folder does not take.

    Raises:
        OSError: It takes none.
    """
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(PROBE))
    finally:
        with suppress(OSError):
            probe.unlink()
