"""What becomes of the right decay when Adam's L2 is taken apart, and when the loss is scaled."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.record.schema import DIVERGED
from experiments.report.data import names
from experiments.report.data.surface import surface
from experiments.report.statistics import decoupling

#: Percent: the test error that counts as having learned to add.
LEVEL = 10.0
#: Points above an experiment's best error that count as as good.
NEAR = 1.0
#: Slope of log wd over log lr that counts as coupled: in proportion.
COUPLED = -1.0
SETTING = ["optim", "optim.eps"]
#: What a threshold over the scale of the loss belongs to.
LINE = [*SETTING, "lr"]


def thresholds(runs: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Return the smallest wd at which the test error is below a level.

    Args:
        runs: One seed.
        level: In percent.

    Returns:
        optim, optim.eps, lr, loss_scale, wd; NaN where no wd reaches it, and at_edge where the
        smallest one of the grid does, so that the threshold may lie below.
    """
    rows = []
    runs = runs.assign(loss_scale=runs.get("loss_scale", 1.0))
    for key, group in runs.groupby([*LINE, "loss_scale"], sort=True):
        reached = group[group["test_error"] < level]["wd"]
        wd = reached.min() if len(reached) else np.nan
        named = dict(zip([*LINE, "loss_scale"], key, strict=True))
        rows.append(named | {"wd": wd, "at_edge": wd == group["wd"].min()})
    return pd.DataFrame(rows)


def by_scale(found: pd.DataFrame) -> float:
    """Return d log wd / d log loss scale by least squares; NaN with fewer than two thresholds.

    Args:
        found: From :func:`thresholds`, one optimizer, epsilon and rate; edges are left out.
    """
    usable = found[found["wd"].notna() & ~found["at_edge"]]
    if len(usable) < 2:
        return np.nan
    return float(np.polyfit(np.log(usable["loss_scale"]), np.log(usable["wd"]), 1)[0])


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
    rows: list[dict[str, Any]] = []
    for (optim, eps), group in runs.groupby(SETTING):
        ended = group[group["test_error"].notna()].sort_values(["test_error", "test_loss"])
        top = ended.iloc[0] if len(ended) else dict.fromkeys(("test_error", "lr", "wd"), np.nan)
        cells = surface(group)
        switches = best < LEVEL
        slope = (
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
                "slope": slope.value,
            }
        )
    rows.sort(key=lambda arm: (names.order({"optim": arm["optim"]}), -arm["optim.eps"]))
    return pd.DataFrame(rows)
