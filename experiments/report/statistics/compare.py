"""Panels against panels: whose best cell is better, and what a schedule does for each."""

import numpy as np

from experiments.report.data.surface import Surface
from experiments.report.statistics.estimate import Estimate, from_draws


def best_error(s: Surface) -> Estimate:
    r"""Lowest error with decay, over all lr and wd > 0: :math:`e^* = \min e(l, w)`.

    Without decay L2 and its decoupled twin are one algorithm: these cells say nothing of which is
    better. Cells that diverged or are only bounds are never the best.
    """
    lowest = s.known[:, :, ~s.zero].min((1, 2), initial=np.inf)
    return from_draws(lowest, "no cell with decay that has a value")


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""Second best error minus the first, in points: :math:`e^*_2 - e^*_1`."""
    return second - first


def gain(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""What the second saves of the first's best error, in percent of it: 100 (1 - e2 / e1)."""
    return 100 * (1 - second / first)


def difference_of_gains(
    first: np.ndarray,
    second: np.ndarray,
    first_scheduled: np.ndarray,
    second_scheduled: np.ndarray,
) -> np.ndarray:
    r"""How much more a schedule gives the second optimizer than the first, in points.

    .. math:: (e^*_2 - e^{*\prime}_2) - (e^*_1 - e^{*\prime}_1)

    where the prime marks the scheduled panels.
    """
    return (second - second_scheduled) - (first - first_scheduled)
