"""How the best decay moves with the budget, wd* ~ steps^-p, or with another quantity."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from experiments.report.data.surface import Surface
from experiments.report.statistics import decoupling
from experiments.report.statistics.estimate import Estimate, from_draws, unidentified
from experiments.report.statistics.measure import Measured, contrast

#: What is noted of an exponent that is not the same over the whole range.
BEND = "the points bend"
#: Points on each side of the lowest that a parabola is fitted to.
SIDE = 2


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


def best_rate(s: Surface) -> Estimate:
    """Log2 of the best learning rate, each at its own best decay; see :func:`vertex`."""
    found = np.array([vertex(s.log_lr, line) for line in s.known.min(2)])
    return from_draws(found, "the best lr is at the edge of the grid, or the fit has none")


def vertex(x: np.ndarray, errors: np.ndarray) -> float:
    """Return where the parabola is lowest through the lowest error and up to two on each side.

    Least squares over x and errors, each of shape (N,); NaN at an end, beside an error that is not
    known, and where there is none between them.
    """
    at = int(errors.argmin())
    near = slice(max(0, at - SIDE), at + SIDE + 1)
    near_x, near_y = x[near], errors[near]
    if not 0 < at < len(x) - 1 or not np.isfinite(near_y).all():
        return np.nan
    bend, tilt, _ = np.polyfit(near_x - x[at], near_y, 2)
    lowest = float(x[at] - tilt / (2 * bend)) if bend > 0 else np.nan
    return lowest if near_x[0] <= lowest <= near_x[-1] else np.nan


def exponent(
    family: Sequence[Measured],
    quantity: str = "steps",
    sign: float = -1.0,
    best: Callable[[Surface], Estimate] | None = None,
    name: str = "wd",
) -> Estimate:
    r"""Fit :math:`\log_2 wd^* = c - p \log_2 \text{steps}` by least squares over budgets.

    p is 1/2 if a normalized decay is the same at all budgets (the paper's Appendix B.1), 1 if the
    averaging time is the same share of all budgets, 0 if wd* stays. Not identified when fewer than
    two budgets have a best decay inside their grid.

    If the points bend (of three budgets or more, the exponents of the lower and the upper half
    differ by more than chance makes them), no one exponent is right, and the interval covers those
    of both halves.

    Args:
        family: One optimizer under one decay at several budgets, or values of the quantity.
        quantity: Column of the runs table that takes the place of the steps.
        sign: 1 for p of wd* ~ quantity^p.
        best: What moves, as its log2; by default the best decay.
        name: Of what moves.
    """
    best = best or partial(best_decay, tolerance=family[0].settings.tolerance)
    inside = [one for one in family if not contrast([one], best).reason]
    inside.sort(key=lambda one: float(one.panel.setting(quantity)))
    what = "budgets" if quantity == "steps" else "panels"
    note = f"{len(inside)} of {len(family)} {what} have a best {name} inside the grid"
    if len({one.panel.setting(quantity) for one in inside}) < 2:
        return unidentified(f"{note}; two needed")
    found = _fitted(inside, quantity, sign, best, note)
    at = [float(one.panel.setting(quantity)) for one in inside]
    half = (len(inside) + 1) // 2
    if len(inside) < 3 or min(len(set(own)) for own in (at[:half], at[-half:])) < 2:
        return found
    lower, upper = (_fitted(own, quantity, sign, best) for own in (inside[:half], inside[-half:]))
    apart = upper.draws - lower.draws
    if not len(apart) or np.nanpercentile(apart, 2.5) <= 0 <= np.nanpercentile(apart, 97.5):
        return found
    told = [f"{value:,.10g}" for value in at]
    bend = (
        f"{BEND}: {lower.text()} from {told[0]} to {told[half - 1]} and {upper.text()} from "
        f"{told[-half]} to {told[-1]}"
    )
    low, high = min(lower.low, upper.low), max(lower.high, upper.high)
    return replace(found, low=low, high=high).noted(bend)


def _fitted(
    family: Sequence[Measured],
    quantity: str,
    sign: float,
    best: Callable[[Surface], Estimate],
    note: str = "",
) -> Estimate:
    at = [float(one.panel.setting(quantity)) for one in family]
    return contrast(family, best, lambda *found: sign * _power(at, found), note)


def _power(at: Sequence[float], best: Sequence[np.ndarray]) -> np.ndarray:
    """Return the slope of log2 of what is best, shapes (1 + S,), on log2 of the quantity."""
    dx = np.log2(at)
    dx -= dx.mean()
    return np.asarray(np.stack(best).T @ dx / (dx @ dx))
