"""The noise of a run: how far the errors of two runs of one cell lie apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.data.panels import Panel, grouped, seed_table


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one run's error, in its own unit, and what it was estimated from."""

    sd: float
    basis: str


def mean_noise(found: Sequence[Noise], basis: str) -> Noise | None:
    """Return the noise whose variance is the mean of several ones'; None if there are none."""
    if not found:
        return None
    return Noise(float(np.sqrt(np.mean(np.square([one.sd for one in found])))), basis)


def seed_noise(panel: Panel, value: str) -> Noise | None:
    """Pool the standard deviation over the panel's cells with several seeds; None without any.

    The square root of the sum of squared deviations from the cells' means over the sum of n - 1.
    """
    errors = seed_table(panel, value)
    n = (~np.isnan(errors)).sum(1)
    several = n > 1
    if not several.any():
        return None
    away = errors[several] - panel.cells[value].to_numpy(float)[several, None]
    sd = math.sqrt(np.nansum(np.square(away)) / (n[several] - 1).sum())
    return Noise(sd, f"{several.sum()} cells with several seeds")


def seed_effects(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the deviations of runs from their cells' means into what a seed adds to all cells.

    Args:
        runs: Shape (cells, seeds), NaN where there is no such run.

    Returns:
        The effect of each seed, shape (seeds,), mean 0; and what is left, shape (cells, seeds).
    """
    complete = ~np.isnan(runs).any(1)
    whole = runs[complete]
    common = np.zeros(runs.shape[1])
    if len(whole) > 1:
        common = (whole - whole.mean(1, keepdims=True)).mean(0)
    there = (~np.isnan(runs)).sum(1) > 0
    left = np.full_like(runs, np.nan)
    rest = runs[there] - common
    left[there] = rest - np.nanmean(rest, 1, keepdims=True)
    return common, left


def row_effects(left: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, float, float]:
    r"""Find what a seed adds to all cells of one learning rate: their runs start alike.

    Two-way analysis of variance of what seeds add to cells. With :math:`k` cells a row, mean
    squares :math:`M_r` between rows and :math:`M` within, the variance of the effects is
    :math:`v = (M_r - M) / k` if positive, and each effect is the row's mean times
    :math:`v / (v + M / k)`, the best linear prediction.

    Args:
        left: Deviations of runs, less what a seed adds to all cells, shape (cells, seeds).
        row: The row of each cell, shape (cells,).

    Returns:
        The effects, by cell, shape (cells, seeds), their variance, and the degrees of freedom that
        they take; zeros where two rows of two cells are not there.
    """
    effects = np.zeros(left.shape)
    whole = ~np.isnan(left).any(1)
    cells, seeds = int(whole.sum()), left.shape[1]
    _, at, count = np.unique(row[whole], return_inverse=True, return_counts=True)
    if seeds < 2 or len(count) < 2 or cells < len(count) + 2:
        return effects, 0.0, 0.0
    mean = np.stack([left[whole][at == i].mean(0) for i in range(len(count))])
    between = (count[:, None] * mean**2).sum() / ((len(count) - 1) * (seeds - 1))
    within = ((left[whole] - mean[at]) ** 2).sum() / ((cells - len(count)) * (seeds - 1))
    size = (cells - (count**2).sum() / cells) / (len(count) - 1)
    variance = max(float(between - within) / size, 0.0)
    kept = np.zeros(len(count))
    if variance:
        kept = variance / (variance + within / count)
        for i, known in enumerate(np.unique(row[whole])):
            effects[row == known] = kept[i] * mean[i]
    return effects, variance, float(kept.sum() * (seeds - 1))


def replicate_noise(panels: Sequence[Panel], value: str) -> list[Noise | None]:
    r"""Estimate the noise of a run from wd = 0 cells that two panels share, one entry a panel.

    At wd = 0 an L2 optimizer and its decoupled twin (``adam`` and ``adamw``) are one algorithm, so
    their cells at one (lr, seed) are replicates, and with the differences d of n such pairs

    .. math:: \sigma = \sqrt{\textstyle\sum d^2 / 2n}

    pooled over the panels that differ in the optimizer alone. Pairs of which one is only a bound
    are left out, and so are runs of this laboratory, which have a commit: its optimizers share
    their seeds, so that such a pair is one run under two names. None where there is no pair, or
    where all are equal.
    """
    found = {key: _pooled(group, value) for key, group in grouped(panels, _protocol).items()}
    return [found[_protocol(panel)] for panel in panels]


def _protocol(panel: Panel) -> tuple[object, ...]:
    return tuple((k, str(v)) for k, v in panel.key.items() if k not in ("optim", "convention"))


def _pooled(group: list[Panel], value: str) -> Noise | None:
    by_optim = {panel.optim: panel for panel in group}
    differences: list[float] = []
    for optim, panel in by_optim.items():
        if optim + "w" in by_optim:
            own, twin = (_undecayed(p, value) for p in (panel, by_optim[optim + "w"]))
            differences += list((own - twin).dropna())
    if not np.any(differences):
        return None
    sd = math.sqrt(np.square(differences).sum() / 2 / len(differences))
    return Noise(sd, f"{len(differences)} pairs of wd = 0 cells")


def _undecayed(panel: Panel, value: str) -> pd.Series:
    runs = panel.runs
    usable = (runs["wd"] == 0) & (runs["status"] == FINISHED) & (runs["clipped"] == "")
    usable &= runs["commit"] == ""
    return runs[usable].set_index(["lr", "seed"])[value]
