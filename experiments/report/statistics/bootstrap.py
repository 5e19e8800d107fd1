"""Bootstrap over seeds: samples of a panel's averaged table, and intervals from them."""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.record.schema import FINISHED
from experiments.report.data.panels import Panel
from experiments.report.data.surface import index

#: Numbers held at a time; samples are made and measured in chunks below this.
CHUNK = 2_000_000


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
    drawn, center, n = _seeds(panel, value)
    several = n > 1
    if not several.any():
        return None
    deviations = np.where(np.isnan(drawn), 0, drawn - center[:, None])[several]
    sd = math.sqrt(np.square(deviations).sum() / (n[several] - 1).sum())
    return Noise(sd, f"{several.sum()} cells with several seeds")


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
    groups: dict[tuple, list[Panel]] = {}
    for panel in panels:
        groups.setdefault(_protocol(panel), []).append(panel)
    found = {key: _pooled(group, value) for key, group in groups.items()}
    return [found[_protocol(panel)] for panel in panels]


def _protocol(panel: Panel) -> tuple:
    return tuple((k, str(v)) for k, v in panel.key.items() if k not in ("optim", "convention"))


def _pooled(group: list[Panel], value: str) -> Noise | None:
    by_optim = {panel.optim: panel for panel in group}
    differences: list[float] = []
    for optim, panel in by_optim.items():
        if optim + "w" in by_optim:
            pair = [_undecayed(p, value) for p in (panel, by_optim[optim + "w"])]
            differences += list((pair[0] - pair[1]).dropna())
    if not np.any(differences):
        return None
    sd = math.sqrt(np.square(differences).sum() / 2 / len(differences))
    return Noise(sd, f"{len(differences)} pairs of wd = 0 cells")


def _undecayed(panel: Panel, value: str):
    runs = panel.runs
    usable = (runs["wd"] == 0) & (runs["status"] == FINISHED) & (runs["clipped"] == "")
    usable &= runs["commit"] == ""
    return runs[usable].set_index(["lr", "seed"])[value]


def samples(
    panel: Panel, value: str, axis: str, count: int, noise: Noise | None
) -> Iterator[np.ndarray]:
    r"""Yield chunks of bootstrapped tables, shape (s, L, W), ``count`` in all; none without noise.

    A cell of n >= 2 seeds becomes the mean of n draws from them with replacement, its deviation
    from the cell's mean multiplied by :math:`\sqrt{n/(n-1)}` so that its variance is unbiased: with
    three seeds the plain bootstrap is a fifth too narrow. Cells are drawn independently: what one
    seed adds to all cells moves no optimum. A cell of one seed gets Gaussian noise of ``noise``.
    Bounds, and cells of which a seed diverged, stay as they are. The generator is seeded by the
    panel's key: the same panel gets the same draws in every coordinate.
    """
    lr, x, _, rows, columns = index(panel.cells, axis)
    drawn, center, n = _seeds(panel, value)
    if noise is None:
        return
    fixed = ((panel.cells["bound"] != "") | (panel.cells["diverged"] > 0)).to_numpy()
    start = np.where(panel.cells["diverged"] > 0, np.inf, center)
    generator = np.random.default_rng(zlib.crc32(str(sorted(panel.key.items())).encode()))
    step = max(1, CHUNK // (len(lr) * len(x) + drawn.size))
    for done in range(0, count, step):
        size = min(step, count - done)
        moved = start + _draw(drawn, center, n, noise.sd, size, generator)
        table = np.full((size, len(lr), len(x)), np.nan)
        table[:, rows, columns] = np.where(fixed, start, np.maximum(moved, 0.0))
        yield table


def _draw(drawn, center, n, sd, size, generator) -> np.ndarray:
    """Deviations from the cells' means, shape (size, cells)."""
    moved = np.zeros((size, len(n)))
    single = n == 1
    moved[:, single] = sd * generator.standard_normal((size, int(single.sum())))
    for seeds in np.unique(n[n > 1]):
        at = n == seeds
        pick = generator.integers(seeds, size=(size, int(at.sum()), int(seeds)))
        values = (drawn[at] - center[at, None])[np.arange(at.sum())[None, :, None], pick]
        moved[:, at] = values.mean(2) * math.sqrt(seeds / (seeds - 1))
    return moved


def _seeds(panel: Panel, value: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each cell's values, front first, shape (cells, seeds), their mean and their count."""
    runs = panel.runs[(panel.runs["status"] == FINISHED) & panel.runs[value].notna()]
    place = panel.cells.reset_index().set_index(["lr", "wd"])["index"]
    cell = place.loc[list(zip(runs["lr"], runs["wd"], strict=True))].to_numpy()
    order = np.lexsort((runs["seed"].to_numpy(), cell))
    cell, values = cell[order], runs[value].to_numpy(float)[order]
    n = np.bincount(cell, minlength=len(panel.cells))
    rank = np.arange(len(cell)) - np.repeat(np.cumsum(n) - n, n)
    drawn = np.full((len(n), max(n.max(initial=0), 1)), np.nan)
    drawn[cell, rank] = values
    return drawn, panel.cells[value].to_numpy(float), n


def interval(
    values: np.ndarray, estimate: float, limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float]:
    r"""Return the 95 % interval of an estimate from its bootstrap samples, NaN left out.

    The noise that a sample adds meets cells that already carry noise, which biases any statistic
    built on a minimum a second time. The percentile interval is therefore moved by what separates
    the samples' median from the estimate:

    .. math:: [\hat\theta - (q_{50} - q_{2.5}),\; \hat\theta + (q_{97.5} - q_{50})]

    and cut at ``limits``, the statistic's range. NaN when fewer than half of the samples, or fewer
    than 20, have a value: the statistic is then not stable enough to have an interval.
    """
    usable = values[np.isfinite(values)]
    if len(usable) < max(20, len(values) / 2) or not np.isfinite(estimate):
        return math.nan, math.nan
    low, middle, high = np.percentile(usable, [2.5, 50, 97.5])
    return max(limits[0], estimate - middle + low), min(limits[1], estimate + high - middle)
