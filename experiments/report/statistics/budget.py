"""How the best decay moves with the budget: wd* ~ steps^-p."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from experiments.report.data.surface import Surface, surface
from experiments.report.statistics import decoupling
from experiments.report.statistics.estimate import Estimate, from_draws, unidentified
from experiments.report.statistics.measure import Measured, contrast


def best_decay(s: Surface, tolerance: float = 2.0) -> Estimate:
    r"""Log2 of the best decay, the mean over learning rates.

    .. math:: \text{mean over rows } l \text{ of } \log_2 \arg\min_{wd > 0} e(l, wd)

    over the rows that count for the ridge (``decoupling.rows``) and have their minimum inside the
    grid: at its edge the true one may lie beyond. A mean of several rows is less at the mercy of
    one cell's noise than the decay of the single best cell.
    """
    r = decoupling.rows(s, tolerance)
    used = r.fitted & ~r.edge
    with np.errstate(invalid="ignore"):
        return from_draws(
            np.where(used, r.log_x, 0).sum(1) / np.where(used.any(1), used.sum(1), np.nan)
        )


def exponent(family: Sequence[Measured]) -> Estimate:
    r"""Fit :math:`\log_2 wd^* = c - p \log_2 \text{steps}` by least squares over budgets.

    p is 1/2 if a normalized decay is the same at all budgets (the paper's Appendix B.1), 1 if the
    averaging time is the same share of all budgets, 0 if wd* stays. Not identified when fewer than
    two budgets have a best decay inside their grid.

    Args:
        family: One optimizer under one decay at several budgets.
    """
    inside, reason = _inside(family)
    if reason:
        return unidentified(reason)
    note = f"{len(inside)} of {len(family)} budgets"
    return contrast(inside, _best_decay(family), lambda *best: _power(inside, best), note)


def drop(raw: Sequence[Measured], normalized: Sequence[Measured]) -> Estimate:
    r"""How much less the normalized best decay moves: :math:`|p_{raw}| - |p_{norm}|`."""
    sides, reasons = zip(*(_inside(family) for family in (raw, normalized)), strict=True)
    for name, reason in zip(("raw", "normalized"), reasons, strict=True):
        if reason:
            return unidentified(f"{name} wd: {reason}")
    first, second = sides

    def sizes(*best: np.ndarray) -> np.ndarray:
        powers = _power(first, best[: len(first)]), _power(second, best[len(first) :])
        return np.abs(powers[0]) - np.abs(powers[1])

    return contrast([*first, *second], _best_decay(raw), sizes)


def _best_decay(family: Sequence[Measured]) -> partial[Estimate]:
    return partial(best_decay, tolerance=family[0].settings.tolerance)


def _steps(one: Measured) -> float:
    return float(one.panel.setting("steps"))


def _inside(family: Sequence[Measured]) -> tuple[list[Measured], str]:
    """Return the budgets whose best decay lies inside their grid, and why these do not suffice."""
    tables = [surface(one.panel.cells, one.settings.metric, one.settings.axis) for one in family]
    best = [_best_decay(family)(table) for table in tables]
    inside = [one for one, found in zip(family, best, strict=True) if not found.reason]
    few = len(set(map(_steps, inside))) < 2
    reason = f"{len(inside)} of {len(family)} budgets have a best wd inside the grid; two needed"
    return inside, reason if few else ""


def _power(family: Sequence[Measured], best: Sequence[np.ndarray]) -> np.ndarray:
    """Return p by least squares from log2 of the best decay at each budget, shapes (1 + S,)."""
    dx = np.log2([_steps(one) for one in family])
    dx -= dx.mean()
    return -(np.stack(best).T @ dx / (dx @ dx))
