"""What becomes of the right decay when Adam's L2 is taken apart, and when the loss is scaled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report import style, summary, table
from experiments.runs_table import DIVERGED

#: Percent: the test error that counts as having learned to add.
LEVEL = 10.0
#: Points above an experiment's best error that count as as good.
NEAR = 1.0
SETTING = ["optim", "optim.eps"]


def runs_of(experiment: str, runs_dir: Path, results_dir: Path) -> pd.DataFrame | None:
    """Return the typed runs of an experiment, from its folders and its table; None if none."""
    rows = table.known(experiment, runs_dir, results_dir)
    return table.frame(rows) if rows else None


def thresholds(runs: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Return the smallest wd at which the test error is below a level.

    Args:
        runs: One seed.
        level: In percent.

    Returns:
        optim, optim.eps, loss_scale, wd; NaN where no wd reaches it, and at_edge where the
        smallest one of the grid does, so that the threshold may lie below.
    """
    rows = []
    runs = runs.assign(loss_scale=runs.get("loss_scale", 1.0))
    for key, group in runs.groupby([*SETTING, "loss_scale"], sort=True):
        reached = group[group["test_error"] < level]["wd"]
        wd = reached.min() if len(reached) else np.nan
        named = dict(zip([*SETTING, "loss_scale"], key, strict=True))
        rows.append(named | {"wd": wd, "at_edge": wd == group["wd"].min()})
    return pd.DataFrame(rows)


def by_scale(found: pd.DataFrame) -> float:
    """Return d log wd / d log loss scale by least squares; NaN with fewer than two thresholds.

    Args:
        found: From :func:`thresholds`, one optimizer and epsilon; edges are left out.
    """
    usable = found[found["wd"].notna() & ~found["at_edge"]]
    if len(usable) < 2:
        return np.nan
    fit = np.polyfit(np.log(usable["loss_scale"]), np.log(usable["wd"]), 1)
    return float(round(fit[0], 9)) + 0.0  # no -0.00


def scale_rows(found: pd.DataFrame) -> summary.Table:
    """Return thresholds as rows of text: an optimizer and epsilon a row, a loss scale a column."""
    scales = sorted(found["loss_scale"].unique())
    head = ["", "epsilon", *(f"loss × {scale:g}" for scale in scales), "d log wd / d log scale"]
    rows = [head]
    for (optim, eps), group in found.groupby(SETTING, sort=True):
        own = group.set_index("loss_scale")
        cells = [_threshold(own.loc[s]) if s in own.index else "" for s in scales]
        slope = by_scale(group)
        rows.append(
            [style.label(optim), f"{eps:g}", *cells, "-" if np.isnan(slope) else f"{slope:.2f}"]
        )
    return rows


def _threshold(row: pd.Series) -> str:
    return "none" if np.isnan(row["wd"]) else ("≤ " if row["at_edge"] else "") + f"{row['wd']:g}"


def scale_picture(found: pd.DataFrame) -> Figure:
    """Draw the thresholds over the loss scale, a line an optimizer and epsilon."""
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    draw_thresholds(found, ax=figure.subplots())
    return figure


def draw_thresholds(found: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw on axes that the caller owns; the first epsilon is solid, the next ones dashed."""
    dashes = dict(zip(sorted(found["optim.eps"].unique()), ("-", "--", ":", "-."), strict=False))
    for (optim, eps), group in found.groupby(SETTING, sort=True):
        own = group.sort_values("loss_scale")
        label = rf"{style.label(optim)}, $\epsilon$ = {eps:g}"
        look = {"color": style.colour(optim), "ls": dashes[eps], "marker": "o", "ms": 3}
        ax.plot(own["loss_scale"], own["wd"], lw=1.3, label=label, **look)
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("loss multiplied by", fontsize=style.FONT)
    ax.set_ylabel(f"smallest wd with error below {LEVEL:g} %", fontsize=style.FONT)
    ax.legend(frameon=False, fontsize=style.FONT - 1)
    style.plain(ax)
    return ax


def arms(runs: pd.DataFrame) -> summary.Table:
    """Return what each arm of the factorial comes to, as rows of text.

    For each: its best test error with its cell, how many of its cells come within ``NEAR`` points
    of the best of all arms, and how many diverge.
    """
    best = runs["test_error"].min()
    rows = [["", "epsilon", "best test error", "at lr", "wd", "cells as good", "diverged"]]
    groups = sorted(runs.groupby(SETTING), key=lambda pair: _order(pair[0]))
    for (optim, eps), group in groups:
        ended = group[group["test_error"].notna()]
        top = ended.loc[ended["test_error"].idxmin()] if len(ended) else None
        where = ["-"] * 3
        if top is not None:
            where = [f"{top['test_error']:.2f}", f"{top['lr']:g}", f"{top['wd']:g}"]
        good = int((group["test_error"] <= best + NEAR).sum())
        gone = int((group["status"] == DIVERGED).sum())
        counts = [f"{count} of {len(group)}" for count in (good, gone)]
        rows.append([style.label(optim), f"{eps:g}", *where, *counts])
    return rows


def _order(key: Sequence) -> tuple:
    return style.order({"optim": key[0]}), -key[1]
