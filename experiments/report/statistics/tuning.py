"""How easy a method is to tune: statistics of the whole table, in the manner of ``decoupling``."""

import functools
import math

import numpy as np

from experiments.report.data.surface import Surface
from experiments.report.statistics.decoupling import TIE
from experiments.report.statistics.estimate import Estimate, from_draws

DRAWS = np.arange(1, 31)


def near_share(s: Surface, near: float = 0.5) -> Estimate:
    r"""Share of the table's cells whose error is within ``near`` of the best, in [0, 1].

    .. math:: |\{c : e(c) \le e^* + \text{near}\}| \,/\, |\{c\}|

    Cells that diverged or are bounds are in the denominator, missing ones in neither. Not
    identified for fewer than two cells.
    """
    known = s.known
    best, cells = known.min((1, 2), keepdims=True), (~np.isnan(s.error)).sum((1, 2))
    count = ((known <= best + near + TIE) & np.isfinite(known)).sum((1, 2))
    values = np.where((cells > 1) & (count > 0), count / np.maximum(cells, 1), np.nan)
    reason = "" if np.isfinite(values[0]) else f"the table has {cells[0]} cells, none to compare"
    low = s.bound & (s.error[0] < best[0] + near)
    note = f"{count[0]} of {cells[0]} cells"
    note += f"; a lower bound: {low.sum()} clipped cells may be among them" if low.any() else ""
    return from_draws(values, reason, note)


def one_pass_regret(s: Surface) -> Estimate:
    r"""Regret, in points, of tuning lr at some wd, then wd at that lr, and stopping there.

    .. math:: \text{mean over columns } w \text{ of } \; \min_{w'} e(l_w, w') - e^*, \quad
        l_w = \arg\min_l e(l, w)

    A start is any column, wd = 0 included, that has at least one value (a column of bounds and
    diverged cells says nothing about lr). Not identified with one row or one column.
    """
    known = s.known
    start = np.isfinite(known.min(1))
    found = np.take_along_axis(known.min(2), known.argmin(1), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        regret = np.where(start, found - known.min((1, 2))[:, None], 0)
        values = regret.sum(1) / start.sum(1)
    enough = min(known.shape[1:]) > 1 and bool(start[0].any())
    reason = "" if enough else "one pass needs two rows and two columns"
    note = f"mean over {start[0].sum()} of {known.shape[2]} starts"
    return from_draws(values if enough else np.full(len(values), np.nan), reason, note)


def expected_best(s: Surface, draws: np.ndarray = DRAWS) -> np.ndarray:
    r"""Expected lowest error among k cells drawn at random without replacement.

    With the N errors in ascending order :math:`e_{(1)} \le \dots \le e_{(N)}`,

    .. math:: E_k = \sum_{i=1}^{N-k+1} e_{(i)} \binom{N-i}{k-1} \Big/ \binom{N}{k}

    A diverged cell counts as the worst error, a bound as its value: E_k is then a lower bound.

    Returns:
        Shape (S, len(draws)), in the errors' unit; NaN where k exceeds N or all cells diverged.
    """
    there = ~np.isnan(s.error[0])
    errors = np.sort(s.pessimistic[:, there], axis=1)
    size = errors.shape[1]
    if not size or np.isinf(errors).any():  # only where all diverged
        return np.full((len(errors), len(draws)), np.nan)
    return errors @ _weights(size, tuple(draws.tolist()))


@functools.cache
def _weights(size: int, draws: tuple[int, ...]) -> np.ndarray:
    """Probability that the i-th of ``size`` errors is the lowest of k, shape (size, draws)."""
    weights = np.zeros((size, len(draws)))
    for j, k in enumerate(draws):
        if k > size:
            weights[:, j] = np.nan
            continue
        i = np.arange(1, size - k + 2)
        weights[: len(i), j] = np.exp(_log_choose(size - i, k - 1) - _log_choose(size, k))
    return weights


def _log_choose(n: np.ndarray | int, k: int) -> np.ndarray:
    gamma = np.vectorize(math.lgamma, otypes=[float])
    return gamma(np.asarray(n) + 1.0) - gamma(k + 1.0) - gamma(np.asarray(n) - k + 1.0)


def best_of(s: Surface, draws: int = 10) -> Estimate:
    """``expected_best`` of one number of draws, in the errors' unit."""
    values = expected_best(s, np.array([draws]))[:, 0]
    n = int((~np.isnan(s.error[0])).sum())
    loose = int((s.bound | np.isinf(s.error[0])).sum())
    note = f"{draws} of {n} cells"
    note += f"; a lower bound: {loose} are clipped or diverged" if loose else ""
    reason = ""
    if not np.isfinite(values[0]):
        few = n < draws
        reason = f"the table has {n} cells, fewer than {draws}" if few else "all cells diverged"
    return from_draws(values, reason, note)


def interaction_share(s: Surface, tolerance: float = 2.0) -> Estimate:
    r"""Part of the error's variance that no sum f(log lr) + g(log wd) explains, in [0, 1].

    .. math:: \min_{f, g} \sum_{basin} (e - f(lr) - g(wd))^2 \Big/ \sum_{basin} (e - \bar e)^2

    with f and g free at every lr and wd, over the basin: cells with wd > 0 whose error in the first
    sample is a value less than ``tolerance`` above ``e*``. 0 is additive: lr and wd can be tuned
    apart. Run noise is interaction too, so small shares are upper bounds. Not identified with fewer
    than three degrees of freedom, or on a plateau.
    """
    known, n = s.known[0], len(s.error)
    with np.errstate(invalid="ignore"):
        basin = (known - known.min(initial=np.inf) < tolerance - TIE) & ~s.zero[None, :]
    row, column = np.nonzero(basin)
    design = np.hstack([row[:, None] == np.unique(row), column[:, None] == np.unique(column)])
    rank = int(np.linalg.matrix_rank(design)) if len(row) else 0
    freedom = len(row) - rank
    note = f"{len(row)} cells, {freedom} degrees of freedom"
    if freedom < 3 or len(np.unique(row)) < 2 or len(np.unique(column)) < 2:
        return from_draws(np.full(n, np.nan), f"a basin of {len(row)} cells is too small", note)
    errors = s.error[:, row, column]
    left = errors - errors @ (design @ np.linalg.pinv(design.astype(float))).T
    total = np.square(errors - errors.mean(1, keepdims=True)).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(total > TIE, np.square(left).sum(1) / total, np.nan)
    reason = "" if np.isfinite(values[0]) else "the basin is a plateau"
    return from_draws(values, reason, note)
