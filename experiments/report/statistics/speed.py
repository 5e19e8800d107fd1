"""How soon a level of error is reached: one method against another, from learning curves."""

import numpy as np
import pandas as pd

from experiments.report.statistics.estimate import Estimate, estimate, unidentified

#: The level is this much above the lowest error that both reach, so that noise does not hide it.
SLACK = 1.02


def compare(first: pd.DataFrame, second: pd.DataFrame, samples: int) -> Estimate:
    r"""Epochs of the second over epochs of the first until both have reached a level of error.

    .. math:: t_2 / t_1, \quad t_i = \min\{t : \bar e_i(t) \le L\}, \quad
        L = 1.02 \max_i \min_t \bar e_i(t)

    with :math:`\bar e` the mean over seeds: L is, but for 2 %, the lowest error that both reach. A
    ratio below 1 says that the second is sooner. Times are those of evaluations. The bootstrap
    draws seeds with replacement, the same for both when both have the same, as these share weights
    and batches, widens their deviations by sqrt(n / (n - 1)), and finds L anew.

    Args:
        first: Points of the runs of one setting: seed, epoch, test_error.
        second: Of the other.
        samples: How many.
    """
    tables = [one.pivot_table("test_error", "seed", "epoch") for one in (first, second)]
    tables = [table.dropna(axis=1) for table in tables]
    if any(table.empty for table in tables):
        return unidentified("no evaluations that all seeds share")
    n = sum(map(len, tables))
    paired = list(tables[0].index) == list(tables[1].index)
    generator = np.random.default_rng(0)
    picks = [generator.integers(len(t), size=(samples, len(t))) for t in tables]
    if paired:
        picks[1] = picks[0]
    several = min(map(len, tables)) > 1
    curves = [
        _means(t.to_numpy(), p if several else p[:0]) for t, p in zip(tables, picks, strict=True)
    ]
    level = SLACK * np.maximum(*(curve.min(1) for curve in curves))
    times = [
        table.columns.to_numpy(float)[(curve <= level[:, None]).argmax(1)]
        for table, curve in zip(tables, curves, strict=True)
    ]
    logs = estimate(np.log(times[1] / times[0]), n)
    note = f"to {level[0]:.3g} %: {times[1][0]:g} against {times[0][0]:g} epochs"
    value, low, high = np.exp([logs.value, logs.low, logs.high])
    return Estimate(value, low, high, n, note="; ".join(filter(None, [note, logs.note])))


def _means(errors: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Mean curve of errors (seeds, times), then of each resampling, shape (1 + S, times)."""
    mean = errors.mean(0)
    n = len(errors)
    moved = (errors[picks].mean(1) - mean) * np.sqrt(n / max(n - 1, 1))
    return np.concatenate([mean[None], mean + moved])
