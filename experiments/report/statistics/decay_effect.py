r"""What decay does to a loss: the best setting with it against the best without.

.. math:: \frac{1}{n}\sum_s e_s\Big(\arg\min_{l,\,w>0} \bar e_{-s}(l, w)\Big)
    - \frac{1}{n}\sum_s e_s\Big(\arg\min_l \bar e_{-s}(l, 0)\Big)

with :math:`\bar e_{-s}` the mean over all seeds but s: a setting is chosen on the other seeds and
judged on its own. The lowest of many noisy cells is too low, and with decay there are more cells.
"""

import math

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.statistics.estimate import Estimate, from_draws, unidentified
from experiments.report.statistics.resample import pooled_cells


def effect(runs: pd.DataFrame, metric: str, samples: int) -> tuple[Estimate, float, float]:
    """Return what decay adds to a loss, and the loss without and with it.

    Args:
        runs: Of one panel: lr, wd, seed, status and the metric.
        metric: A column of losses.
        samples: Of the bootstrap over seeds, see ``resample.pooled_cells``.
    """
    ended = runs[runs["status"] == FINISHED]
    table = ended.pivot(index=["lr", "wd"], columns="seed", values=metric).dropna()
    values = table.to_numpy(float)
    decayed = table.index.get_level_values("wd").to_numpy() > 0
    n = values.shape[1] if values.size else 0
    if n < 2 or decayed.all() or not decayed.any():
        reason = "needs cells with and without decay that several seeds share"
        return unidentified(reason, values.size), math.nan, math.nan
    cells = pooled_cells(values, samples)
    without, with_decay = (judged(cells[:, side]) for side in (~decayed, decayed))
    found = from_draws(with_decay - without).with_interval(values.size)
    return found, float(without[0]), float(with_decay[0])


def judged(values: np.ndarray) -> np.ndarray:
    """Return the mean over seeds of the cell that the others choose: (S, cells, seeds) to (S,)."""
    seeds = values.shape[2]
    others = values.sum(2, keepdims=True) - values
    chosen = others.argmin(1)  # (S, seeds)
    return np.take_along_axis(values, chosen[:, None], 1).sum((1, 2)) / seeds
