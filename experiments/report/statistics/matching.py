"""Matching cells: the same run under two conventions, which should give the same error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.data import coordinates
from experiments.report.data.panels import Panel
from experiments.report.data.units import form

#: Two decays are the same when they differ by less than this, relatively.
SAME = 0.01


@dataclass(frozen=True)
class Match:
    """Two panels and ``pairs``, of ``match``: the ``value`` of runs that should be alike."""

    first: Panel
    second: Panel
    pairs: pd.DataFrame
    value: str

    def text(self) -> str:
        """Say in one line how far the two are apart over their matching runs."""
        d, digits = self.pairs["difference"], form(self.value)
        text = (
            f"{self.second.name} at the cells of {self.first.name} (lr * wd = lambda): {len(d)} "
            f"matching runs, mean difference {d.mean():+{digits}}"
        )
        if len(d) > 1:
            half = 1.96 * d.std(ddof=1) / np.sqrt(len(d))
            text += f" ± {half:{digits}} (95 %), largest {d.abs().max():{digits}}"
        return text

    def table(self) -> pd.DataFrame:
        """Return the pairs, after what the two panels have in common beside them."""
        keys = (self.first.key, self.second.key)
        common = {name: keys[0][name] for name in _shared(*keys)}
        return pd.DataFrame(common, index=self.pairs.index).join(self.pairs)


def matches(panels: Sequence[Panel], value: str) -> list[Match]:
    """Pair every decoupled panel with its lr-coupled namesake (``adamw``, ``torch_adamw``).

    Namesakes agree in all settings that both have. Those without a matching run are left out.
    """
    found = [
        Match(ours, theirs, match(ours.runs, theirs.runs, value), value)
        for ours in panels
        for theirs in panels
        if theirs.optim == "torch_" + ours.optim
        and (ours.runs["convention"] == "decoupled").all()
        and all(ours.key[name] == theirs.key[name] for name in _shared(ours.key, theirs.key))
    ]
    return [one for one in found if len(one.pairs)]


def _shared(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the settings that two optimizers both have, except those that set them apart."""
    names = [name for name in first if name in second and name not in ("optim", "convention")]
    return [name for name in names if _given(first[name]) and _given(second[name])]


def _given(setting: Any) -> bool:
    return bool(pd.notna(setting)) and setting != ""


def match(first: pd.DataFrame, second: pd.DataFrame, value: str) -> pd.DataFrame:
    """Join finished runs of equal lr and seed whose lambda is equal to 1 %, and not zero.

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
    same = (apart <= SAME * pairs["lambda"]) & (pairs["lambda"] > 0)
    pairs = pairs[same].drop(columns="lambda_2")
    pairs["difference"] = pairs["second"] - pairs["first"]
    return pairs.sort_values(["lr", "lambda", "seed"])[
        ["lr", "lambda", "seed", "first", "second", "difference"]
    ]
