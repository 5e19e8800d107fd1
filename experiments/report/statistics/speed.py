"""How soon a level of error is reached: one method against another, from learning curves."""

import numpy as np
import pandas as pd

from experiments.report.statistics.estimate import Estimate, from_draws, unidentified
from experiments.report.statistics.resample import mean_curves

#: The level is this much above the lowest error that both reach, so that noise does not hide it.
SLACK = 1.02


def compare(first: pd.DataFrame, second: pd.DataFrame, samples: int) -> Estimate:
    r"""Epochs of the second over epochs of the first until both have reached a level of error.

    .. math:: t_2 / t_1, \quad t_i = \min\{t : \bar e_i(t) \le L\}, \quad
        L = 1.02 \max_i \min_t \bar e_i(t)

    with :math:`\bar e` the mean over seeds: L is, but for 2 %, the lowest error that both reach. A
    ratio below 1 says that the second is sooner. Times are those of evaluations. Each sample of the
    bootstrap finds L anew.

    Args:
        first: Points of the runs of one setting: seed, epoch, test_error.
        second: Of the other.
        samples: How many.
    """
    tables = [one.pivot_table("test_error", "seed", "epoch") for one in (first, second)]
    tables = [table.dropna(axis=1) for table in tables]
    if any(table.empty for table in tables):
        return unidentified("no evaluations that all seeds share")
    paired = list(tables[0].index) == list(tables[1].index)
    first_errors, second_errors = (table.to_numpy() for table in tables)
    curves = mean_curves(first_errors, second_errors, samples, paired=paired)
    level = SLACK * np.maximum(*(curve.min(1) for curve in curves))
    first_time, second_time = (
        table.columns.to_numpy(float)[(curve <= level[:, None]).argmax(1)]
        for table, curve in zip(tables, curves, strict=True)
    )
    note = f"to {level[0]:.3g} %: {second_time[0]:g} against {first_time[0]:g} epochs"
    logs = from_draws(np.log(second_time / first_time), note=note)
    return logs.with_interval(sum(map(len, tables))).mapped(np.exp)
