"""The usual explanation of why AdamW works, claim by claim, against what the probe saw."""

import math
from dataclasses import dataclass

import pandas as pd

from experiments.report.data import names
from experiments.report.data.text import Table
from experiments.report.pages.verdict import (
    NOT_REPRODUCED,
    NOT_RESOLVED,
    REPRODUCED,
    judge,
    range_text,
)
from experiments.report.statistics.estimate import over_seeds
from experiments.report.statistics.shares import rate_effect

VERDICTS = {
    REPRODUCED: "holds",
    NOT_REPRODUCED: "does not hold",
    NOT_RESOLVED: "not resolved",
}
#: Decades between the quartiles of r below which all weights decay alike, and above which unevenly.
ALIKE, UNEVEN = math.log10(1.1), math.log10(2)


@dataclass(frozen=True)
class Claim:
    """A statement about an optimizer as a range of a statistic of ``shares``.

    Attributes:
        text: What is claimed.
        optim: Of whom.
        statistic: Column of ``shares.per_run``, or ``by_lr``.
        number: What the statistic is, with its unit.
        low: Lower end of the range.
        high: Upper end.
    """

    text: str
    optim: str
    statistic: str
    number: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def range(self) -> str:
        return range_text(self.low, self.high)


SPREAD, SLOPE = "decades between the quartiles of r", "slope of log r on log √v"
DRIFT = "log2 of r/η at the last look over the first"
SIZE = f"|{DRIFT}|"
RATE = "d log r / d log lr"
CLAIMS = (
    Claim("weights decay unevenly", "adam", "spread", SPREAD, low=UNEVEN),
    Claim("larger gradients decay less", "adam", "slope", SLOPE, high=-0.5),
    Claim("as one over √v", "adam", "slope", SLOPE, -1.1, -0.9),
    Claim("the share drifts over training, twofold or more", "adam", "drift_size", SIZE, low=1),
    Claim("it grows, as gradients shrink", "adam", "drift", DRIFT, low=1),
    Claim("the share grows with the learning rate", "adam", "by_lr", RATE, 0.5),
    Claim("v is the loss's: L2 is under 1 % of it", "adam", "v_from_l2", "share", high=0.01),
    Claim("L2 shrinks each weight in each step", "adam", "shrinking", "share of weights", low=0.99),
    Claim("L2 takes the same share of all weights", "sgd", "spread", SPREAD, high=ALIKE),
    Claim("in proportion to the rate", "sgd", "by_lr", RATE, 0.95, 1.05),
    Claim("all weights decay alike", "adamw", "spread", SPREAD, high=ALIKE),
    Claim("whatever their gradients", "adamw", "slope", SLOPE, -0.05, 0.05),
    Claim("throughout training", "adamw", "drift", DRIFT, -0.1, 0.1),
    Claim("whatever the learning rate", "adamw", "by_lr", RATE, -0.05, 0.05),
    Claim("in proportion to the rate", "torch_adamw", "by_lr", RATE, 0.95, 1.05),
    Claim(
        "layers turn at the rate of equilibrium", "adamw", "rotation", "over predicted", 0.8, 1.2
    ),
    Claim("layers turn at the rate of equilibrium", "adam", "rotation", "over predicted", 0.8, 1.2),
)


def rulings(runs: pd.DataFrame) -> pd.DataFrame:
    """Judge every claim for every task.

    Args:
        runs: From ``shares.per_run``. A claim is judged at the lowest learning rate of its
            optimizer, unless it is about two.

    Returns:
        claim, optim, task, number, value, low, high, n, claimed, verdict, reason.
    """
    effects = rate_effect(runs)
    rows = []
    for task in sorted(runs["task"].unique()):
        for claim in CLAIMS:
            table = effects if claim.statistic == "by_lr" else runs
            own = table[(table["task"] == task) & (table["optim"] == claim.optim)]
            if "lr" in own:
                own = own[own["lr"] == own["lr"].min()]
            found = over_seeds(own[claim.statistic].to_numpy())
            rows.append(
                {
                    "claim": claim.text,
                    "optim": claim.optim,
                    "task": task,
                    "number": claim.number,
                    **{key: getattr(found, key) for key in ("value", "low", "high", "n")},
                    "claimed": claim.range,
                    "verdict": VERDICTS[judge(found, claim.low, claim.high)],
                    "reason": found.reason,
                }
            )
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame) -> Table:
    """Return the rulings as rows of text: a claim a row, number and verdict of each task."""
    tasks = list(table["task"].unique())
    head = ["", "claim", "number", "claimed", *(f for t in tasks for f in (t, "verdict"))]
    rows = [head]
    for claim in CLAIMS:
        row = [names.label(claim.optim), claim.text, claim.number, claim.range]
        for task in tasks:
            one = table[
                (table["task"] == task)
                & (table["claim"] == claim.text)
                & (table["optim"] == claim.optim)
                & (table["number"] == claim.number)
            ].iloc[0]
            row += [_number(one), one["verdict"]]
        rows.append(row)
    return rows


def _number(row: pd.Series) -> str:
    if row["reason"]:
        return "not defined"
    value, low, high = (f"{round(row[key], 6) + 0.0:.3g}" for key in ("value", "low", "high"))
    return value + (f" [{low}, {high}]" if row["low"] == row["low"] else "")
