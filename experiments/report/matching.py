"""Matching cells: the same run under two conventions, which should give the same error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.report import coordinates
from experiments.report.cells import Panel
from experiments.report.units import decimals
from experiments.runs_table import FINISHED

#: Two decays are the same when they differ by less than this, relatively.
SAME = 0.01


@dataclass(frozen=True)
class Match:
    """Two panels and ``pairs``: lr, lambda, seed, the ``value`` of each, and second minus first."""

    first: Panel
    second: Panel
    pairs: pd.DataFrame
    value: str

    def text(self) -> str:
        """Say in one line how far the two are apart over their matching runs."""
        names = f"{self.second.name} at the cells of {self.first.name} (lr * wd = lambda)"
        d = self.pairs["difference"]
        if not len(d):
            return f"{names}: no matching runs"
        places = decimals(self.value)
        text = f"{names}: {len(d)} matching runs, mean difference {d.mean():+.{places}f}"
        if len(d) > 1:
            half = 1.96 * d.std(ddof=1) / np.sqrt(len(d))
            text += f" ± {half:.{places}f} (95 %), largest {d.abs().max():.{places}f}"
        return text


def matches(panels: Sequence[Panel], value: str) -> list[Match]:
    """Pair every decoupled panel with its lr-coupled namesake (``adamw``, ``torch_adamw``)."""
    found = {panel.optim: panel for panel in panels if list(panel.key)[1:] in ([], ["convention"])}
    return [
        Match(panel, twin, match(panel.runs, twin.runs, value), value)
        for optim, panel in found.items()
        if (twin := found.get("torch_" + optim)) and (panel.runs["convention"] == "decoupled").all()
    ]


def match(first: pd.DataFrame, second: pd.DataFrame, value: str) -> pd.DataFrame:
    """Join finished runs of equal lr and seed whose lambda is equal to 1 %.

    Args:
        first: Rows of the runs table, of one panel.
        second: Rows of another.
        value: The metric to compare, in its own unit.

    Returns:
        lr, lambda, seed, first, second, difference (second - first); one row a pair.
    """
    sides = []
    for runs, name in ((first, "first"), (second, "second")):
        usable = runs[(runs["status"] == FINISHED) & runs[value].notna()]
        decay = coordinates.convert(usable, "lambda")
        side = {"lr": usable["lr"], "seed": usable["seed"], "lambda": decay, name: usable[value]}
        sides.append(pd.DataFrame(side))
    pairs = sides[0].merge(sides[1], on=["lr", "seed"], suffixes=("", "_2"))
    apart = (pairs["lambda"] - pairs["lambda_2"]).abs()
    pairs = pairs[apart <= SAME * pairs["lambda"]].drop(columns="lambda_2")
    pairs["difference"] = pairs["second"] - pairs["first"]
    return pairs.sort_values(["lr", "lambda", "seed"])[
        ["lr", "lambda", "seed", "first", "second", "difference"]
    ]
