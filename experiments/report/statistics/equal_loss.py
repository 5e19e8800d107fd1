"""Which of two methods tests better at the same training loss (the paper's Figure 3, bottom)."""

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.statistics.estimate import Estimate, over_seeds, unidentified

#: Cells this many points above the best of both methods are no part of the comparison: where
#: training failed, losses and errors of all methods are alike.
WITHIN = 10.0
#: Places, evenly spaced in the logarithm of the training loss, at which the two are compared.
PLACES = 64
CELL = ["lr", "wd"]


def usable(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that have a test error and a positive training loss."""
    return runs[
        (runs["status"] == FINISHED) & runs["test_error"].notna() & (runs["train_loss"] > 0)
    ]


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    r"""Mean test error of the second minus that of the first at equal training loss, in points.

    .. math:: \frac{1}{b-a}\int_a^b e_2(x) - e_1(x)\, dx, \quad x = \log \text{train loss}

    where e(x) runs straight between the cells of a method at one learning rate, in the order of
    their training loss, and [a, b] is where both have cells; the mean over the learning rates that
    have such a range. No form of the relation is assumed: under growing decay the test error falls
    and rises again while the training loss grows. Cells whose mean lies more than ``WITHIN`` points
    above the best are left out. The difference is taken seed by seed, since both methods start from
    the same weights and see the same batches; its interval is Student's t over seeds. Not
    identified where the losses overlap at no learning rate, where a method has no cell near the
    best, or where the two share no seed.

    Args:
        first: Runs of a method: lr, wd, seed, status, test_error (percent), train_loss (nats).
        second: Of the other.
    """
    runs = [usable(first), usable(second)]
    if min(map(len, runs)) == 0:
        return unidentified("no runs with a training loss")
    best = min(one.groupby(CELL)["test_error"].mean().min() for one in runs)
    near = [one[_mean(one) <= best + WITHIN] for one in runs]
    if min(map(len, near)) == 0:
        return unidentified(f"a method has no cell within {WITHIN:g} points of the best")
    seeds = sorted(set(_seeds(near[0])) & set(_seeds(near[1])))
    if not seeds:
        return unidentified("the two share no seed")
    rates = sorted(set(near[0]["lr"]) & set(near[1]["lr"]))
    found = [_at(*(one[one["lr"] == lr] for one in near), seeds=seeds) for lr in rates]
    known = [one for one in found if one]
    if not known:
        return unidentified("the training losses overlap at no learning rate")
    differences = np.mean([own for own, _ in known], axis=0)
    ends = np.array([range_ for _, range_ in known])
    low, high = np.exp([ends[:, 0].min(), ends[:, 1].max()])
    of = f" at {len(known)} learning rates" if len(known) > 1 else ""
    return over_seeds(differences).noted(f"losses {low:.2g} to {high:.2g}{of}")


def _at(
    first: pd.DataFrame, second: pd.DataFrame, *, seeds: list[float]
) -> tuple[list[float], tuple[float, float]] | None:
    """Return each seed's difference at one learning rate, and the mean range of log losses."""
    curves = [_curves(one, seeds) for one in (first, second)]
    if min(min(map(len, own)) for own in curves) < 2:
        return None
    pairs = list(zip(*curves, strict=True))
    ranges = [
        (max(x.iloc[0] for x in pair_x), min(x.iloc[-1] for x in pair_x))
        for pair_x in ([curve["x"] for curve in pair] for pair in pairs)
    ]
    if any(low >= high for low, high in ranges):
        return None
    differences = [
        _difference(one, other, low, high)
        for (one, other), (low, high) in zip(pairs, ranges, strict=True)
    ]
    low, high = np.mean(ranges, axis=0)
    return differences, (float(low), float(high))


def _mean(runs: pd.DataFrame) -> pd.Series:
    return runs.groupby(CELL)["test_error"].transform("mean")


def _seeds(runs: pd.DataFrame) -> list[float]:
    """Return the seeds that have at least half of the cells."""
    counts = runs["seed"].value_counts()
    return list(counts[counts >= counts.max() / 2].index)


def _curves(runs: pd.DataFrame, seeds: list[float]) -> list[pd.DataFrame]:
    """Return log training loss (x, ascending) and test error (y) of each seed's cells."""
    own = runs[runs["seed"].isin(seeds)]
    whole = own.groupby(CELL)["seed"].transform("nunique") == len(seeds)
    own = own[whole].assign(x=np.log(own["train_loss"]), y=own["test_error"])
    return [own[own["seed"] == seed].sort_values("x") for seed in seeds]


def _difference(first: pd.DataFrame, second: pd.DataFrame, low: float, high: float) -> float:
    at = np.linspace(low, high, PLACES)
    lines = [np.interp(at, curve["x"], curve["y"]) for curve in (first, second)]
    return float((lines[1] - lines[0]).mean())
