"""Decoupling statistics: each a pure function from averaged cells, or samples of them.

Every statistic takes a ``Surface`` of 1 + S samples and returns an ``Estimate``: the number of the
first sample, with one draw for each of the others. ``e`` stands for the error of a cell in its own
unit (percent points), ``e*`` for the lowest error of the table, at wd = 0 or elsewhere. Where the
cells do not determine a statistic, its ``reason`` says why.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.report.data.surface import Surface
from experiments.report.statistics.estimate import Estimate, from_draws

#: Errors closer than this are equal: they come from counts or from two printed digits.
TIE = 1e-9
#: A row whose lowest error is shared by more cells than this has no minimum to speak of.
FLAT = 2


@dataclass(frozen=True)
class Rows:
    """The row minima of a table over wd > 0, shapes (S, L) but ``best`` (S,), the error ``e*``."""

    best: np.ndarray
    near: np.ndarray
    clipped: np.ndarray
    tied: np.ndarray
    log_x: np.ndarray
    edge: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """Rows within the tolerance whose lowest error is a value, not a bound."""
        return self.near & ~self.clipped

    @property
    def fitted(self) -> np.ndarray:
        """Those of them that have a minimum to speak of."""
        return self.counted & (self.tied <= FLAT)


def rows(s: Surface, tolerance: float = 2.0) -> Rows:
    """Find each row's best decay: the lowest error over wd > 0 at one lr.

    A row is near when that error is less than ``tolerance`` above ``e*``. Two tied cells give
    their geometric mean. A minimum is at the edge when no cell lies on one side of it.
    """
    best = s.known.min((1, 2), initial=np.inf)
    error = np.where(np.isnan(s.error), np.inf, s.error)[:, :, ~s.zero]
    low = error.min(2, initial=np.inf)
    lowest = (error <= low[..., None] + TIE) & np.isfinite(error)
    tied = lowest.sum(2)
    with np.errstate(invalid="ignore"):
        log_x = (lowest * s.log_x[~s.zero]).sum(2) / tied + s.shift
        near = np.isfinite(low) & (low - best[:, None] < tolerance - TIE)
    there = ~np.isnan(s.error[:1, :, ~s.zero])  # samples have the cells of the first
    first = there & (there.cumsum(2) == 1)
    last = there & (there[:, :, ::-1].cumsum(2)[:, :, ::-1] == 1)
    edge = (lowest & (first | last)).any(2)
    clipped = (lowest & s.bound[:, ~s.zero]).any(2)
    return Rows(best, near, clipped, tied, log_x, edge)


def ridge_slope(s: Surface, tolerance: float = 2.0) -> Estimate:
    r"""Slope of the best decay over the learning rate: 0 is decoupled, -1 fully coupled.

    .. math:: wd^*(lr) = \arg\min_{wd > 0} e(lr, wd), \quad
        \text{slope} = \frac{d \log_2 wd^*}{d \log_2 lr}

    by least squares over the rows whose lowest error is less than ``tolerance`` above ``e*``, is
    no bound, and is shared by at most two cells. Not identified with fewer than two such rows, or
    fewer than two whose minimum is inside the grid.
    """
    r = rows(s, tolerance)
    used = r.fitted
    inside = (used & ~r.edge).sum(1)
    values = np.where(inside >= 2, _slope(s.log_lr, r.log_x, used), np.nan)
    n, flat = int(used[0].sum()), int((r.counted & ~used)[0].sum())
    edge, clipped = int((used & r.edge)[0].sum()), int((r.near & r.clipped)[0].sum())
    parts = [f"{edge} with the minimum at the grid's edge"] if edge else []
    parts += [f"{flat} flat rows left out"] if flat else []
    parts += [f"{clipped} clipped rows left out"] if clipped else []
    reason = "" if np.isfinite(values[0]) else _why_no_ridge(n, flat, edge)
    return from_draws(values, reason, ", ".join(parts), f"{n} of {s.measured} rows")


def ridge(s: Surface, tolerance: float = 2.0) -> pd.DataFrame:
    """Return the points that ``ridge_slope`` fits: the best decay of each lr that counts.

    Returns:
        lr, x, and of a posterior its 95 % interval, low and high.
    """
    r = rows(s, tolerance)
    return _line(s, r.log_x, r.fitted)


def _why_no_ridge(n: int, flat: int, edge: int) -> str:
    if n - edge < 2 <= n:
        return f"the best wd is at the edge of the grid in {edge} of {n} rows"
    if flat:
        return f"{_rows(flat)} flat: more than {FLAT} cells share the lowest error"
    return f"{_rows(n)} near the best with a minimum, where a slope needs two"


def threshold_slope(s: Surface, level: float = 50.0) -> Estimate:
    r"""Slope of the decay at which a task switches: 0 is decoupled, -1 fully coupled.

    .. math:: wd_c(lr) = \min \{wd : e(lr, wd) < \text{level}\}, \quad
        \text{slope} = \frac{d \log_2 wd_c}{d \log_2 lr}

    by least squares. A row is censored, and left out, when wd = 0 or the smallest positive wd
    qualifies already (the switch lies below the grid), or when no wd does (above it); one whose
    cell just before the switch is missing is left out too. Not identified under two rows.
    """
    log_x, above, under, unsure = switches(s, level)
    used = ~above & ~under & ~unsure
    values = np.where(used.sum(1) >= 2, _slope(s.log_lr, log_x, used), np.nan)
    n = int(used[0].sum())
    parts: list[str] = []
    for mask, what in ((above, "above"), (under, "below")):
        parts += [f"{mask[0].sum()} switch {what} the grid"] if mask[0].any() else []
    parts += [f"{unsure[0].sum()} beside a missing cell"] if unsure[0].any() else []
    reason = "" if n >= 2 else f"{_rows(n)} with a switch inside the grid, where a slope needs two"
    return from_draws(values, reason, ", ".join(parts), f"{n} of {s.measured} rows")


def threshold(s: Surface, level: float = 50.0) -> pd.DataFrame:
    """Return the points that ``threshold_slope`` fits, as ``ridge`` has them: each lr's switch."""
    log_x, *censored = switches(s, level)
    return _line(s, log_x, ~np.any(censored, axis=0))


