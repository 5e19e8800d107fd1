"""Which of two methods tests better at the same training loss (the paper's Figure 3, bottom)."""

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.data.panels import by_cell
from experiments.report.statistics.estimate import Estimate, from_draws, unidentified
from experiments.report.statistics.noise import Noise
from experiments.report.statistics.resample import cell_means

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
    note = f"losses {np.exp(low):.2g} to {np.exp(high):.2g}"
    return from_draws(_difference(*cell_means(cells, noise, samples)), note=note).with_interval(n)


def _cells(runs: pd.DataFrame, most: float) -> np.ndarray:
    """Log training loss and test error, shape (2, cells, seeds), values first, then NaN."""
    cell = runs.groupby(["lr", "wd"]).ngroup().to_numpy()
    columns = np.log(runs["train_loss"]).to_numpy(float), runs["test_error"].to_numpy(float)
    seed, cells = runs["seed"].to_numpy(), int(cell.max()) + 1
    tables = np.stack([by_cell(cell, seed, values, cells) for values in columns])
    return tables[:, np.nanmean(tables[1], 1) <= most]


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
