"""Does it matter which parameters are spared from decay? Paired differences of ``no_decay``.

Runs that differ in ``no_decay`` alone start from the same weights and see the same batches, so
what is compared is the difference at one seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.data.names import SPARED
from experiments.report.statistics.estimate import Estimate, over_seeds

NONE = "none"
METRICS = ("test_loss", "test_error")
CELL = ["optim", "lr", "wd"]


@dataclass(frozen=True)
class Difference:
    """What sparing parameters adds to a metric.

    Attributes:
        task: The task.
        metric: The metric.
        spared: A value of ``no_decay``.
        cell: Optimizer, lr and wd; None for the mean over all cells.
        base: The metric when all decay, mean over seeds.
        estimate: The difference.
    """

    task: str
    metric: str
    spared: str
    cell: tuple[Any, ...] | None
    base: float
    estimate: Estimate


def differences(runs: pd.DataFrame) -> Iterator[Difference]:
    """Yield each task's differences, cell by cell and over all cells.

    Args:
        runs: Typed runs table; unfinished and diverged runs are left out with their pair.
    """
    for task, own in runs[runs["status"] == FINISHED].groupby("task", sort=True):
        for metric in METRICS:
            table = own.pivot_table(metric, [*CELL, "seed"], "no_decay")
            if NONE not in table:
                continue
            base = table[NONE].groupby(CELL).mean()
            for spared in (name for name in SPARED if name in table):
                away = (table[spared] - table[NONE]).unstack("seed").dropna(how="all")
                for cell, values in zip(away.index, away.to_numpy(), strict=True):
                    found = over_seeds(values[~np.isnan(values)])
                    yield Difference(str(task), metric, spared, cell, base[cell], found)
                whole = away.dropna(axis=1)
                found = over_seeds(whole.mean(), whole.size)
                yield Difference(str(task), metric, spared, None, base.mean(), found)
