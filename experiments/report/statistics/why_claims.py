"""The usual explanation of why AdamW works, claim by claim, against what the probe saw."""

import math

import pandas as pd

from experiments.report.statistics.estimate import over_seeds
from experiments.report.statistics.judge import Claim, Ruling
from experiments.report.statistics.shares import rate_effect

#: Decades between the quartiles of r below which all weights decay alike, and above which unevenly.
ALIKE, UNEVEN = math.log10(1.1), math.log10(2)
SPREAD, SLOPE = "decades between the quartiles of r", "slope of log r on log √v"
DRIFT, SIZE = "log2 of r/η, last look over first", "size of log2 of r/η, last look over first"
RATE, TURN = "d log r / d log lr", "layers turn at the rate of equilibrium"
ANGLE, PROPORTIONAL = "angle, measured over predicted", "in proportion to the rate"

#: Of each: the text, the number, of whom, its column in ``shares.per_run`` or ``by_lr``, the range.
CLAIMS = (
    Claim("weights decay unevenly", SPREAD, "adam", "spread", low=UNEVEN),
    Claim("larger gradients decay less", SLOPE, "adam", "slope", high=-0.5),
    Claim("as one over √v", SLOPE, "adam", "slope", -1.1, -0.9),
    Claim("the share drifts twofold or more", SIZE, "adam", "drift_size", low=1),
    Claim("it grows, as gradients shrink", DRIFT, "adam", "drift", low=1),
    Claim("the share grows with the learning rate", RATE, "adam", "by_lr", low=0.5),
    Claim("v is the loss's: L2 is under 1 % of it", "share", "adam", "v_from_l2", high=0.01),
    Claim("L2 shrinks each weight in each step", "share of weights", "adam", "shrinking", 0.99),
    Claim("L2 takes the same share of all weights", SPREAD, "sgd", "spread", high=ALIKE),
    Claim(PROPORTIONAL, RATE, "sgd", "by_lr", 0.95, 1.05),
    Claim("all weights decay alike", SPREAD, "adamw", "spread", high=ALIKE),
    Claim("whatever their gradients", SLOPE, "adamw", "slope", -0.05, 0.05),
    Claim("throughout training", DRIFT, "adamw", "drift", -0.1, 0.1),
    Claim("whatever the learning rate", RATE, "adamw", "by_lr", -0.05, 0.05),
    Claim(PROPORTIONAL, RATE, "torch_adamw", "by_lr", 0.95, 1.05),
    Claim(TURN, ANGLE, "adamw", "rotation", 0.8, 1.2),
    Claim(TURN, ANGLE, "adam", "rotation", 0.8, 1.2),
)


def rulings(runs: pd.DataFrame) -> list[Ruling]:
    """Judge every claim for every task.

    Args:
        runs: From ``shares.per_run``. A claim is judged at the lowest learning rate of its
            optimizer, unless it is about two.
    """
    effects = rate_effect(runs)
    found = []
    for task in sorted(runs["task"].unique()):
        for claim in CLAIMS:
            table = effects if claim.statistic == "by_lr" else runs
            own = table[(table["task"] == task) & (table["optim"] == claim.of)]
            if "lr" in own:
                own = own[own["lr"] == own["lr"].min()]
            found.append(Ruling(claim, over_seeds(own[claim.statistic]), task))
    return found


def frame(found: list[Ruling]) -> pd.DataFrame:
    """Return rulings as claims.csv has them."""
    return pd.DataFrame(
        {"claim": one.claim.text, "optim": one.claim.of, "task": one.task}
        | {"number": one.claim.number, "claimed": one.claim.range, "verdict": one.verdict}
        | (one.found.row() if one.found else {})
        for one in found
    )
