r"""A panel's surface between its cells: draws of a Gaussian process on a fine grid of decays.

Errors are compressed first, :math:`z = \log(1 + (e - e_{min}) / s)`, so that the cliff of too much
decay does not rule the fit; s is the tolerance of the ridge, about 2 points, or
the level of the switch.
"""

import numpy as np

from experiments.report.data.panels import Panel, between, seed_table
from experiments.report.data.surface import Surface, surface
from experiments.report.statistics import gaussian_process
from experiments.report.statistics.noise import Noise, row_effects, seed_effects
from experiments.report.statistics.resample import of_cells
from experiments.report.statistics.settings import Settings

#: Degrees of freedom that the pooled noise has beside a cell's own.
POOLED = 4.0
#: Sd, in compressed units, of what is known of a cell that is only a bound.
LOOSE = 0.25
#: Octaves: how far single rows lie from a straight ridge, beyond what noise explains.
JITTER = 0.25
STEP = 0.1
#: What a seed adds is read off the cells within this many scales of the best.
NEAR = 2.0
#: Cells that a fit needs.
FEWEST = 6


def smooth(panel: Panel, settings: Settings, noise: Noise | None) -> Surface | None:
    """Return the posterior mean of a panel's surface and draws of it, on a fine grid of decays.

    The rows are the panel's; the columns are 0.1 octaves apart, NaN outside the range in which a
    row was measured (up to the first cell that is only a bound), and wd = 0 stands before them as
    it was measured. The fit is the same in every coordinate of the decay. A rate between those of
    the grid (``panels.between``) has the range that its neighbours have: its own few decays stand
    where the best one was expected.

    Args:
        panel: With its cells.
        settings: The metric, the coordinate, the scale of the compression and how many draws.
        noise: Of a run, where no cell has several seeds; None lets the fit find it.

    Returns:
        Shape (1 + S, L, F); None where fewer than ``FEWEST`` cells have decay, or one lr.
    """
    table = surface(panel.cells, settings.metric, settings.axis)
    row, column = table.at
    error, decayed = table.error[0][row, column], ~table.zero[column]
    usable = decayed & ~np.isnan(error)
    if usable.sum() < FEWEST or len(np.unique(row[usable])) < 2 or not np.isfinite(error).any():
        return None
    low = float(error[np.isfinite(error)].min())
    value, variance, shared = _compressed(panel, settings, noise, table, low)
    wd = np.log2(panel.cells["wd"].to_numpy(float), where=decayed, out=np.zeros(len(decayed)))
    points = np.stack([table.log_lr[row], wd], 1)
    middle = points[usable].mean(0)
    fitted = gaussian_process.fit(
        points[usable] - middle,
        value[usable],
        np.diag(variance[usable]) + shared[np.ix_(usable, usable)],
    )
    sign = -1.0 if settings.axis == "timescale" else 1.0
    strength = sign * np.where(decayed, table.log_x[column], np.nan)  # of each cell
    grid = np.arange(np.nanmin(strength), np.nanmax(strength) + STEP / 2, STEP)
    low_wd, high_wd = np.full((2, len(table.lr)), np.nan)
    at = np.zeros((len(table.lr), len(grid), 2))
    for i in np.unique(row[usable]):
        own = np.flatnonzero(usable & (row == i))
        own = own[np.argsort(strength[own])]
        known = np.flatnonzero(~table.bound[row[own], column[own]])
        if not len(known):
            continue
        own = own[max(known[0] - 1, 0) : known[-1] + 2]
        low_wd[i], high_wd[i] = wd[own[0]], wd[own[-1]]
        at[i] = np.stack([np.full(len(grid), table.log_lr[i]), grid - (strength - wd)[own[0]]], 1)
    _widen(low_wd, high_wd, np.isin(table.lr, panel.cells["lr"][between(panel.cells)]))
    with np.errstate(invalid="ignore"):
        inside = (at[..., 1] > low_wd[:, None] - 1e-9) & (at[..., 1] < high_wd[:, None] + 1e-9)
    draw, size = of_cells([panel], settings.metric), settings.samples
    drawn = fitted.draws(at[inside] - middle, size, draw)
    errors = np.full((1 + size, len(table.lr), len(grid)), np.nan)
    errors[:, inside] = _expanded(drawn, low, settings.scale)
    zero = np.flatnonzero(~decayed)
    moved = draw.standard_normal((1 + size, len(zero))) * np.sqrt(variance[zero])
    moved[0] = 0
    without = np.full((1 + size, len(table.lr), int(len(zero) > 0)), np.nan)
    without[:, row[zero]] = _expanded(value[zero] + moved, low, settings.scale)[..., None]
    shift = JITTER * draw.standard_normal((1 + size, len(table.lr)))
    shift[0] = 0
    return Surface(
        lr=table.lr,
        x=np.append(table.x[table.zero], 2.0 ** (sign * grid)),
        zero=np.append(table.zero[table.zero], np.zeros(len(grid), bool)),
        error=np.concatenate([without, errors], 2),
        bound=np.zeros((len(table.lr), without.shape[2] + len(grid)), bool),
        at=(row[:0], row[:0]),
        shift=shift,
        posterior=True,
    )


