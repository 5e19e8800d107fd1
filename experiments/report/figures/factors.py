"""What becomes of the right decay when Adam's L2 is taken apart, and when the loss is scaled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record import tables
from experiments.record.schema import DIVERGED
from experiments.report.data import names
from experiments.report.data.frames import frame
from experiments.report.data.text import Table
from experiments.report.figures import style
from experiments.report.statistics import decoupling

#: Percent: the test error that counts as having learned to add.
LEVEL = 10.0
#: Points above an experiment's best error that count as as good.
NEAR = 1.0
#: Slope of log wd over log lr that counts as coupled: in proportion.
COUPLED = -1.0
SETTING = ["optim", "optim.eps"]
CELL = ("lr", "wd", "test_error", "status")


def runs_of(experiment: str, runs_dir: Path, results_dir: Path) -> pd.DataFrame | None:
    """Return the typed runs of an experiment, from its folders and its table; None if none."""
    rows = tables.known(experiment, runs_dir, results_dir)
    return frame(rows) if rows else None


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


def scale_rows(found: pd.DataFrame) -> Table:
    """Return thresholds as rows of text: an optimizer and epsilon a row, a loss scale a column."""
    scales = sorted(found["loss_scale"].unique())
    head = ["", "epsilon", *(f"loss × {scale:g}" for scale in scales), "d log wd / d log scale"]
    rows = [head]
    for (optim, eps), group in found.groupby(SETTING, sort=True):
        own = group.set_index("loss_scale")
        cells = [_threshold(own.loc[s]) if s in own.index else "" for s in scales]
        slope = by_scale(group)
        rows.append(
            [names.label(optim), f"{eps:g}", *cells, "-" if np.isnan(slope) else f"{slope:.2f}"]
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
        label = rf"{names.label(optim)}, $\epsilon$ = {eps:g}"
        look = {"color": style.colour(optim), "ls": dashes[eps], "marker": "o", "ms": 3}
        ax.plot(own["loss_scale"], own["wd"], lw=1.3, label=label, **look)
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("loss multiplied by", fontsize=style.FONT)
    ax.set_ylabel(f"smallest wd with error below {LEVEL:g} %", fontsize=style.FONT)
    ax.legend(frameon=False, fontsize=style.FONT - 1)
    style.plain(ax)
    return ax


def arms(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm of the factorial comes to, in the order of the optimizers.

    Args:
        runs: One seed.

    Returns:
        optim, optim.eps; error, lr and wd of the best cell (of equal errors that of the lower
        loss), NaN where all diverge; good, how many cells come within ``NEAR`` points of the best
        of all arms; diverged; cells; and slope, by which the right decay follows the learning rate:
        of the threshold where some arm passes ``LEVEL``, else of the ridge; NaN where the cells do
        not say.
    """
    best = runs["test_error"].min()
    switches = best < LEVEL
    rows = []
    for (optim, eps), group in sorted(runs.groupby(SETTING), key=lambda pair: _order(pair[0])):
        ended = group[group["test_error"].notna()].sort_values(["test_error", "test_loss"])
        top = ended.iloc[0] if len(ended) else dict.fromkeys(CELL, np.nan)
        cells = group[list(CELL)]
        found = (
            decoupling.threshold_slope(cells, LEVEL) if switches else decoupling.ridge_slope(cells)
        )
        rows.append(
            {
                "optim": optim,
                "optim.eps": eps,
                "error": top["test_error"],
                "lr": top["lr"],
                "wd": top["wd"],
                "good": int((group["test_error"] <= best + NEAR).sum()),
                "diverged": int((group["status"] == DIVERGED).sum()),
                "cells": len(group),
                "slope": found.value,
            }
        )
    return pd.DataFrame(rows)


def arm_rows(found: pd.DataFrame) -> Table:
    """Return the arms as rows of text."""
    head = ["", "epsilon", "best test error", "at lr", "wd", "cells as good", "diverged"]
    rows = [[*head, "d log wd / d log lr"]]
    for arm in found.to_dict("records"):
        texts = [
            _text(arm[key], form) for key, form in (("error", ".2f"), ("lr", "g"), ("wd", "g"))
        ]
        counts = [f"{arm[key]} of {arm['cells']}" for key in ("good", "diverged")]
        named = [names.label(arm["optim"]), f"{arm['optim.eps']:g}"]
        rows.append([*named, *texts, *counts, _text(arm["slope"], ".2f")])
    return rows


def arm_verdict(found: pd.DataFrame) -> str:
    """Say which arms come as near to the best as decoupled decay does, and whose decay moves."""
    near = found["error"] <= found["error"].min() + NEAR
    moving, still = found["slope"] <= COUPLED, found["slope"] > COUPLED
    there, away = _named(found, near), _named(found, ~near)
    unsaid = _named(found, ~moving & ~still) if (~moving & ~still).any() else ""
    do = "does" if (~near).sum() == 1 else "do"
    return (
        f"Within {NEAR:g} point of the best come {there}; {away} {do} not. "
        "As the learning rate grows, the right decay falls in proportion or faster under "
        f"{_named(found, moving)}; more slowly, or not at all, under {_named(found, still)}"
        + (f"; the cells do not say of {unsaid}." if unsaid else ".")
    )


def _named(found: pd.DataFrame, chosen: pd.Series) -> str:
    """Name the chosen arms, with epsilon where it decides whether an optimizer is among them."""
    chosen_names = []
    for optim, arms in found.groupby("optim", sort=False):
        within = arms[chosen[arms.index]]
        where = "" if len(within) == len(arms) else " with ε = "
        where += " and ".join(f"{eps:g}" for eps in within["optim.eps"]) if where else ""
        chosen_names += [names.label(optim) + where] if len(within) else []
    return " / ".join(chosen_names) or "none"  # names have commas


def _text(value: float, form: str) -> str:
    return "-" if np.isnan(value) else f"{value:{form}}"


def _order(key: Sequence) -> tuple:
    return names.order({"optim": key[0]}), -key[1]
