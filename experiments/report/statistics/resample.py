"""What other seeds might have given: the one place where anything is drawn at random.

Every function but ``standard_normal``, which is for simulations, returns what was measured as the
first of its 1 + S samples, and S resampled ones after it; nothing else is known of them elsewhere.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from experiments.report.data.panels import Panel, seed_table
from experiments.report.data.surface import Surface, surface
from experiments.report.statistics.noise import Noise
from experiments.report.statistics.settings import Settings


def panel_surface(panel: Panel, settings: Settings, noise: Noise | None) -> Surface:
    r"""Return a panel's table, then S resampled ones; none of these without noise.

    A cell of n >= 2 seeds becomes the mean of n draws from them with replacement, its deviation
    from the cell's mean multiplied by :math:`\sqrt{n/(n-1)}` so that its variance is unbiased: with
    three seeds the plain bootstrap is a fifth too narrow. Cells are drawn independently: an amount
    that a seed adds to all cells alike would not move the best one. A cell of one seed gets
    Gaussian noise of ``noise``. Bounds, and cells of which a seed diverged, stay as they are. The
    generator is seeded by the panel's key: the same panel gets the same draws in every coordinate.
    """
    cells, size = panel.cells, settings.samples
    table = surface(cells, settings.metric, settings.axis)
    if noise is None or not size:
        return table
    errors, center = seed_table(panel, settings.metric), cells[settings.metric].to_numpy(float)
    n = (~np.isnan(errors)).sum(1)
    generator = _generator(panel)
    moved = np.zeros((size, len(n)))
    moved[:, n == 1] = noise.sd * generator.standard_normal((size, int((n == 1).sum())))
    for seeds in np.unique(n[n > 1]):
        at = n == seeds
        pick = generator.integers(seeds, size=(size, int(at.sum()), int(seeds)))
        away = (errors[at] - center[at, None])[np.arange(at.sum())[None, :, None], pick]
        moved[:, at] = away.mean(2) * np.sqrt(seeds / (seeds - 1))
    diverged = (cells["diverged"] > 0).to_numpy()
    start = np.where(diverged, np.inf, center)
    fixed = diverged | (cells["bound"] != "").to_numpy()
    return table.sampled(np.where(fixed, start, np.maximum(start + moved, 0.0)))


def standard_normal(panel: Panel, shape: tuple[int, ...]) -> np.ndarray:
    """Return noise for simulated runs of a panel, the same whenever the panel is."""
    return _generator(panel).standard_normal(shape)


def _generator(panel: Panel) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(str(sorted(panel.key.items())).encode()))


def cell_means(
    methods: Sequence[np.ndarray], noise: Sequence[Noise | None], samples: int
) -> list[np.ndarray]:
    """Return the means over the seeds of cells of several methods, two numbers of a run together.

    As in :func:`panel_surface`: deviations from a cell's mean are widened by sqrt(n / (n - 1)), and
    a cell of one seed gets Gaussian noise, pooled over the others or else given for the second
    number. Nothing is drawn if one of the methods has neither.

    Args:
        methods: Of each, an array (2, cells, seeds), the numbers of a cell first, then NaN.
        noise: Of the second number, for each method.
        samples: How many.

    Returns:
        Shapes (1 + S, 2, cells).
    """
    generator = np.random.default_rng(sum(int(np.isfinite(one[1]).sum()) for one in methods))
    drawn = [_means(*pair, samples, generator) for pair in zip(methods, noise, strict=True)]
    count = min(map(len, drawn))
    return [one[:count] for one in drawn]


def _means(
    values: np.ndarray, noise: Noise | None, samples: int, generator: np.random.Generator
) -> np.ndarray:
    n = np.isfinite(values[0]).sum(1)
    center = np.nanmean(values, 2)
    away = np.where(np.isfinite(values), values - center[..., None], 0)
    if (n > 1).any():
        sd = np.sqrt((away[:, n > 1] ** 2).sum((1, 2)) / (n[n > 1] - 1).sum())
    elif noise is not None:
        sd = np.array([0.0, noise.sd])
    else:
        return center[None]
    away *= np.sqrt(n / np.maximum(n - 1, 1))[:, None]
    pick = (generator.random((samples, *away.shape[1:])) * n[:, None]).astype(int)
    counted, cell = np.arange(away.shape[2]) < n[:, None], np.arange(len(n))[None, :, None]
    moved = np.stack([np.where(counted, part[cell, pick], 0).sum(2) for part in away], 1) / n
    moved += (n == 1) * sd[:, None] * generator.standard_normal((samples, 2, len(n)))
    return np.concatenate([center[None], center + moved])


def pooled_cells(values: np.ndarray, samples: int) -> np.ndarray:
    """Return cells and their seeds, deviations drawn from those of the better half of all cells.

    A cell's seeds deviate from its mean as those of any cell up to the median do, widened by
    sqrt(n / (n - 1)): where training hardly works seeds differ more, and the seeds of the cells
    that count may agree by chance.

    Args:
        values: Shape (cells, seeds), at least two seeds, all there.
        samples: How many.

    Returns:
        Shape (1 + S, cells, seeds).
    """
    n = values.shape[1]
    center = values.mean(1, keepdims=True)
    better = center[:, 0] <= np.median(center)
    away = ((values - center)[better] * np.sqrt(n / (n - 1))).ravel()
    drawn = center + np.random.default_rng(0).choice(away, (samples, *values.shape))
    return np.concatenate([values[None], drawn])


def mean_curves(
    first: np.ndarray, second: np.ndarray, samples: int, *, paired: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over seeds of two groups of curves, seeds drawn with replacement.

    Deviations are widened by sqrt(n / (n - 1)); nothing is drawn when a group has one seed.

    Args:
        first: Shape (seeds, times).
        second: Likewise, with seeds and times of its own.
        samples: How many.
        paired: Whether both have the same seeds, which share weights and batches: they are then
            drawn together.

    Returns:
        Shapes (1 + S, times).
    """
    generator = np.random.default_rng(0)
    curves = (first, second)
    if min(map(len, curves)) == 1:
        samples = 0
    picks = [generator.integers(len(one), size=(samples, len(one))) for one in curves]
    if paired:
        picks[1] = picks[0]
    return _mean_curve(first, picks[0]), _mean_curve(second, picks[1])


def _mean_curve(curves: np.ndarray, picks: np.ndarray) -> np.ndarray:
    n, mean = len(curves), curves.mean(0)
    moved = (curves[picks].mean(1) - mean) * np.sqrt(n / max(n - 1, 1))
    return np.concatenate([mean[None], mean + moved])


def picks(n: int, samples: int) -> np.ndarray:
    """Return which of n things a sample holds: all, then n drawn with replacement. (1 + S, n)."""
    return np.vstack([np.arange(n), np.random.default_rng(n).integers(n, size=(samples, n))])