def switches(s: Surface, level: float) -> tuple[np.ndarray, ...]:
    """Return where each row switches (log2 of x), and whether above, below, or beside a hole."""
    below = np.isfinite(s.error) & (s.error < level)
    at = below.argmax(2)
    previous = np.take_along_axis(s.error, np.maximum(at - 1, 0)[..., None], 2)[..., 0]
    above, under = ~below.any(2), below.any(2) & (at <= int(s.zero.sum()))
    return s.log_x[at] + s.shift, above, under, ~above & ~under & np.isnan(previous)


def top_correlation(s: Surface, count: int = 10) -> Estimate:
    r"""Pearson correlation of log2 lr and log2 wd among the ``count`` best cells.

    Cells at wd = 0 among them are left out, bounds are never among them, and ties with the last
    are in. Not identified when the table has fewer than twice ``count`` cells, when half as many
    again tie, when fewer than three are left, or when these share one lr or one wd.
    """
    n = len(s.error)
    flat = s.known.reshape(n, -1)
    cells = np.isfinite(flat).sum(1)
    rank = min(count, flat.shape[1]) - 1
    cut = np.partition(flat, rank, axis=1)[:, rank]
    best = (flat <= cut[:, None] + TIE) & np.isfinite(flat)
    grid_lr, grid_x = np.broadcast_arrays(s.log_lr[:, None], s.log_x[None, :])
    used = best & ~np.isnan(grid_x).ravel()
    values, spread = _correlation(grid_lr.ravel(), np.nan_to_num(grid_x).ravel(), used)
    enough, tied = (~np.isnan(s.error)).sum((1, 2)) >= 2 * count, best.sum(1) > 1.5 * count
    good = enough & ~tied & (used.sum(1) >= 3) & spread & (cells >= count)
    reason = ""
    if not good[0]:
        reason = (
            f"the table has fewer than {2 * count} cells"
            if not enough[0]
            else f"fewer than {count} cells have a value"
            if cells[0] < count
            else f"{best[0].sum()} cells tie for the {count} best"
            if tied[0]
            else f"the {used[0].sum()} best cells at wd > 0 share one lr or one wd, or are few"
        )
    left = int((best & ~used)[0].sum())
    note = f"{used[0].sum()} cells" + (f", {left} at wd = 0 left out" if left else "")
    return from_draws(np.where(good, values, np.nan), reason, note)


