"""How the best decay moves with the budget: wd* ~ steps^-p."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from experiments.report.data.panels import Panel
from experiments.report.data.surface import Surface
from experiments.report.statistics import decoupling
from experiments.report.statistics.bootstrap import Noise
from experiments.report.statistics.estimate import Estimate, draws, estimate, together, unidentified
from experiments.report.statistics.measure import Settings


@dataclass(frozen=True)
class Exponent:
    """The exponent p of one optimizer under one kind of decay.

    Attributes:
        estimate: p; 1/2 if a normalized decay is the same at all budgets (the paper's Appendix
            B.1), 1 if the averaging time is the same share of all budgets, 0 if wd* stays.
        values: p and its bootstrap samples, shape (1 + S,).
        points: steps and the best decay (best) at each budget, NaN where it is not identified.
    """

    estimate: Estimate
    values: np.ndarray
    points: pd.DataFrame


def best_decay(table: pd.DataFrame | Surface, tolerance: float = 2.0) -> np.ndarray:
    r"""Log2 of the best decay of each sample, the mean over learning rates. Shape (S,).

    .. math:: \text{mean over rows } l \text{ of } \log_2 \arg\min_{wd > 0} e(l, wd)

    over the rows that count for the ridge (``decoupling.rows``) and have their minimum inside the
    grid: at its edge the true one may lie beyond. A mean of several rows is less at the mercy of
    one cell's noise than the decay of the single best cell. NaN without such a row.
    """
    r = decoupling.rows(table, tolerance)
    used = r.counted & (r.tied <= decoupling.FLAT) & ~r.edge
    with np.errstate(invalid="ignore"):
        return np.where(used, r.log_x, 0).sum(1) / np.where(used.any(1), used.sum(1), np.nan)


def exponent(
    panels: Sequence[Panel], noise: Sequence[Noise | None], settings: Settings
) -> Exponent:
    r"""Fit :math:`\log_2 wd^* = c - p \log_2 \text{steps}` by least squares over budgets.

    Samples are drawn for each panel by itself and fitted together. Not identified when fewer than
    two budgets have a best decay inside their grid.

    Args:
        panels: One optimizer under one decay at several budgets.
        noise: Of a run, for each panel.
        settings: Metric, coordinate, tolerance, samples.
    """
    steps = np.array([panel.runs["steps"].iloc[0] for panel in panels], float)
    statistic = partial(best_decay, tolerance=settings.tolerance)
    best = together([draws(p, statistic, settings, n) for p, n in zip(panels, noise, strict=True)])
    known = np.isfinite(best[:, 0])
    points = pd.DataFrame({"steps": steps, "best": 2.0 ** best[:, 0]})
    if len(np.unique(steps[known])) < 2:
        reason = f"{known.sum()} of {len(steps)} budgets have a best wd inside the grid; two needed"
        return Exponent(unidentified(reason), np.array([np.nan]), points)
    values = -slopes(np.log2(steps[known]), best[known].T)
    runs = sum(len(panel.runs) for panel, there in zip(panels, known, strict=True) if there)
    note = f"{known.sum()} of {len(steps)} budgets"
    return Exponent(estimate(values, runs, note=note), values, points)


def slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares slope of each row of y (S, n) on x (n,); NaN where a row is not complete."""
    dx = x - x.mean()
    return y @ dx / (dx @ dx)


def drop(raw: Exponent, normalized: Exponent) -> Estimate:
    r"""How much less the normalized best decay moves: :math:`|p_{raw}| - |p_{norm}|`."""
    for one, name in ((raw, "raw"), (normalized, "normalized")):
        if one.estimate.reason:
            return unidentified(f"{name} wd: {one.estimate.reason}")
    both = together([np.abs(raw.values), np.abs(normalized.values)])
    return estimate(both[0] - both[1], raw.estimate.n + normalized.estimate.n)
