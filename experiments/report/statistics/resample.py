"""What other seeds might have given: resamples of runs, and the one generator of random numbers.

Every function returns what was measured as the first of its 1 + S samples, and S resampled ones
after it; nothing else is known of them elsewhere.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from experiments.report.data.panels import Panel, seed_table
from experiments.report.data.surface import Surface, surface
from experiments.report.statistics.noise import Noise, seed_effects
from experiments.report.statistics.settings import Settings


def generator(*what: object) -> np.random.Generator:
    """Return a generator seeded by what it is for: the same thing gets the same draws."""
    return np.random.default_rng(zlib.crc32(str(what).encode()))


def of_cells(panels: Sequence[Panel], metric: str) -> np.random.Generator:
    """Return a generator seeded by what was measured of panels, whatever report they stand in."""
    return generator(*(one.cells[["lr", "wd", metric]].to_numpy(float).tolist() for one in panels))


def panel_surface(panel: Panel, settings: Settings, noise: Noise | None) -> Surface:
    r"""Return a panel's table, then S resampled ones; none of these without noise.

    What a seed adds to all cells alike is resampled jointly: seeds are drawn with replacement. What
    is left of a cell of n >= 2 seeds becomes the mean of n draws from it with replacement,
    independently of other cells. Both are multiplied by :math:`\sqrt{n/(n-1)}` so that their
    variance is unbiased: with three seeds the plain bootstrap is a fifth too narrow. A cell of one
    seed gets Gaussian noise of ``noise``. Bounds, and cells of which a seed diverged, stay as they
    are. The same panel gets the same draws in every coordinate and report.
    """
    cells, size = panel.cells, settings.samples
    table = surface(cells, settings.metric, settings.axis)
    if noise is None or not size:
        return table
    errors, center = seed_table(panel, settings.metric), cells[settings.metric].to_numpy(float)
    n = (~np.isnan(errors)).sum(1)
    common, left = seed_effects(errors)
    left = np.take_along_axis(left, np.isnan(left).argsort(1, kind="stable"), 1)  # NaN last
    draw = of_cells([panel], settings.metric)
    moved = np.zeros((size, len(n)))
    moved[:, n == 1] = noise.sd * draw.standard_normal((size, int((n == 1).sum())))
    for seeds in np.unique(n[n > 1]):
        at = n == seeds
        pick = draw.integers(seeds, size=(size, int(at.sum()), int(seeds)))
        away = left[at][np.arange(at.sum())[None, :, None], pick]
        moved[:, at] = away.mean(2) * np.sqrt(seeds / (seeds - 1))
    if (seeds := len(common)) > 1:
        pick = draw.integers(seeds, size=(size, seeds))
        moved[:, n > 1] += common[pick].mean(1, keepdims=True) * np.sqrt(seeds / (seeds - 1))
    diverged = (cells["diverged"] > 0).to_numpy()
    start = np.where(diverged, np.inf, center)
    fixed = diverged | (cells["bound"] != "").to_numpy()
    return table.sampled(np.where(fixed, start, np.maximum(start + moved, 0.0)))


def picks(n: int, samples: int) -> np.ndarray:
    """Return which of n things a sample holds: all, then n drawn with replacement. (1 + S, n)."""
    return np.vstack([np.arange(n), np.random.default_rng(n).integers(n, size=(samples, n))])
