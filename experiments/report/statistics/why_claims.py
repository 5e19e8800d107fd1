"""The usual explanation of why AdamW works, claim by claim, against what the probe saw.

A claim is judged at every learning rate of its optimizer, unless it is about two rates.
"""

import math
from collections.abc import Sequence

import pandas as pd

from experiments.report.statistics.estimate import over_seeds, unidentified
from experiments.report.statistics.judge import FAILS, HOLDS, Claim, Ruling, power
from experiments.report.statistics.shares import rate_effect

#: Decades between the quartiles of r below which all weights decay alike, and above which unevenly.
ALIKE, UNEVEN = math.log10(1.1), math.log10(2)
SPREAD, SLOPE = "decades between the quartiles of r", "slope of log r on log √v"
DRIFT, SIZE = "log2 of r/η, end over start", "size of log2 of r/η, end over start"
RATE, TURN = "d log r / d log lr", "layers turn at the rate of equilibrium"
ANGLE = "angle, measured over predicted"
PROPORTIONAL = "the share is proportional to the learning rate"

#: Of each: the text, the number, of whom, its column in ``shares.per_run`` or ``by_lr``, the range.
#: Of AdamW, ours and torch's, r is the formula that the algorithm applies, whatever the run does.
# fmt: off
CLAIMS = (
    Claim("weights decay unevenly", SPREAD, "adam", "spread", low=UNEVEN),
    Claim("larger gradients decay less", SLOPE, "adam", "slope", high=-0.5),
    Claim("the share goes as one over √v", SLOPE, "adam", "slope", -1.1, -0.9, exact=-1),
    Claim("the share drifts in training, twofold or more", SIZE, "adam", "drift_size", low=1),
    Claim("the share grows in training, as gradients shrink", DRIFT, "adam", "drift", low=1),
    Claim("the share grows with the learning rate", RATE, "adam", "by_lr", low=0.5),
    Claim("L2 is under 1 % of v", "share of v", "adam", "v_from_l2", high=0.01),
    Claim("L2 shrinks each weight in each step", "share of weights", "adam", "shrinking", low=0.99,
          exact=1),
    Claim("L2 takes the same share of all weights", SPREAD, "sgd", "spread", high=ALIKE, exact=0),
    Claim(PROPORTIONAL, RATE, "sgd", "by_lr", 0.95, 1.05, exact=1),
    Claim("all weights decay alike", SPREAD, "adamw", "spread", high=ALIKE, by_definition=True),
    Claim("the share is the same for all gradients", SLOPE, "adamw", "slope", -0.05, 0.05,
          by_definition=True),
    Claim("the share is the same throughout training", DRIFT, "adamw", "drift", -0.1, 0.1,
          by_definition=True),
    Claim("the share is the same at every learning rate", RATE, "adamw", "by_lr", -0.05, 0.05,
          by_definition=True),
    Claim(PROPORTIONAL, RATE, "torch_adamw", "by_lr", 0.95, 1.05, by_definition=True),
    Claim(TURN, ANGLE, "adamw", "rotation", 0.8, 1.2, exact=1),
    Claim(TURN, ANGLE, "adam", "rotation", 0.8, 1.2, exact=1),
)
# fmt: on


def rulings(runs: pd.DataFrame) -> list[Ruling]:
    """Judge every claim for every task, at every learning rate of its optimizer.

    The power is that at the value which the claim states, or else at the value found.

    Args:
        runs: From ``shares.per_run``.

    Returns:
        In the order of tasks, claims and rates; one without a number where nothing was run.
    """
    effects = rate_effect(runs)
    found = []
    for task in sorted(runs["task"].unique()):
        for claim in CLAIMS:
            table = effects if claim.statistic == "by_lr" else runs
            own = table[(table["task"] == task) & (table["optim"] == claim.of)]
            if own.empty:
                was_run = claim.of in set(runs.loc[runs["task"] == task, "optim"])
                lack = unidentified("needs two learning rates") if was_run else None
                found.append(Ruling(claim, lack, task))
            for lr, at_rate in own.groupby("lr"):
                text = lr if isinstance(lr, str) else f"{lr:g}"
                found.append(_judged(claim, task, text, at_rate))
    return found


def _judged(claim: Claim, task: str, lr: str, runs: pd.DataFrame) -> Ruling:
    """Judge a claim by the runs of one task, optimizer and rate."""
    of_seeds = runs.groupby("seed")[claim.statistic].mean()
    number = over_seeds(of_seeds)
    truth = number.value if claim.exact is None else claim.exact
    sd = float(of_seeds.std(skipna=False))
    decides = power(sd, len(of_seeds), claim.low, claim.high, truth)
    return Ruling(claim, number, task, lr=lr, power=decides)


def said(one: Ruling) -> str:
    """Return a verdict with what must be known of its number."""
    remark = one.found.remark if one.found else ""
    return ("fails" if one.verdict == FAILS else one.verdict) + (f" ({remark})" if remark else "")


def summary(found: Sequence[Ruling]) -> str:
    """Say at which rates a claim holds, fails or stays open: ``holds only at lr 0.002; ...``.

    Args:
        found: Of one claim and task, from :func:`rulings`.
    """
    rates: dict[str, list[str]] = {}
    for one in found:
        rates.setdefault(said(one), []).append(one.lr)
    if len(rates) == 1:
        (words,), n = rates, len(found)
        if n == 1:
            where = "from" if found[0].claim.statistic == "by_lr" else "at"
            return f"{words} {where} lr {found[0].lr}" if found[0].lr else words
        return f"{words} at {'both' if n == 2 else f'all {n}'} rates"
    only = {HOLDS: f"{HOLDS} only"}
    first = sorted(rates.items(), key=lambda one: one[0] != HOLDS)
    return "; ".join(f"{only.get(words, words)} at lr {' and '.join(at)}" for words, at in first)


def frame(found: list[Ruling]) -> pd.DataFrame:
    """Return rulings as claims.csv has them."""
    return pd.DataFrame(
        {"claim": one.claim.text, "optim": one.claim.of, "task": one.task, "lr": one.lr}
        | {"number": one.claim.number, "claimed": one.claim.range, "verdict": one.verdict}
        | {"power": round(one.power, 3)}
        | (one.found.row() if one.found else {})
        for one in found
    )
