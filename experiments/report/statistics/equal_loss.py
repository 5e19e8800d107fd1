"""Which of two methods tests better at the same training loss (the paper's Figure 3, bottom)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.statistics.bootstrap import CHUNK, Noise
from experiments.report.statistics.estimate import Estimate, estimate, unidentified

#: Cells this many points above the best of both methods are no part of the comparison: where
#: training failed, losses and errors of all methods are alike.
WITHIN = 10.0
#: Places, evenly spaced in the logarithm of the training loss, at which the two are compared.
PLACES = 64


def usable(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that have a test error and a positive training loss."""
    return runs[
        (runs["status"] == FINISHED) & runs["test_error"].notna() & (runs["train_loss"] > 0)
    ]


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    samples: int,
    noise: tuple[Noise | None, Noise | None] = (None, None),
) -> Estimate:
    r"""Mean test error of the second minus that of the first at equal training loss, in points.

    .. math:: \frac{1}{b-a}\int_a^b e_2(x) - e_1(x)\, dx, \quad x = \log \text{train loss}

    where e(x) runs straight between the cells (means over seeds) of a method in the order of their
    training loss, and [a, b] is where both have cells. No form of the relation is assumed: under
    growing decay the test error falls and rises again while the training loss grows. Cells more
    than ``WITHIN`` points above the best are left out. The bootstrap draws seeds within each cell,
    loss and error together. Not identified where the losses do not overlap, or where a method has
    no cell near the best.

    Args:
        first: Runs of a method: lr, wd, seed, status, test_error (percent), train_loss (nats).
        second: Of the other.
        samples: How many.
        noise: Of the error of a run of each, for one of whose cells none has several seeds; its
            loss is then taken as known.
    """
    runs = [usable(first), usable(second)]
    if min(map(len, runs)) == 0:
        return unidentified("no runs with a training loss", sum(map(len, runs)))
    best = min(one.groupby(["lr", "wd"])["test_error"].mean().min() for one in runs)
    cells = [_cells(one, best + WITHIN) for one in runs]
    n = sum(int(np.isfinite(error).sum()) for _, error in cells)
    if not all(len(error) for _, error in cells):
        return unidentified(f"a method has no cell within {WITHIN:g} points of the best", n)
    ranges = [(means.min(), means.max()) for means in (np.nanmean(x, 1) for x, _ in cells)]
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    if not low < high:
        text = " and ".join(f"{np.exp(a):.3g} to {np.exp(b):.3g}" for a, b in ranges)
        return unidentified(f"the training losses do not overlap: {text}", n)
    generator = np.random.default_rng(n)
    draws = (_draws(*pair, samples, generator) for pair in zip(cells, noise, strict=True))
    drawn = zip(*draws, strict=False)
    values = [_difference(*(chunk for chunk in pair)) for pair in drawn]
    return estimate(
        np.concatenate(values), n, note=f"losses {np.exp(low):.2g} to {np.exp(high):.2g}"
    )


def _cells(runs: pd.DataFrame, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Log training loss and test error, each (cells, seeds), values first, then NaN."""
    cell = runs.groupby(["lr", "wd"]).ngroup().to_numpy()
    order = np.lexsort((runs["seed"].to_numpy(), cell))
    cell = cell[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    tables = []
    for column in (np.log(runs["train_loss"]), runs["test_error"]):
        table = np.full((cell.max() + 1, rank.max() + 1), np.nan)
        table[cell, rank] = column.to_numpy(float)[order]
        tables.append(table)
    kept = np.nanmean(tables[1], 1) <= most
    return tables[0][kept], tables[1][kept]


def _draws(
    cells: tuple[np.ndarray, np.ndarray], noise: Noise | None, samples: int, generator
) -> Iterator[np.ndarray]:
    """Yield means over seeds, shape (s, 2, cells): first as they are, then bootstrapped.

    As in ``bootstrap.samples``: deviations from a cell's mean are widened by sqrt(n / (n - 1)), and
    a cell of one seed gets Gaussian noise, pooled over the others or else given for the error.
    """
    values = np.stack(cells)  # (2, cells, seeds)
    n = np.isfinite(values[0]).sum(1)
    center = np.nanmean(values, 2)
    yield center[None]
    away = np.where(np.isfinite(values), values - center[..., None], 0)
    if (n > 1).any():
        sd = np.sqrt((away[:, n > 1] ** 2).sum((1, 2)) / (n[n > 1] - 1).sum())
    elif noise is not None:
        sd = np.array([0.0, noise.sd])
    else:
        return
    away *= np.sqrt(n / np.maximum(n - 1, 1))[:, None]
    step = max(1, CHUNK // values[0].size)
    for done in range(0, samples, step):
        size = min(step, samples - done)
        pick = (generator.random((size, *away.shape[1:])) * n[:, None]).astype(int)
        counted = np.arange(away.shape[2]) < n[:, None]
        moved = np.stack([_pick(part, pick, counted) for part in away], 1) / n
        moved += (n == 1) * sd[:, None] * generator.standard_normal((size, 2, len(n)))
        yield center + moved


def _pick(away: np.ndarray, pick: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Sum of the picked deviations of each cell, (s, cells)."""
    return np.where(counted, away[np.arange(len(away))[None, :, None], pick], 0).sum(2)


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean difference over the common range of x, of each sample; NaN where there is none."""
    found = np.full(len(first), np.nan)
    for i, pair in enumerate(zip(first, second, strict=True)):
        low, high = max(x.min() for x, _ in pair), min(x.max() for x, _ in pair)
        if low < high:
            at = np.linspace(low, high, PLACES)
            lines = [np.interp(at, x[order], y[order]) for x, y in pair for order in [x.argsort()]]
            found[i] = (lines[1] - lines[0]).mean()
    return found
