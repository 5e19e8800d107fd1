"""What a W&B project holds of an experiment: its runs table, and a place for its figures."""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.errors import UserError
from experiments.record.schema import COLUMNS, DIVERGED, FINISHED, complete
from experiments.tracking.session import EXTRA, Session, brief, settings

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

REPORT = "report"
PICTURES = {".png", ".jpg", ".jpeg"}
PAGE = 200  # runs in one request
API_TIMEOUT = 15  # seconds
INIT_TIMEOUT, UPLOAD_TIMEOUT = 30.0, 120.0  # seconds


def runs_table(path: str, experiment: str) -> pd.DataFrame:
    """Read the runs of ``experiment`` back from W&B, one row a run, as the runs table has them.

    Args:
        path: ``ENTITY/PROJECT``.
        experiment: The W&B group of the runs.

    Returns:
        The columns of the schema with their types, then the swept keys that it does not have. A
        run whose summary is no complete row, because it still goes on or failed, is left out and
        named in a warning.

    Raises:
        UserError: ``path`` has another form, there is no login, the project cannot be read, or
            the group has no complete run.
    """
    rows, incomplete = [], []
    with _project(path):
        import wandb

        group = {"group": experiment}
        runs = wandb.Api(timeout=API_TIMEOUT).runs(path, filters=group, per_page=PAGE, lazy=False)
        for run in runs:
            if run.job_type == REPORT:
                continue
            try:
                rows.append(_row(dict(run.summary)))
            except ValueError as error:
                incomplete.append(f"{run.name} ({error})")
    if incomplete:
        log.warning("skipped %d incomplete W&B runs: %s", len(incomplete), "; ".join(incomplete))
    if not rows:
        raise UserError(f"{path} on W&B has no complete run in the group {experiment!r}")
    table = pd.DataFrame([complete(row) for row in rows])
    return table.astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def log_figures(path: str, experiment: str, figures: Sequence[Path | str]) -> None:
    """Log the figures of ``experiment`` to W&B, all to its one run of the type ``report``.

    Args:
        path: ``ENTITY/PROJECT``.
        experiment: The W&B group that the report joins.
        figures: Files; those that are no bitmaps (SVG beside PNG) are left out.

    Raises:
        UserError: ``path`` has another form, there is no login, no figure is a bitmap that exists,
            or W&B did not take them.
    """
    pictures = [file for file in map(Path, figures) if file.suffix.lower() in PICTURES]
    missing = [str(file) for file in pictures if not file.is_file()]
    if missing or not pictures:
        raise UserError(f"no figure to log: {', '.join(missing) or 'none is a PNG or JPEG'}")
    with _project(path) as (entity, project), _report(entity, project, experiment) as run:
        import wandb

        run.log({file.stem: wandb.Image(str(file)) for file in pictures})
    log.info("W&B: figures of %s at %s", experiment, run.url)


@contextmanager
def _project(path: str) -> Iterator[tuple[str, str]]:
    """Log in for what happens inside; what W&B raises there becomes one line."""
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", path):
        raise UserError(f"a W&B project is named ENTITY/PROJECT, not {path!r}")
    session = Session.of_this_process()
    if not session.usable():
        raise UserError(f"cannot reach {path}: W&B is switched off in this process")
    try:
        session.start()
        if not session.online:
            raise UserError("no W&B login: run `wandb login`, or set WANDB_API_KEY (or WANDB_MODE)")
        yield tuple(path.split("/"))
    except UserError:
        raise
    except Exception as error:
        reason = f"(network, key or name?): {brief(error)}"
        raise UserError(f"W&B cannot serve {path} {reason}") from error


@contextmanager
def _report(entity: str, project: str, experiment: str) -> "Iterator[wandb.Run]":
    import wandb

    run = wandb.init(
        entity=entity,
        project=project,
        id=re.sub(r"[^\w.-]", "-", f"{REPORT}-{experiment}"),
        name=f"{experiment} {REPORT}",
        group=experiment,
        job_type=REPORT,
        mode="online",
        resume="allow",
        reinit="finish_previous",
        settings=settings(
            init_timeout=INIT_TIMEOUT, finish_timeout=UPLOAD_TIMEOUT, finish_timeout_raises=True
        ),
    )
    yield run
    run.finish()


def _row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the runs table that a summary holds.

    Raises:
        ValueError: It holds none.
    """
    names = [*COLUMNS, *(summary.get(EXTRA) or [])]
    row = complete({name: _value(summary[name]) for name in names if name in summary})
    if row["status"] not in (FINISHED, DIVERGED):
        raise ValueError(f"status is {row['status']!r}")
    return row


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
