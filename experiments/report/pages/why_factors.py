"""What the page on why says of Adam's two moments and of a loss that is multiplied."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from experiments.report.data import names
from experiments.report.data.text import Table, formatted, markdown
from experiments.report.statistics import factors

FACTORIAL = """\
## Which of Adam's two moments does the harm?

L2 in one moment only, in neither but divided by √v̂, and decoupled ([optim/mixing.py]\
(../optim/mixing.py)). Where L2 is not in v, a weight without gradient is divided by ε alone: it
loses ηαλ/ε a step, and above 2 it diverges. A cell is *as good* within {near:g} point of the best
of all arms; the last column is the slope of the right decay over the learning rate: of the
threshold where a task switches, else of the ridge. One seed: nothing here has an interval, and no
difference between arms is resolved.

{tables}
"""
SCALED = """\
## When the loss is multiplied

Adam divides the loss's gradient by its own size, so multiplying the loss changes nothing but ε's
part; λθ is not multiplied, so under Adam + L2 the right λ should move in proportion. Modular
addition, the smallest wd whose test error is below {level:g} %, at the learning rate that is named.
One seed:

{table}

![The right decay over the scale of the loss](../results/why/loss_scale.png)
"""


def factorial(found: Mapping[str, pd.DataFrame]) -> str:
    """Return the section on the two moments.

    Args:
        found: From ``factors.arms``, of each factorial by experiment.
    """
    shown = [
        f"[{name}](../results/{name}/README.md):\n\n{markdown(arm_rows(arms))}"
        f"\n\n{arm_verdict(arms)}"
        for name, arms in found.items()
    ]
    return FACTORIAL.format(near=factors.NEAR, tables="\n\n".join(shown))


def scaled(found: pd.DataFrame) -> str:
    """Return the section on the scale of the loss.

    Args:
        found: From ``factors.thresholds``.
    """
    return SCALED.format(level=factors.LEVEL, table=markdown(scale_rows(found)))


def scale_rows(found: pd.DataFrame) -> Table:
    """Return thresholds as rows of text: a loss scale a column, and the slope over them."""
    scales = sorted(found["loss_scale"].unique())
    columns = [f"loss × {scale:g}" for scale in scales]
    rows = [["", "epsilon", "lr", *columns, "d log wd / d log scale"]]
    for (optim, eps, lr), group in found.groupby(factors.LINE, sort=True):
        own = group.set_index("loss_scale")
        cells = [_threshold(own.loc[s]) if s in own.index else "" for s in scales]
        slope = factors.by_scale(group)
        rows.append([names.label(str(optim)), f"{eps:g}", f"{lr:g}", *cells, _text(slope, ".2f")])
    return rows


def _threshold(row: pd.Series) -> str:
    return "none" if np.isnan(row["wd"]) else ("≤ " if row["at_edge"] else "") + f"{row['wd']:g}"


def arm_rows(found: pd.DataFrame) -> Table:
    """Return the arms as rows of text."""
    head = ["", "epsilon", "best test error", "at lr", "wd", "cells as good", "diverged"]
    rows = [[*head, "d log wd / d log lr"]]
    for arm in found.to_dict("records"):
        texts = [
            _text(arm[key], form) for key, form in (("error", ".2f"), ("lr", "g"), ("wd", "g"))
        ]
        counts = [f"{arm[key]} of {arm['cells']}" for key in ("good", "diverged")]
        named = [names.label(str(arm["optim"])), f"{arm['optim.eps']:g}"]
        rows.append([*named, *texts, *counts, _text(arm["slope"], ".2f")])
    return rows


def arm_verdict(found: pd.DataFrame) -> str:
    """Say which arms come as near to the best as decoupled decay does, and whose decay moves."""
    near = found["error"] <= found["error"].min() + factors.NEAR
    moving, still = (found["slope"] <= factors.COUPLED), (found["slope"] > factors.COUPLED)
    there, away = _named(found, near), _named(found, ~near)
    unsaid = _named(found, ~moving & ~still) if (~moving & ~still).any() else ""
    do = "does" if (~near).sum() == 1 else "do"
    return (
        f"In this seed, within {factors.NEAR:g} point of the best come {there}; {away} {do} not. "
        "As the learning rate grows, the right decay falls in proportion or faster under "
        f"{_named(found, moving)}; more slowly, or not at all, under {_named(found, still)}"
        + (f"; the cells do not say of {unsaid}." if unsaid else ".")
    )


def _named(found: pd.DataFrame, chosen: pd.Series) -> str:
    """Name the chosen arms, with epsilon where it decides whether an optimizer is among them."""
    there = []
    for optim, arms in found.groupby("optim", sort=False):
        within = arms[chosen[arms.index]]
        where = "" if len(within) == len(arms) else " with ε = "
        where += " and ".join(f"{eps:g}" for eps in within["optim.eps"]) if where else ""
        there += [names.label(str(optim)) + where] if len(within) else []
    return " / ".join(there) or "none"  # names have commas


def _text(value: float, form: str) -> str:
    return "-" if np.isnan(value) else formatted(value, form)
