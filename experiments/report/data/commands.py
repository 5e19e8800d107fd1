"""The command lines that run cells of a report again."""

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from experiments.record.schema import is_setting
from experiments.report.data.panels import MISSING, Panel, best_cell
from experiments.report.data.text import short

#: Columns that set a run apart, beside lr, wd, the seed and the settings of entries.
SETTINGS = (
    *("task", "model", "optim", "schedule", "decay", "no_decay", "epochs", "batch_size"),
    "precision",
)
#: Words that Hydra takes as they are; a list of numbers is one.
PLAIN = re.compile(r"[A-Za-z0-9_./:+-]+|\[[0-9., e+-]*\]")
#: Leaves out of overrides what is so without them.
Shorten = Callable[[Sequence[str]], Sequence[str]]


def settings(panel: Panel, shorten: Shorten = list) -> list[str]:
    """Return what the runs of a panel have in common, as ``key=value``.

    Args:
        panel: The panel.
        shorten: How to leave out what the configuration has anyway.
    """
    run = panel.runs.sort_values("status", key=lambda column: column == MISSING).iloc[0]
    others = sorted(name for name in map(str, run.index) if is_setting(name) and name != "figure")
    values = {name: run[name] for name in (*SETTINGS, *others)}
    words = [f"{name}={_value(value)}" for name, value in values.items() if not _absent(value)]
    return list(shorten(words))


def overrides(words: Sequence[str], cell: pd.Series) -> list[str]:
    """Return what makes a run of a cell, but for its seed: its panel's settings, lr and wd."""
    return [*words, f"lr={_value(cell['lr'])}", f"wd={_value(cell['wd'])}"]


def again(experiment: str, panel: Panel, words: Sequence[str]) -> list[str]:
    """Return of each cell the command that trains all its seeds again, beside the first runs.

    '' for a cell that no code of ours has run, as those of the paper.

    Args:
        experiment: Its name.
        panel: The panel.
        words: Its settings, from ``settings``.
    """
    return [
        _train(panel, words, cell, seeds_of(panel, cell), f"{experiment}_again")
        for _, cell in panel.cells.iterrows()
    ]


def best_again(
    experiment: str, panels: Sequence[Panel], value: str, shorten: Shorten = list
) -> list[str]:
    """Return a command a panel: it trains the best cell at seeds that no run of them has used."""
    start = int(max(panel.runs["seed"].max() for panel in panels)) + 1
    lines = []
    for panel in panels:
        cell = best_cell(panel.cells, value)
        if cell is not None:
            seeds = range(start, start + len(seeds_of(panel, cell)))
            words = settings(panel, shorten)
            lines.append(_train(panel, words, cell, seeds, f"{experiment}_best"))
    return list(filter(None, lines))


def _train(
    panel: Panel, words: Sequence[str], cell: pd.Series, seeds: Iterable[int], name: str
) -> str:
    """Return a command that trains a cell under a name of its own, so that no run stands in."""
    if (panel.runs["commit"] == "").all():
        return ""
    numbers = ",".join(map(str, seeds))
    several = ["-m"] if "," in numbers else []
    typed = [*overrides(words, cell), f"seed={numbers}", f"name={name}"]
    return shlex.join(["python", "train.py", *several, *typed])


def seeds_of(panel: Panel, cell: pd.Series) -> list[int]:
    """Return the seeds of a cell that were run, or of one that was not those that are planned."""
    own = panel.runs[(panel.runs["lr"] == cell["lr"]) & (panel.runs["wd"] == cell["wd"])]
    done = own[own["status"] != MISSING]
    return sorted((done if len(done) else own)["seed"].astype(int))


def _absent(value: Any) -> bool:
    return bool(pd.isna(value)) or value == ""


def _value(value: Any) -> str:
    """Return a value in Hydra's grammar, a number without a digit lost."""
    if isinstance(value, (int, float)):
        return short(value) if float(short(value)) == value else repr(float(value))
    text = str(value).replace(", ", ",")
    return text if PLAIN.fullmatch(text) else '"' + re.sub(r'([\\"])', r"\\\1", text) + '"'
