"""The learning curves of an experiment: gathered from run folders, typed, thinned, asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.record.folder import RunFolder
from experiments.record.tables import Gathered, Kind, Row, gather_lines
from experiments.report.data.frames import side_frame

#: The committed table of an experiment's curves, beside its runs table.
FILE = "curves.csv"
#: Metrics of metrics.jsonl that a curve keeps; percent, nats, and eta_t as it is.
METRICS = ("eta", "batch_loss", "test_error", "test_loss", "train_error", "train_loss")
#: Columns of curves.csv: the run, as runs.csv names it, optimizer steps done, passes over the data.
COLUMNS = ("id", "step", "epoch", *METRICS)
KIND = Kind(
    what="table of curves",
    columns=COLUMNS,
    numbers={"step": int} | dict.fromkeys(COLUMNS[2:], float),
    key=("id", "step"),
)


def gather(sweep: Path) -> Gathered:
    """Read the learning curves of every run of an experiment that has ended.

    Numbers are kept to six significant digits: a figure needs three, and a sweep of 200 runs with
    ten points each then takes 150 kB.
    """
    return gather_lines(sweep, _points)


def _points(run: RunFolder, name: str) -> list[Row]:
    return [_point(name, metrics) for metrics in run.metrics()]


def _point(name: str, metrics: dict[str, Any]) -> Row:
    point = {"id": name, "step": str(int(metrics["step"]))}
    values = {key: metrics.get(key) for key in COLUMNS[2:]}
    return point | {k: "" if v is None else f"{float(v):.6g}" for k, v in values.items()}


def frame(points: Sequence[Row]) -> pd.DataFrame:
    """Return points of text as numbers: step, epoch and the metrics, NaN where not measured.

    Raises:
        UserError: A metric is not a number.
    """
    return side_frame(points, KIND).astype({"step": "int64"})


def thin(points: list[Row], level: float) -> list[Row]:
    """Keep what a logarithmic axis of steps shows, and what tells when a level is reached.

    Of each run there stay the first point in every fourth of a doubling of steps, the last, and the
    first at which the test error, and at which the training error, is at most ``level``. Points
    that were thinned before stay as they are, also beside those that they were taken from.

    Args:
        points: As text, those of a run in the order of steps.
        level: In percent.
    """
    typed = frame(points)
    part = np.floor(4 * np.log2(typed["step"].clip(lower=1)))
    kept = ~pd.DataFrame({"id": typed["id"], "part": part}).duplicated()
    kept |= ~typed["id"].duplicated(keep="last")
    for metric in ("test_error", "train_error"):
        there = typed[metric] <= level
        kept |= there & ~typed["id"].where(there).duplicated()
    return [point for point, stays in zip(points, kept, strict=True) if stays]


def steps_to(curves: pd.DataFrame, level: float, metric: str = "test_error") -> pd.DataFrame:
    """Return when each run first reached a level: the first step with ``metric`` <= ``level``.

    A step here is one at which the run was evaluated, so the number is late by less than
    the distance of two evaluations. With the error in percent, 95 % accuracy is the level 5.

    Args:
        curves: Typed points, from ``frame``; in any order.
        level: In the unit of the metric.
        metric: One of ``METRICS``.

    Returns:
        One row a run in the order of ids: id, steps; NaN for a run that never got there.
    """
    there = curves[curves[metric] <= level].groupby("id")["step"].min()
    ids = pd.Index(sorted(curves["id"].unique()), name="id", dtype="string")
    return there.reindex(ids).astype("float64").rename("steps").reset_index()
