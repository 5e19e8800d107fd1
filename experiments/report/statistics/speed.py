"""How soon a level of error is reached: one method against another, from learning curves."""

import numpy as np
import pandas as pd

from experiments.report.statistics.estimate import Estimate, over_seeds, unidentified

#: The level is this much above the lowest error that both reach, so that noise does not hide it.
SLACK = 1.02


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    r"""Epochs of the second over epochs of the first until both have reached a level of error.

    .. math:: t_2 / t_1, \quad t_i = \min\{t : e_i(t) \le L\}, \quad
        L = 1.02 \max_i \min_t e_i(t)

    seed by seed, with the geometric mean over seeds and Student's t on the logarithms: L is, but
    for 2 %, the lowest error that both reach. A ratio below 1 says that the second is sooner. Times
    are those of evaluations. It is a speed-up only if the first gets there in the end: not
    identified where its last error is above L, as after overfitting.

    Args:
        first: Points of the runs of one setting, the one that is claimed to be slower: seed, epoch,
            test_error.
        second: Of the other.
    """
    tables = [one.pivot_table("test_error", "seed", "epoch") for one in (first, second)]
    tables = [table.dropna(axis=1) for table in tables]
    seeds = sorted(set(tables[0].index) & set(tables[1].index))
    if not seeds or any(table.empty for table in tables):
        return unidentified("no evaluations that all seeds share")
    slow, fast = (table.loc[seeds].mean() for table in tables)
    if slow.iloc[-1] > SLACK * fast.min():
        return unidentified(
            f"the slower one ends at {slow.iloc[-1]:.3g} %, above the {fast.min():.3g} % that the "
            "other reaches: there is no level to compare at"
        )
    ratios, told = [], []
    for seed in seeds:
        curves = [table.loc[seed] for table in tables]
        level = SLACK * max(curve.min() for curve in curves)
        times = [float(curve.index[(curve <= level).argmax()]) for curve in curves]
        ratios.append(np.log(times[1] / times[0]))
        told.append((level, *times))
    level, slow_time, fast_time = np.mean(told, axis=0)
    note = f"to {level:.3g} %: {fast_time:g} against {slow_time:g} epochs"
    return over_seeds(ratios).noted(note).mapped(np.exp)
