"""The life of a W&B run: opened, kept up with the metrics that its run writes, and finished."""

import logging
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb

from experiments.record.failure import reason
from experiments.record.folder import RunFolder
from experiments.record.schema import COLUMNS
from experiments.tracking import sdk

if TYPE_CHECKING:
    from experiments.tracking.mirror import WandbTracker

log = logging.getLogger(__name__)

PROJECT = "decoupled-weight-decay"
POLL = 1.0  # seconds between two looks at the metrics

_online = True  # whether to try the server: there is a login, and the server has not failed yet


def live(tracker: "WandbTracker") -> None:
    """Mirror a run until it has ended.

    Raises:
        BaseException: What W&B raises; SystemExit if its service was killed.
    """
    global _online
    typed = {} if tracker.mode == "auto" else {"mode": tracker.mode}
    opened = None
    try:
        while opened is None:  # once more, offline, if the server fails
            with sdk.session(**typed) as settings:
                if opened := _open(tracker, settings):
                    _follow(tracker, *opened)
    except TimeoutError:
        _online = False  # wait only once
        raise


def _follow(tracker: "WandbTracker", run: wandb.Run, first: int) -> None:
    """Log all metrics from step ``first`` on, and at the end the row, which has the last word."""
    folder, seen, logged, ended = RunFolder(tracker.folder), 0, False, False
    while not ended:
        ended = tracker.ended.wait(POLL)
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
    if tracker.row:
        extra = [key for key in tracker.row if key not in COLUMNS]
        run.summary.update(tracker.row | {sdk.EXTRA: extra})
    run.finish(exit_code=tracker.exit_code)
    if not run.disabled:
        sdk.check_room(Path(run.sync_dir))


def _open(tracker: "WandbTracker", settings: wandb.Settings) -> tuple[wandb.Run, int] | None:
    """Open the W&B run, online if possible.

    Args:
        tracker: What was typed, and what the laboratory says of the run.
        settings: What W&B's variables and files say, which wins over what the laboratory says.

    Returns:
        The run and the first step it does not hold yet; None if the server failed.
    """
    global _online
    folder = Path(os.environ.get("WANDB_DIR") or tracker.folder).expanduser()
    # W&B's agent waits for the id that it gave; otherwise WANDB_RUN_ID could make one of two runs.
    run_id = (settings.sweep_id or settings.launch) and settings.run_id or tracker.id
    options: dict[str, Any] = dict(
        dir=folder,
        id=run_id,
        name=settings.run_name or tracker.name,
        group=settings.run_group or tracker.group,
        job_type=settings.run_job_type or tracker.job_type,
        tags=[*dict.fromkeys([*tracker.tags, *map(str.strip, settings.run_tags or ())])],
        config=tracker.config,
        project=tracker.project or settings.project or PROJECT,
        entity=tracker.entity,
        resume="allow",
        reinit="create_new",
        settings=sdk.settings(
            init_timeout=tracker.init_timeout,
            finish_timeout=3 * tracker.init_timeout,
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
    _online = _online and (offline or sdk.login())
    if _online and not offline:
        try:
            run = wandb.init(**options, mode="online")
        except Exception as error:
            log.warning("W&B goes offline: %s", reason(error))
            _online = False
            return None
        log.info("W&B: %s", run.url)
        return run, run.starting_step
    if tracker.mode == "online":
        log.warning("W&B keeps %s offline: no login, no network or begun offline", tracker.name)
    run = wandb.init(**options, mode="offline")
    log.info("W&B: offline; upload with `wandb sync %s`", shlex.quote(run.sync_dir))
    return run, sdk.last_step(files) + 1