def _widen(low: np.ndarray, high: np.ndarray, between: np.ndarray) -> None:
    """Give rows between those of the grid the range that both neighbours have, in place."""
    rows = np.flatnonzero(~between & ~np.isnan(low))
    for i in np.flatnonzero(between & ~np.isnan(low)):
        below, above = rows[rows < i], rows[rows > i]
        if len(below) and len(above):
            sides = [below[-1], above[0]]
            low[i], high[i] = min(low[i], low[sides].max()), max(high[i], high[sides].min())


def _compressed(
    panel: Panel, settings: Settings, noise: Noise | None, table: Surface, low: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the compressed error of each cell, its own variance, and what cells share.

    What a seed adds to all cells is left out; what it adds to the cells of a row is a covariance
    between these, which moves no minimum. A cell's own variance is shrunk to the pooled one, since
    three seeds may agree by chance. A cell of which a seed diverged counts as the worst.

    Returns:
        Shapes (cells,), (cells,) and (cells, cells).
    """
    row, column = table.at
    scale, error = settings.scale, table.error[0][row, column]
    runs = seed_table(panel, settings.metric)
    n = (~np.isnan(runs)).sum(1)
    value = _squeezed(np.where(np.isnan(error), np.inf, error), low, scale)
    shared = np.zeros((len(n), len(n)))
    if (n > 1).any():
        near = error < low + NEAR * scale
        if near.sum() < FEWEST:
            near = np.full(len(n), fill_value=True)
        common, left = seed_effects(runs[near])
        of_rows = np.zeros(runs.shape)
        of_rows[near], spread, taken = row_effects(left, row[near])
        steep = 1 / (scale + np.nan_to_num(error - low, posinf=np.inf)) / np.sqrt(np.maximum(n, 1))
        shared = spread * np.where(row[:, None] == row, steep[:, None] * steep, 0)
        seeds = _squeezed(runs - common - of_rows, low, scale)
        value[n > 0] = np.nanmean(seeds[n > 0], 1)
        left = seeds - value[:, None]
        freedom = max((n[n > 1] - 1).sum() - (runs.shape[1] - 1) - taken, 1)
        pooled = np.nansum(left[n > 1] ** 2) / freedom
        own = np.nansum(left**2, 1)
        variance = (POOLED * pooled + own) / (POOLED + np.maximum(n - 1, 0))
    else:
        sd = noise.sd if noise else 0.0
        variance = (sd / (scale + np.nan_to_num(error - low, posinf=0.0))) ** 2
    variance = variance / np.maximum(n, 1)
    variance = np.where(table.bound[row, column], variance + LOOSE**2, variance)
    value = np.where(np.isinf(error), value[np.isfinite(error)].max(), value)
    return value, variance, shared


def _squeezed(error: np.ndarray, low: float, scale: float) -> np.ndarray:
    return np.log1p(np.maximum((error - low) / scale, -0.9))


def _expanded(value: np.ndarray, low: float, scale: float) -> np.ndarray:
    return np.maximum(low + scale * np.expm1(np.minimum(value, 20.0)), 0.0)
