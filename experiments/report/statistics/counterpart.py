"""The paper's panels beside ours: which belongs to which, and how alike their cells rank."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.errors import UserError
from experiments.record import tables
from experiments.report.data.frames import frame
from experiments.report.data.panels import Panel, panels, ranked
from experiments.report.data.text import read_csv
from experiments.report.statistics.estimate import Estimate, from_draws, from_row, unidentified
from experiments.report.statistics.measure import Measured
from experiments.report.statistics.resample import picks

#: Cells match when lr and wd, each relative to the panel's best, differ by at most this in log2:
#: half a step of the paper's grids.
REACH = 0.5 + 1e-6
#: Fewer matching cells than this say nothing about ranks.
FEWEST = 8


@dataclass(frozen=True)
class Pair:
    """A panel of ours with the paper's panel of the same optimizer, schedule, decay and budget.

    Attributes:
        ours: Measured.
        theirs: The paper's cells.
        statistics: The paper's statistics of that panel by name.
        ranks: Spearman correlation of the errors over matching cells.
    """

    ours: Measured
    theirs: Panel
    statistics: dict[str, Estimate]
    ranks: Estimate


def pairs(measured: Sequence[Measured], results_dir: Path, figure: str) -> list[Pair]:
    """Return each panel of ours that has a counterpart in one of the paper's figures with it.

    Nothing when ``results_dir`` has no tables of the paper.

    Raises:
        UserError: The figure is not one of those that were digitised.
    """
    folder = results_dir / "paper"
    rows = tables.read(tables.file(results_dir, folder.name))
    if not rows or not (folder / "decoupling.csv").exists():
        return []
    runs = frame(rows)
    if figure not in set(runs["figure"]):
        raise UserError(f"paper={figure} is not one of {', '.join(sorted(set(runs['figure'])))}")
    theirs = [panel for panel in panels(runs, "test_error") if panel.figure == figure]
    known = read_csv(folder / "decoupling.csv")
    found = counterparts([one.panel for one in measured], theirs)
    return [
        Pair(one, other, _statistics(known, other), rank_correlation(one, other))
        for one, other in zip(measured, found, strict=True)
        if other is not None
    ]


def counterparts(ours: Sequence[Panel], theirs: Sequence[Panel]) -> list[Panel | None]:
    """Find the paper's panel for each of ours: same optimizer, schedule and decay, and same budget.

    Budgets are the same if they are the same share of the longest, since ours are shorter; others,
    and panels without a run, have no counterpart. ImageNet32 stands beside nothing but ImageNet32;
    everything else beside CIFAR-10.
    """
    known = {(*_protocol(panel), _share(panel, theirs)): panel for panel in theirs}
    return [
        known.get((*_protocol(panel), _share(panel, ours))) if panel.done else None
        for panel in ours
    ]


def _protocol(panel: Panel) -> tuple[object, ...]:
    first = panel.runs.iloc[0]
    imagenet = str(first["task"]).startswith("imagenet32")
    return (imagenet, *(str(first[name]) for name in ("optim", "schedule", "decay")))


def _share(panel: Panel, among: Sequence[Panel]) -> float:
    longest = max(p.setting("epochs") for p in among if _protocol(p) == _protocol(panel))
    return round(float(panel.setting("epochs") / longest), 6)


def _statistics(known: pd.DataFrame, panel: Panel) -> dict[str, Estimate]:
    at = pd.Series(True, index=known.index)
    for name, value in panel.key.items():
        if name in known:
            number = isinstance(value, float)
            at &= np.isclose(known[name], value) if number else known[name] == value
    return {row["statistic"]: from_row(row) for row in known[at].to_dict("records")}


def match_cells(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Match cells of two grids by where they lie relative to the best cell of each.

    The paper's learning rates and decays do not suit another network and budget, but if the two
    surfaces have one shape, they agree around their minima. So lr and wd are divided by those of
    the panel's best cell with wd > 0, and a cell matches the one that is nearest in log2, at most
    half a step of the paper's grid (``REACH``) away in either direction; wd = 0 matches wd = 0 at
    the nearest lr. Each cell matches once. The two best cells, whose match is by construction,
    and cells without a number are left out; a bound counts as its value, a diverged cell as worst.

    Args:
        ours: Averaged cells of a panel of ours, whose error is ``metric``.
        theirs: Averaged cells of the paper, whose error is ``test_error``.
        metric: Column of our error.

    Returns:
        One row a match: ours, theirs (errors), lr, wd (ours).
    """
    first, second = _relative(ours, metric), _relative(theirs, "test_error")
    crossed = first.merge(second, how="cross", suffixes=("", "_2"))
    both_zero = crossed["zero"] & crossed["zero_2"]
    across = np.where(both_zero, 0.0, (crossed["x"] - crossed["x_2"]).abs())
    crossed["apart"] = np.maximum((crossed["y"] - crossed["y_2"]).abs(), across)
    near = crossed[(crossed["zero"] == crossed["zero_2"]) & (crossed["apart"] <= REACH)]
    near = near[~(near["best"] | near["best_2"])].sort_values("apart", kind="stable")
    near = near.drop_duplicates(["lr", "wd"]).drop_duplicates(["lr_2", "wd_2"])
    return near.rename(columns={"error": "ours", "error_2": "theirs"})[
        ["ours", "theirs", "lr", "wd"]
    ].sort_values(["lr", "wd"], ignore_index=True)


def _relative(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return log2 of lr (y) and wd (x) relative to the best decayed cell; empty without one."""
    order = ranked(cells[cells["wd"] > 0], metric)
    error = cells[metric].where(cells["diverged"] == 0, np.inf)
    table = pd.DataFrame({"lr": cells["lr"], "wd": cells["wd"], "error": error})
    if not len(order):
        empty = table.iloc[:0].assign(zero=False, x=0.0, y=0.0, best=False)
        return empty.astype({"zero": bool, "best": bool})
    best = order.iloc[0]
    table["zero"] = table["wd"] == 0
    decayed = table["wd"].where(~table["zero"], best["wd"])
    table["x"], table["y"] = np.log2(decayed / best["wd"]), np.log2(table["lr"] / best["lr"])
    table["best"] = ~table["zero"] & (table["x"] == 0) & (table["y"] == 0)
    return table[table["error"].notna()]


def rank_correlation(ours: Measured, theirs: Panel) -> Estimate:
    r"""Spearman correlation of our errors and the paper's over the cells that match.

    .. math:: \rho = \mathrm{corr}(\mathrm{rank}\, e_i, \mathrm{rank}\, e'_i)

    with mean ranks for ties (the paper's clipped cells tie). The interval resamples the n matching
    cells with replacement and ranks anew: it says how far the number hangs on single cells.
    """
    metric = ours.settings.metric
    matched = match_cells(ours.panel.cells, theirs.cells, metric)
    n = len(matched)
    if n < FEWEST:
        return unidentified(f"{n} cells match, fewer than {FEWEST}", n)
    errors = matched[["ours", "theirs"]].to_numpy(float)[picks(n, ours.settings.samples)]
    found = from_draws(
        spearman(errors[..., 0], errors[..., 1]), "all matching cells have one error"
    )
    return found.with_interval(n, (-1.0, 1.0))


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman correlation along the last axis of two arrays (S, n); NaN where one is constant."""
    ranks = [pd.DataFrame(a).rank(axis=1).to_numpy() for a in (first, second)]
    x, y = (a - a.mean(1, keepdims=True) for a in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