def freezing_cost(s: Surface, tolerance: float = 2.0) -> Estimate:
    r"""Cost, in points, of freezing wd at the global best while lr moves.

    .. math:: \text{mean over rows } l \text{ of } \; e(l, wd^*) - \min_{wd \ge 0} e(l, wd)

    over the rows that count for the ridge, with wd* of the cell where ``e = e*`` (the mean over
    them when several tie). A frozen cell that is a bound, or that diverged (counted as the worst
    error of the table), makes the cost a lower bound; a row without that cell is left out.
    """
    r = rows(s, tolerance)
    error = s.pessimistic
    with np.errstate(invalid="ignore", divide="ignore"):
        regret = error - np.fmin.reduce(error, 2, keepdims=True, initial=np.inf)
        there = r.counted[..., None] & ~np.isnan(regret)
        by_column = np.where(there, regret, 0).sum(1) / there.sum(1)
    share = ((s.known <= r.best[:, None, None] + TIE) & np.isfinite(s.known)).sum(1)
    with np.errstate(invalid="ignore"):
        values = np.where(share > 0, share * by_column, 0).sum(1) / share.sum(1)
    values = np.where(r.counted.sum(1) >= 2, values, np.nan)
    frozen = (share[0] > 0)[None, :] & r.counted[0][:, None]
    loose = int((frozen & (s.bound | np.isinf(s.error[0]))).any(1).sum())
    absent = int((frozen & np.isnan(s.error[0])).any(1).sum())
    n = int(r.counted[0].sum())
    parts = [f"{absent} without the frozen cell"] if absent else []
    parts += [f"a lower bound: in {loose} the frozen cell is clipped or diverged"] if loose else []
    reason = "" if np.isfinite(values[0]) else f"{_rows(n)} near the best, where a mean needs two"
    return from_draws(values, reason, "; ".join(parts), f"{n} of {s.measured} rows")


def _rows(n: int) -> str:
    return f"{n} row{'s' * (n != 1)}"


def _slope(x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Least-squares slope of y (S, n) on x (n,) over ``used`` (S, n); NaN without spread in x."""
    count = used.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx = np.where(used, x - (used * x).sum(1, keepdims=True) / count[:, None], 0)
        y = np.where(used, y, 0)
        return (dx * y).sum(1) / (dx**2).sum(1)


def _correlation(x: np.ndarray, y: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson correlation of x (n,) and y (n,) over ``used`` (S, n), and whether both vary."""
    count = np.maximum(used.sum(1), 1)
    mean_x, mean_y = used @ x / count, used @ y / count
    xx, yy = used @ x**2 / count - mean_x**2, used @ y**2 / count - mean_y**2
    spread = (xx > 1e-9) & (yy > 1e-9)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (used @ (x * y) / count - mean_x * mean_y) / np.sqrt(xx * yy), spread


def _line(s: Surface, log_x: np.ndarray, used: np.ndarray) -> pd.DataFrame:
    """Return lr, x, low and high of the rows that the first sample uses."""
    rows = np.flatnonzero(used[0])
    own = np.where(used, log_x, np.nan)[:, rows]
    line = {"lr": s.lr[rows], "x": 2.0 ** own[0], "low": np.nan, "high": np.nan}
    if s.posterior and len(own) > 1 and len(rows):
        line["x"], line["low"], line["high"] = 2.0 ** np.nanpercentile(own, [50, 2.5, 97.5], axis=0)
    return pd.DataFrame(line)
