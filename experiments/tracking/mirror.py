"""Mirrors of a run. The run folder is the record; a mirror may fail, but never cost a run."""

import logging
import os
import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.errors import UserError
from experiments.record.failure import reason
from experiments.record.folder import RunFolder
from experiments.record.schema import COLUMNS

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

PROJECT = "decoupled-weight-decay"
MODES = ("auto", "online", "offline")
WANDB_MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # the last two are old
#: Variables that name one run: W&B's agents and launchers set them for the command they start.
ONE_RUN = ("WANDB_RUN_ID", "WANDB_NAME", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_LAUNCH")
POLL = 1.0  # seconds between two looks at the metrics
GRACE = 10.0  # seconds beyond all other limits after which W&B counts as hanging


class ServerFailed(Exception):
    """W&B's server did not take a run; the process goes on offline."""


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

    A daemon thread does all that W&B does, its import included, following the metrics in the run
    folder. The run waits for it once, at the end of the block and for a bounded time. Leaving the
    block by an exception marks the W&B run as failed.

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
    keep_service: ClassVar[bool] = False  # for the next run of this process, see sdk.session
    _off: ClassVar[bool] = False  # whether this process goes on without W&B
    _online: ClassVar[bool] = True  # whether to try the server: a login, and no failure yet

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
        self._row: dict[str, Any] = {}
        self._exit_code = 0
        self._ended = threading.Event()

    def __enter__(self) -> "WandbTracker":
        if not self._disabled and not self._off:
            self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
            self._thread.start()
        return self

    def finish(self, row: Mapping[str, Any]) -> None:
        """Keep ``row``, a row of the runs table, for the summary of the W&B run."""
        self._row = dict(row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        self._exit_code = 0 if kind is None else 1
        self._ended.set()
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
            import experiments.tracking.sdk  # noqa: F401  brings W&B in
        except Exception as error:
            return self._switch_off(f"W&B is switched off: {reason(error)}")
        try:
            try:
                self._live()
            except ServerFailed:
                self._live()  # offline
        except BaseException as error:
            if isinstance(error, TimeoutError):
                WandbTracker._online = False  # wait only once
            if not self._off:
                log.warning("W&B stops mirroring %s, which goes on: %s", self.name, reason(error))

    def _live(self) -> None:
        """Mirror the run until it has ended.

        Raises:
            BaseException: What W&B raises; SystemExit if its service was killed.
        """
        from experiments.tracking import sdk

        typed = {} if self.mode == "auto" else {"mode": self.mode}
        with sdk.session(keep=self.keep_service, **typed) as settings:
            self._follow(*self._open(settings))

    def _follow(self, run: "wandb.Run", first: int) -> None:
        """Log all metrics from step ``first`` on, and at the end the row: it has the last word."""
        from experiments.tracking import sdk

        folder, seen, logged, ended = RunFolder(self.folder), 0, False, False
        while not ended:
            ended = self._ended.wait(POLL)
            try:
                points = folder.metrics()
            except ValueError:
                if ended:
                    raise
                continue  # a line is just being written
            for point in points[seen:]:
                step = point.pop("step")
                if step >= first:
                    run.log(point, step=step)
                    logged = True
            seen = len(points)
        if logged:
            run.log({}, commit=True)  # W&B holds the last point back until the next
        if self._row:
            extra = [key for key in self._row if key not in COLUMNS]
            run.summary.update(self._row | {sdk.EXTRA: extra})
        run.finish(exit_code=self._exit_code)
        if not run.disabled:
            sdk.check_room(Path(run.sync_dir))

    def _open(self, settings: "wandb.Settings") -> "tuple[wandb.Run, int]":
        """Open the W&B run, online if possible.

        Args:
            settings: What W&B's variables and files say, which wins over what the laboratory says.

        Returns:
            The run and the first step it does not hold yet.

        Raises:
            ServerFailed: The server did not take the run.
        """
        import wandb

        from experiments.tracking import sdk

        folder = Path(os.environ.get("WANDB_DIR") or self.folder).expanduser()
        # W&B's agent waits for the id that it gave; else WANDB_RUN_ID could make two runs one.
        run_id = (settings.sweep_id or settings.launch) and settings.run_id or self.id
        options: dict[str, Any] = dict(
            dir=folder,
            id=run_id,
            name=settings.run_name or self.name,
            group=settings.run_group or self.group,
            job_type=settings.run_job_type or self.job_type,
            tags=[*dict.fromkeys([*self.tags, *map(str.strip, settings.run_tags or ())])],
            config=self.config,
            project=self.project or settings.project or PROJECT,
            entity=self.entity,
            resume="allow",
            reinit="create_new",
            settings=sdk.settings(
                init_timeout=self.init_timeout,
                finish_timeout=3 * self.init_timeout,
                finish_timeout_raises=True,
            ),
        )
        if settings.mode == "disabled":
            return wandb.init(**options, mode="disabled"), 0
        folder.mkdir(parents=True, exist_ok=True)
        sdk.check_room(folder)  # else W&B takes the system's temporary folder instead
        files = sdk.attempts(folder, run_id)
        # A run that began offline stays there until it is synced, or its steps would mix.
        offline = settings.mode in ("offline", "dryrun") or any(map(sdk.unsynced, files))
        WandbTracker._online = WandbTracker._online and (offline or sdk.login())
        if WandbTracker._online and not offline:
            try:
                run = wandb.init(**options, mode="online")
            except Exception as error:
                log.warning("W&B goes offline: %s", reason(error))
                WandbTracker._online = False
                raise ServerFailed from error
            log.info("W&B: %s", run.url)
            return run, run.starting_step
        if self.mode == "online":
            log.warning("W&B keeps %s offline: no login, no network or begun offline", self.name)
        run = wandb.init(**options, mode="offline")
        log.info("W&B: offline; upload with `wandb sync %s`", shlex.quote(run.sync_dir))
        return run, sdk.last_step(files) + 1

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
