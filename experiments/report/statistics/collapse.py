r"""In which coordinate of the decay the best decays of all learning rates fall together.

With :math:`x^*_l` the best decay at learning rate l in some coordinate, or the decay at which a
task switches, the spread is the standard deviation of :math:`\log_2 x^*_l` over the rows that count
for the slope, in octaves. Between two coordinates the whole row of a learning rate moves by one
number, so one fit of the surface serves all. The draws are those of the surface without its
``shift``: by that a slope allows for rows that lie off a straight line, and it would add to the
very distances that are measured here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from experiments.report.data import coordinates
from experiments.report.statistics import decoupling
from experiments.report.statistics.estimate import Estimate, from_draws
from experiments.report.statistics.measure import Measured

#: The two coordinates that are compared; they differ by a factor of the learning rate.
AXES = ("step_shrink", "torch_wd")


@dataclass(frozen=True)
class Collapse:
    """How far apart the best decays of a panel's learning rates lie.

    Attributes:
        measured: The panel.
        used: The rows that count, shape (L,).
        edge: Those of them whose best decay is at the edge of the grid, shape (L,).
        log_x: Log2 of each row's best decay in the coordinate of the report, shape (L,).
        spread: By coordinate, in octaves.
        slope: By coordinate: d log2 x* / d log2 lr.
        difference: The spread over the first coordinate minus that over the second.
        floor: The spread of which noise alone is the cause, in octaves, the same in all
            coordinates: as :attr:`spread`, of draws less the median of their row. NaN without any.
    """

    measured: Measured
    used: np.ndarray
    edge: np.ndarray
    log_x: np.ndarray
    spread: Mapping[str, Estimate]
    slope: Mapping[str, Estimate]
    difference: Estimate
    floor: float


def collapse(one: Measured) -> Collapse:
    """Measure how far apart the best decays of a panel lie in each coordinate of ``AXES``."""
    s, settings = one.surface, one.settings
    if settings.level is None:
        found = decoupling.rows(s, settings.tolerance)
        log_x, used, edge = found.log_x, found.fitted, found.fitted & found.edge
    else:
        log_x, *censored = decoupling.switches(s, settings.level)
        used = ~np.any(censored, axis=0)
        edge = np.zeros_like(used)
    log_x = log_x - s.shift
    enough = (used & ~edge).sum(1) >= 2
    spreads = {
        axis: np.where(enough, _deviation(located(one, axis, log_x), used), np.nan) for axis in AXES
    }
    first, second = AXES
    return Collapse(
        one,
        used[0],
        edge[0],
        log_x[0],
        {axis: _estimate(values, one) for axis, values in spreads.items()},
        {axis: slope(one, axis) for axis in AXES},
        _estimate(spreads[first] - spreads[second], one, -np.inf),
        _floor(log_x[1:], used[1:]),
    )


def located(one: Measured, axis: str, log_x: np.ndarray) -> np.ndarray:
    """Return log2 of decays in a coordinate.

    Args:
        one: The panel.
        axis: One of ``coordinates.AXES``.
        log_x: Log2 of decays in the coordinate of the report, the last axis over the rows (L,).

    Returns:
        The same shape; NaN in rows without a cell at wd > 0.
    """
    cells = one.panel.cells[one.panel.cells["wd"] > 0]
    sign = _sign(one, axis)
    there = np.log2(coordinates.convert(cells, axis).astype(float))
    here = np.log2(coordinates.convert(cells, one.settings.axis).astype(float))
    moved = (there - sign * here).groupby(cells["lr"]).first().reindex(one.surface.lr)
    return sign * log_x + moved.to_numpy()


def _sign(one: Measured, axis: str) -> int:
    """A timescale falls with the decay."""
    return -1 if (one.settings.axis == "timescale") != (axis == "timescale") else 1


def slope(one: Measured, axis: str) -> Estimate:
    """Return the slope of the report in another coordinate: each row moves by a power of its lr."""
    sign, found = _sign(one, axis), one.slope
    moved = located(one, axis, np.zeros(len(one.surface.lr)))
    known = ~np.isnan(moved)
    if known.sum() < 2:
        return found
    added = float(np.polyfit(one.surface.log_lr[known], moved[known], 1)[0])
    low, high = (found.low, found.high)[::sign]
    return replace(
        found,
        value=sign * found.value + added,
        low=sign * low + added,
        high=sign * high + added,
        draws=sign * found.draws + added,
    )


def _estimate(values: np.ndarray, one: Measured, low: float = 0.0) -> Estimate:
    """Return the estimate of a statistic that rests on the rows of the slope."""
    slope = one.slope
    found = from_draws(values, slope.reason, slope.note, slope.basis)
    limits = (low, np.inf)
    if one.surface.posterior:
        return found.credible(slope.n, limits)
    return found.with_interval(slope.n, limits)


def _floor(log_x: np.ndarray, used: np.ndarray) -> float:
    """Return the median spread of draws (S, L), each row less its median."""
    some = used.any(0)
    if not some.any():
        return np.nan
    own = np.where(used, log_x, np.nan)[:, some]
    spread = _deviation(own - np.nanmedian(own, 0), used[:, some])
    return float(np.nanmedian(spread)) if np.isfinite(spread).any() else np.nan


def _deviation(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the standard deviation over ``used`` of each sample (S, L); NaN of fewer than two."""
    count = used.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(used, values, 0).sum(1, keepdims=True) / count
        squares = (np.where(used, values - mean, 0) ** 2).sum(1)
        return np.where(count[:, 0] > 1, np.sqrt(squares / (count[:, 0] - 1)), np.nan)
