"""How the best decay moves with the budget: wd* ~ steps^-p."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from experiments.report.data.surface import Surface
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
    best = partial(best_decay, tolerance=family[0].settings.tolerance)
    inside = [one for one in family if not contrast([one], best).reason]
    note = f"{len(inside)} of {len(family)} budgets have a best wd inside the grid"
    if len(set(map(_steps, inside))) < 2:
        return unidentified(f"{note}; two needed")
    return contrast(inside, best, lambda *found: _power(inside, found), note)


def _steps(one: Measured) -> float:
    return float(one.panel.setting("steps"))


def _power(family: Sequence[Measured], best: Sequence[np.ndarray]) -> np.ndarray:
    """Return p by least squares from log2 of the best decay at each budget, shapes (1 + S,)."""
    dx = np.log2([_steps(one) for one in family])
    dx -= dx.mean()
    return -(np.stack(best).T @ dx / (dx @ dx))
