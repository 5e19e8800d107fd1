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
from experiments.report.statistics.estimate import Estimate, over_seeds, unidentified


def effect(runs: pd.DataFrame, metric: str) -> tuple[Estimate, float, float]:
    """Return what decay adds to a loss, Student's t over seeds, and the loss without and with it.

    Args:
        runs: Of one panel: lr, wd, seed, status and the metric.
        metric: A column of losses.
    """
    ended = runs[runs["status"] == FINISHED]
    table = ended.pivot(index=["lr", "wd"], columns="seed", values=metric).dropna()
    values = table.to_numpy(float)
    decayed = table.index.get_level_values("wd").to_numpy() > 0
    seeds = values.shape[1] if values.size else 0
    if seeds < 2 or decayed.all() or not decayed.any():
        reason = "needs cells with and without decay that several seeds share"
        return unidentified(reason), math.nan, math.nan
    without, with_decay = (judged(values[side]) for side in (~decayed, decayed))
    found = over_seeds(with_decay - without).noted(f"paired over {seeds} seeds")
    return found, float(without.mean()), float(with_decay.mean())


def judged(values: np.ndarray) -> np.ndarray:
    """Return of each seed the cell that the others choose: (cells, seeds) to (seeds,)."""
    others = values.sum(1, keepdims=True) - values
    return np.take_along_axis(values, others.argmin(0)[None], 0)[0]
