"""Mirrors of a run. The run folder is the record; a mirror may fail, but never cost a run."""

import logging
import os
import queue
import shlex
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from experiments.errors import UserError
from experiments.record.schema import COLUMNS
from experiments.tracking.session import (
    EXTRA,
    Session,
    attempts,
    brief,
    has_room,
    last_step,
    settings,
    unsynced,
)

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline")
GRACE = 10.0  # seconds beyond all other limits after which W&B counts as hanging


class NoTracker:
    """Takes what a tracker takes and keeps nothing."""

    def __init__(self, **run: Any):
        """Accept any description of a run."""

    def __enter__(self) -> "NoTracker":
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Ignore ``metrics``."""

    def finish(self, row: Mapping[str, Any]) -> None:
        """Ignore ``row``."""


class WandbTracker:
    """One W&B run, open as long as the ``with`` block.

    A daemon thread does all that W&B does, so that the run waits for it once, at the end of the
    block and for a bounded time. Leaving the block by an exception marks the W&B run as failed.

    Args:
        folder: The run folder; W&B writes to its subfolder ``wandb``.
        id: Identity of the run: the same id resumes the same W&B run.
        name: What the W&B page shows for it.
        group: The sweep it belongs to.
        job_type: Kind of run, such as ``train``.
        tags: Labels to filter by.
        config: What W&B shows as the run's configuration; never a secret.
        project: W&B project.
        entity: W&B user or team; the person's default if ``None``.
        mode: ``auto | online | offline``; ``auto`` follows WANDB_MODE, then the login.
        init_timeout: Seconds to wait for the server before the run is kept offline; the last
            upload may take three times as long.

    Raises:
        UserError: ``mode`` or ``init_timeout`` is out of range.
    """

    def __init__(
        self,
        *,
        folder: Path,
        id: str,
        name: str,
        group: str,
        job_type: str,
        tags: list[str],
        config: dict[str, Any],
        project: str,
        entity: str | None = None,
        mode: str = "auto",
        init_timeout: float = 10.0,
    ):
        if mode not in MODES:
            raise UserError(f"tracker.mode must be one of {', '.join(MODES)}, got {mode!r}")
        if not init_timeout > 0:
            raise UserError(f"tracker.init_timeout must be positive, got {init_timeout}")
        self.folder, self.name = Path(folder), name
        self.mode, self.init_timeout = mode, float(init_timeout)
        self._finish_timeout = 3 * self.init_timeout
        self._run = dict(
            dir=str(folder),
            id=id,
            name=name,
            group=group,
            job_type=job_type,
            tags=list(tags),
            config=dict(config),
            project=project,
            entity=entity,
        )
        self._points: queue.SimpleQueue[tuple[dict[str, Any], int] | None] = queue.SimpleQueue()
        self._row: dict[str, Any] = {}
        self._exit_code = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "WandbTracker":
        self._session = Session.of_this_process()
        if self.mode == "auto":
            mode = os.environ.get("WANDB_MODE") or "auto"
            self.mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)
        if self.mode != "disabled" and self._session.usable():
            self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
            self._thread.start()
        return self

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Mirror ``metrics`` at optimizer step ``step``; returns at once."""
        if self._thread:
            self._points.put((dict(metrics), step))

    def finish(self, row: Mapping[str, Any]) -> None:
        """Keep ``row``, a row of the runs table, for the summary of the W&B run."""
        self._row = dict(row) | {EXTRA: [key for key in row if key not in COLUMNS]}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._thread:
            return
        self._exit_code = 0 if kind is None else 1
        self._points.put(None)
        self._thread.join(self.init_timeout + self._finish_timeout + GRACE)
        if self._thread.is_alive():
            self._session.give_up("W&B does not answer")

    def _mirror(self) -> None:
        """Open the W&B run, follow the queue, finish: the life of the thread."""
        try:
            run, first = self._open()
            held_back = False
            for metrics, step in iter(self._points.get, None):
                if step >= first:
                    run.log(metrics, step=step)
                    held_back = True
            if held_back:  # the last point, which would overwrite the row
                run.log({}, commit=True)
            run.summary.update(self._row)
            run.finish(exit_code=self._exit_code)
            if not has_room(Path(run.sync_dir)):
                raise OSError("no room left for it")
        except BaseException as error:
            if not self._session.off:
                log.warning("W&B stops mirroring %s, which goes on: %s", self.name, brief(error))
            self._session.online &= not isinstance(error, TimeoutError)  # wait only once
            self._session.restart()

    def _open(self) -> tuple["wandb.Run", int]:
        """Open the run, online if possible; also return the first step it does not hold yet."""
        self._session.start()
        files = attempts(self.folder, self._run["id"])
        # A run that began offline stays there until it is synced, or its steps would mix.
        if self.mode != "offline" and self._session.online and not any(map(unsynced, files)):
            try:
                run = self._init("online")
            except Exception as error:
                log.warning("W&B goes offline: %s", brief(error))
                self._session.online = False
                self._session.restart()  # the service still holds the id
                self._session.start()
            else:
                log.info("W&B: %s", run.url)
                return run, run.starting_step
        elif self.mode == "online":
            log.warning("W&B keeps %s offline: no login, no network or begun offline", self.name)
        run = self._init("offline")
        log.info("W&B: offline; upload with `wandb sync %s`", shlex.quote(run.sync_dir))
        return run, last_step(files) + 1

    def _init(self, mode: str) -> "wandb.Run":
        import wandb

        timeouts = dict(init_timeout=self.init_timeout, finish_timeout=self._finish_timeout)
        return wandb.init(
            **self._run,
            mode=mode,
            resume="allow",
            reinit="finish_previous",
            settings=settings(**timeouts, finish_timeout_raises=True),
        )
