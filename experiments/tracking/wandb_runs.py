"""What a W&B project holds of an experiment: its runs table, and a place for its figures."""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import wandb

from experiments.errors import UserError
from experiments.record.failure import reason
from experiments.record.schema import COLUMNS, checked
from experiments.tracking.mirror import drop_what_names_one_run
from experiments.tracking.sdk import EXTRA, login, session, settings

log = logging.getLogger(__name__)

REPORT = "report"
PICTURES = {".png", ".jpg", ".jpeg"}
PAGES = ".html"
PAGE = 200  # runs in one request
API_TIMEOUT = 15  # seconds
INIT_TIMEOUT, UPLOAD_TIMEOUT = 30.0, 120.0  # seconds


def runs_table(path: str, experiment: str) -> pd.DataFrame:
    """Read the runs of ``experiment`` back from W&B, one row a run, as the runs table has them.

    Args:
        path: ``ENTITY/PROJECT``.
        experiment: Their ``name``, as configured; runs may be in any W&B group.

    Returns:
        The columns of the schema with their types, then the swept keys that it does not have. A
        run whose summary is no complete row, because it still goes on or failed, is left out and
        named in a warning.

    Raises:
        UserError: ``path`` has another form, there is no login, the project cannot be read, or
            the experiment has no complete run.
    """
    rows, incomplete = [], []
    with _project(path):
        mine = {"config.name": experiment}
        runs = wandb.Api(timeout=API_TIMEOUT).runs(path, filters=mine, per_page=PAGE, lazy=False)
        for run in runs:
            try:
                rows.append(_row(dict(run.summary)))
            except ValueError as error:
                incomplete.append(f"{run.name} ({error})")
    if incomplete:
        log.warning("skipped %d incomplete W&B runs: %s", len(incomplete), "; ".join(incomplete))
    if not rows:
        raise UserError(f"{path} on W&B has no complete run of {experiment!r}")
    table = pd.DataFrame(rows)
    return table.astype({name: dtype for name, (dtype, _) in COLUMNS.items()})


def log_figures(path: str, experiment: str, figures: Sequence[Path | str]) -> None:
    """Log the figures of ``experiment`` to W&B, all to its one run of the type ``report``.

    Args:
        path: ``ENTITY/PROJECT``.
        experiment: The W&B group that the report joins.
        figures: Files; those that are neither bitmaps nor pages (SVG beside PNG) are left out.

    Raises:
        UserError: ``path`` has another form, there is no login, no figure is a bitmap or page that
            exists, or W&B did not take them.
    """
    pictures = [file for file in map(Path, figures) if file.suffix.lower() in (*PICTURES, PAGES)]
    missing = [str(file) for file in pictures if not file.is_file()]
    if missing or not pictures:
        raise UserError(f"no figure to log: {', '.join(missing) or 'none is a PNG, JPEG or HTML'}")
    with _project(path) as (entity, project), _report(entity, project, experiment) as run:
        run.log({file.stem: _media(file) for file in pictures})
    log.info("W&B: figures of %s at %s", experiment, run.url)


def _media(file: Path) -> "wandb.Image | wandb.Html":
    if file.suffix.lower() == PAGES:
        return wandb.Html(str(file), inject=False)  # else it asks W&B for a style sheet
    return wandb.Image(str(file))


@contextmanager
def _project(path: str) -> Iterator[tuple[str, str]]:
    """Log in for what happens inside; what W&B raises there becomes one line."""
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", path):
        raise UserError(f"a W&B project is named ENTITY/PROJECT, not {path!r}")
    drop_what_names_one_run()
    try:
        with session():
            if not login():
                raise UserError(
                    "no W&B login: run `wandb login`, or set WANDB_API_KEY (or WANDB_MODE)"
                )
            entity, project = path.split("/")
            yield entity, project
    except UserError:
        raise
    except Exception as error:
        why = f"(network, key or name?): {reason(error)}"
        raise UserError(f"W&B cannot serve {path} {why}") from error


@contextmanager
def _report(entity: str, project: str, experiment: str) -> "Iterator[wandb.Run]":
    run = wandb.init(
        entity=entity,
        project=project,
        id=re.sub(r"[^\w.-]", "-", f"{REPORT}-{experiment}"),
        name=f"{experiment} {REPORT}",
        group=experiment,
        job_type=REPORT,
        mode="online",
        resume="allow",
        reinit="create_new",
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
    return checked({name: _value(summary[name]) for name in names if name in summary})


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
