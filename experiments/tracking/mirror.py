"""Mirrors of a run. The run folder is the record; a mirror may fail, but never cost a run."""

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from experiments.errors import UserError
from experiments.record.failure import reason

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline")
WANDB_MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # the last two are old
#: Variables that name one run: W&B's agents and launchers set them for the command they start.
ONE_RUN = ("WANDB_RUN_ID", "WANDB_NAME", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_LAUNCH")
GRACE = 10.0  # seconds beyond all other limits after which W&B counts as hanging


class NoTracker:
    """Takes what a tracker takes and keeps nothing."""

    def __init__(self, **run: Any):
        """Accept any description of a run."""

    def __enter__(self) -> "NoTracker":
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def finish(self, row: Mapping[str, Any]) -> None:
        """Ignore ``row``."""


@dataclass(kw_only=True)
class WandbTracker:
    """One W&B run, open as long as the ``with`` block.

    A daemon thread does all that W&B does, following the metrics in the run folder. The run waits
    for it once, at the end of the block and for a bounded time. Leaving the block by an exception
    marks the W&B run as failed.

    Attributes:
        folder: The run folder, to whose metrics the block only adds. W&B writes to its subfolder
            ``wandb``, unless WANDB_DIR is set.
        id: Identity of the run: the same id resumes the same W&B run.
        name: What the W&B page shows for it.
        group: The sweep it belongs to.
        job_type: Kind of run, such as ``train``.
        tags: Labels to filter by.
        config: What W&B shows as the run's configuration; never a secret.
        project: W&B project; if None, WANDB_PROJECT or else ``decoupled-weight-decay``.
        entity: W&B user or team; if None, WANDB_ENTITY or else the person's default.
        mode: ``auto | online | offline``; ``auto`` follows WANDB_MODE, then the login.
        init_timeout: Seconds to wait for the server before the run is kept offline; the last
            upload may take three times as long.

    Raises:
        UserError: ``mode``, WANDB_MODE or ``init_timeout`` is out of range.
    """

    folder: Path
    id: str
    name: str
    group: str
    job_type: str
    tags: list[str]
    config: dict[str, Any]
    project: str | None = None
    entity: str | None = None
    mode: str = "auto"
    init_timeout: float = 10.0
    _off: ClassVar[bool] = False  # whether this process goes on without W&B

    def __post_init__(self) -> None:
        variable = os.environ.get("WANDB_MODE") or "online"
        if self.mode not in MODES:
            raise UserError(f"tracker.mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if variable not in WANDB_MODES:
            raise UserError(f"WANDB_MODE must be one of {', '.join(WANDB_MODES)}, got {variable!r}")
        if not self.init_timeout > 0:
            raise UserError(f"tracker.init_timeout must be positive, got {self.init_timeout}")
        self._disabled = (self.mode, variable) == ("auto", "disabled")
        self._thread: threading.Thread | None = None
        self.row: dict[str, Any] = {}
        self.exit_code = 0
        self.ended = threading.Event()

    def __enter__(self) -> "WandbTracker":
        if not self._disabled and not self._off:
            self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
            self._thread.start()
        return self

    def finish(self, row: Mapping[str, Any]) -> None:
        """Keep ``row``, a row of the runs table, for the summary of the W&B run."""
        self.row = dict(row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        self.exit_code = 0 if kind is None else 1
        self.ended.set()
        try:
            self._thread.join(4 * self.init_timeout + GRACE)
        finally:
            if self._thread.is_alive():
                from experiments.tracking.sdk import drop_service

                self._switch_off("W&B is switched off and the run goes on: W&B does not answer")
                drop_service()

    def _mirror(self) -> None:
        """Do all that W&B does: the life of the thread."""
        try:
            from experiments.tracking.live_run import live
        except Exception as error:
            return self._switch_off(f"W&B is switched off: {reason(error)}")
        try:
            live(self)
        except BaseException as error:
            if not self._off:
                log.warning("W&B stops mirroring %s, which goes on: %s", self.name, reason(error))

    def _switch_off(self, why: str) -> None:
        WandbTracker._off = True
        log.warning(why)


def agent_waits() -> bool:
    """Whether W&B's agent started this command, and waits for the objective of its one run."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def drop_what_names_one_run() -> None:
    """Let this process run many W&B runs, each with an id and a name of its own.

    To W&B's agent the command that it starts is one run: cells of a sweep must not all be that.
    """
    dropped = [name for name in ONE_RUN if os.environ.pop(name, None)]
    if dropped:
        log.warning("W&B: a sweep is many runs, hence it goes without %s", ", ".join(dropped))
