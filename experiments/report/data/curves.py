"""The learning curves of an experiment: gathered from run folders, kept as a table, asked."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.errors import UserError
from experiments.report.data import side_table

#: Metrics of metrics.jsonl that a curve keeps; percent, nats, and eta_t as it is.
METRICS = ("eta", "batch_loss", "test_error", "test_loss", "train_error", "train_loss")
#: Columns of curves.csv: the run, as runs.csv names it, optimizer steps done, passes over the data.
COLUMNS = ("id", "step", "epoch", *METRICS)
WHAT = "table of curves"


@dataclass
class Gathered:
    """What the run folders of an experiment hold: points as text, and which folders gave none."""

    points: pd.DataFrame
    corrupt: list[str]


def gather(folder: Path) -> Gathered:
    """Read ``folder/*/metrics.jsonl`` of every run that has ended, while others may go on.

    Numbers are kept to six significant digits: a figure needs three, and a sweep of 200 runs with
    ten points each then takes 150 kB. A file with a line that is no point is named and left out; a
    folder whose result is damaged is left to ``table.gather`` to name.
    """
    points, corrupt = [], []
    for run in sorted(path.parent for path in folder.glob("*/result.json")):
        try:
            name = _id(run)
            lines = (run / "metrics.jsonl").read_text().splitlines()
            points += [_point(name, json.loads(line)) for line in lines] if name else []
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError, OSError) as error:
            corrupt.append(f"{run.name} ({str(error).splitlines()[0]})")
    return Gathered(pd.DataFrame(points, columns=list(COLUMNS), dtype=str), corrupt)


def _id(run: Path) -> str:
    try:
        return str(json.loads((run / "result.json").read_text())["id"])
    except (ValueError, TypeError, KeyError):
        return ""


def _point(name: str, metrics: dict) -> dict[str, str]:
    point = {"id": name, "step": str(int(metrics["step"]))}
    values = {key: metrics.get(key) for key in COLUMNS[2:]}
    return point | {k: "" if v is None else f"{float(v):.6g}" for k, v in values.items()}


def read(path: Path) -> pd.DataFrame:
    """Read a committed curves.csv as text; an empty table when there is none.

    Raises:
        UserError: The file is no table of curves.
    """
    points = side_table.read(path, COLUMNS, WHAT)
    if bad := [step for step in points["step"] if not step.isdecimal()]:
        raise UserError(f"{path}: step={bad[0]!r} is no number of steps")
    return points


def merge(committed: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Join two tables by run and step: a committed point wins, and none is lost or changed."""
    return side_table.merge(committed, new, ["id", "step"])


def frame(points: pd.DataFrame) -> pd.DataFrame:
    """Return points of text as numbers: step, epoch and the metrics, NaN where not measured.

    Raises:
        UserError: A metric is not a number.
    """
    typed = {"id": points["id"].astype("string"), "step": points["step"].astype("int64")}
    return pd.DataFrame(typed | side_table.numbers(points, COLUMNS[2:], WHAT))


def thin(points: pd.DataFrame, level: float) -> pd.DataFrame:
    """Keep what a logarithmic axis of steps shows, and what tells when a level is reached.

    Of each run there stay the first point in every fourth of a doubling of steps, the last, and the
    first at which the test error, and at which the training error, is at most ``level``. Points
    that were thinned before stay as they are, also beside those that they were taken from.

    Args:
        points: As text, from ``gather`` or ``merge``: those of a run in the order of steps.
        level: In percent.
    """
    typed = frame(points)
    part = np.floor(4 * np.log2(typed["step"].clip(lower=1)))
    kept = ~pd.DataFrame({"id": typed["id"], "part": part}).duplicated()
    kept |= ~typed["id"].duplicated(keep="last")
    for metric in ("test_error", "train_error"):
        there = typed[metric] <= level
        kept |= there & ~typed["id"].where(there).duplicated()
    return points[kept.to_numpy()].reset_index(drop=True)


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
