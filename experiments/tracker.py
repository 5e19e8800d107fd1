"""Mirrors of a run. The run folder is the record: a mirror may fail, but never cost or hang a run."""

import atexit
import contextlib
import logging
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from experiments.errors import UserError

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline")
FINISH_TIMEOUT = 20.0  # seconds that one run waits for its last upload
GRACE = 15.0  # seconds beyond the two timeouts after which W&B counts as hanging
CLOSE_TIMEOUT = 5.0  # seconds that the end of the process waits for W&B's service


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
        init_timeout: Seconds to wait for the server before the run is kept offline.

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
        self._description = dict(
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
        if self.mode == "auto":
            self.mode = _mode_from_environment()
        self._session = _Session.of_this_process()
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
        self._row = dict(row)

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
        self._thread.join(self.init_timeout + FINISH_TIMEOUT + GRACE)
        if self._thread.is_alive():
            self._session.give_up("W&B does not answer")

    def _mirror(self) -> None:
        """Open the W&B run, follow the queue, finish: the life of the thread."""
        try:
            run = self._open()
            first = run.starting_step  # what a resumed run logged before is there already
            for metrics, step in iter(self._points.get, None):
                if step >= first:
                    run.log(metrics, step=step)
            run.summary.update(self._row)
            run.finish(exit_code=self._exit_code)
        except BaseException as error:
            log.warning("W&B stopped mirroring %s, which goes on: %s", self.name, _brief(error))
            self._session.restart()

    def _open(self) -> "wandb.Run":
        """Open the run online if possible, else offline, and say where it goes."""
        self._session.start()
        if self.mode != "offline" and self._session.online:
            try:
                run = self._init("online")
            except Exception as error:
                log.warning("W&B goes offline: %s", _brief(error))
                self._session.online = False
                self._session.restart()  # the service still holds the run's id
                self._session.start()
            else:
                log.info("W&B: %s", run.url)
                return run
        run = self._init("offline")
        log.info("W&B: offline; upload with `wandb sync %s`", Path(run.sync_dir))
        return run

    def _init(self, mode: str) -> "wandb.Run":
        import wandb

        return wandb.init(
            **self._description,
            mode=mode,
            resume="allow",
            reinit="finish_previous",
            settings=_settings(init_timeout=self.init_timeout, finish_timeout=FINISH_TIMEOUT),
        )


class _Session:
    """What one process knows about W&B from one of its runs to the next."""

    _current: "_Session | None" = None

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.online = True
        self._off = False
        self._started = False
        self._closing = threading.Event()
        self._closer = threading.Thread(target=self._close, name="wandb-closer", daemon=True)

    @classmethod
    def of_this_process(cls) -> "_Session":
        """The session of this process; a forked child starts its own."""
        if cls._current is None or cls._current.pid != os.getpid():
            cls._current = cls()
        return cls._current

    def usable(self) -> bool:
        """Import wandb, with its telemetry switched off; say once if that fails."""
        if self._off:
            return False
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # or even an offline run reports home
        try:
            import wandb  # noqa: F401
        except Exception as error:
            self._off = True
            log.warning("W&B is switched off: %s", _brief(error))
        return not self._off

    def start(self) -> None:
        """Start W&B's service quietly, and find out, without asking, whether there is a login."""
        import wandb

        if not self._started:
            os.environ.pop("WANDB_SERVICE", None)  # a parent's service may report, or die with it
            self._closer.start()
        wandb.setup(settings=_settings())
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)  # after wandb's own hook, so that it runs before it
        if not self._started:
            with contextlib.suppress(Exception):
                self.online = False
                self.online = wandb.login(prompt=False, verify=False)
            self._started = True

    def restart(self) -> None:
        """Drop a service that failed; the next run starts another."""
        with contextlib.suppress(BaseException):
            import wandb

            wandb.teardown()

    def give_up(self, reason: str) -> None:
        """Leave W&B out of the rest of this process."""
        self._off = True
        self._closing.set()
        log.warning("W&B is switched off, the run goes on: %s", reason)

    def _close(self) -> None:
        self._closing.wait()
        self.restart()

    def _at_exit(self) -> None:
        """End the service without a traceback and without waiting for one that hangs."""
        if self.pid == os.getpid() and not self._off:
            self._closing.set()
            self._closer.join(CLOSE_TIMEOUT)


def _mode_from_environment() -> str:
    mode = os.environ.get("WANDB_MODE", "auto")
    return {"dryrun": "offline", "run": "online"}.get(mode, mode)


def _settings(**timeouts: float) -> "wandb.Settings":
    """Settings of a quiet, lean W&B that records neither the terminal nor the machine."""
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


def _brief(error: BaseException) -> str:
    """The first line of an error, with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
