"""Panels against panels: whose best cell is better, and what a schedule does for each."""

import numpy as np
import pandas as pd

from experiments.report.data.surface import Surface
from experiments.report.statistics.decoupling import as_surface
from experiments.report.statistics.estimate import Estimate, estimate, together

NONE = "a panel has no cell with a value"


def best_error(table: pd.DataFrame | Surface) -> np.ndarray:
    r"""Lowest error of each sample over all lr and wd: :math:`e^* = \min e(l, w)`. Shape (S,).

    Cells that diverged or are only bounds are never the best; NaN when no other is there.
    """
    known = as_surface(table).known
    lowest = np.where(np.isnan(known), np.inf, known).min((1, 2), initial=np.inf)
    return np.where(np.isfinite(lowest), lowest, np.nan)


def difference(first: np.ndarray, second: np.ndarray, n: int) -> Estimate:
    r"""Second best error minus the first, in points: :math:`e^*_2 - e^*_1`.

    Args:
        first: Draws of ``best_error`` of one panel, shape (1 + S,).
        second: Of the other.
        n: Runs of both.
    """
    both = together([first, second])
    return estimate(both[1] - both[0], n, NONE)


def gain(first: np.ndarray, second: np.ndarray, n: int) -> Estimate:
    r"""What the second saves of the first's best error, in percent of it: 100 (1 - e2 / e1)."""
    both = together([first, second])
    return estimate(100 * (1 - both[1] / both[0]), n, NONE)


def difference_of_gains(plain: tuple, scheduled: tuple, n: int) -> Estimate:
    r"""How much more a schedule gives the second optimizer than the first, in points.

    .. math:: (e^*_2 - e^{*\prime}_2) - (e^*_1 - e^{*\prime}_1)

    where the prime marks the scheduled panels.

    Args:
        plain: Draws of ``best_error`` without the schedule: of the first, of the second optimizer.
        scheduled: With it.
        n: Runs of all four.
    """
    first, second, first_scheduled, second_scheduled = together([*plain, *scheduled])
    return estimate((second - second_scheduled) - (first - first_scheduled), n, NONE)
