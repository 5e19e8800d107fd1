"""The summary that a report prints: one line a panel, readable in a terminal and in markdown."""

from collections.abc import Sequence

import pandas as pd

from experiments.report.cells import MISSING
from experiments.report.heatmap import number
from experiments.report.measure import Measured, Settings

HEADS = {
    "ridge_slope": "ridge slope",
    "threshold_slope": "threshold slope",
    "top10_correlation": "top-10 corr.",
    "freezing_cost": "cost of freezing",
}
DECIMALS = {}


def lines(measured: Sequence[Measured], settings: Settings) -> list[list[str]]:
    """Return the table as text: a head, then a row a panel.

    A cell is done when none of its planned seeds is missing; those with a diverged seed are
    counted apart.
    """
    names = [settings.slope, *(n for n in HEADS if n not in ("ridge_slope", "threshold_slope"))]
    shown = [n for n in names if n in set(measured[0].table["statistic"])]
    split = settings.metric.replace("_", " ")
    head = ["", f"best {split}", "at lr", "wd", *(HEADS[n] for n in shown), "done", "missing"]
    return [[*head, "diverged"], *(_line(one, settings, shown) for one in measured)]


def _line(one: Measured, settings: Settings, shown: list[str]) -> list[str]:
    cells = one.panel.cells
    best = best_cell(cells, settings.metric)
    where = ["-", "-", "-"]
    if best is not None:
        spread = f" ± {best['sd']:.2f}" if best["sd"] == best["sd"] else ""
        where = [f"{best[settings.metric]:.2f}{spread}", number(best["lr"]), number(best["wd"])]
    found = [estimate(one.row(name)) for name in shown]
    missing = int((cells["missing"] > 0).sum())
    counts = [f"{len(cells) - missing}/{len(cells)}", missing, int((cells["diverged"] > 0).sum())]
    return [one.panel.name, *where, *found, *map(str, counts)]


def best_cell(cells: pd.DataFrame, metric: str) -> pd.Series | None:
    """Return the lowest cell that is a value and of which no seed diverged, if there is one."""
    usable = cells[(cells["status"] == "finished") & (cells["bound"] == "")]
    return usable.loc[usable[metric].idxmin()] if len(usable) else None


def estimate(row: pd.Series, decimals: int = 2) -> str:
    """Return a statistic with its interval, ``>=`` before a lower bound, or ``not identified``."""
    if row["reason"]:
        return "not identified"
    text = ("≥ " if "lower bound" in row["note"] else "") + f"{row['value']:.{decimals}f}"
    if row["low"] == row["low"]:
        text += f" [{row['low']:.{decimals}f}, {row['high']:.{decimals}f}]"
    return text


def aligned(table: list[list[str]]) -> str:
    """Return rows of text as columns for a terminal, the first to the left, the rest right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def reasons(measured: Sequence[Measured]) -> list[str]:
    """Return one line for every statistic that is not identified, with the reason."""
    return [
        f"{one.panel.name}: {HEADS.get(row.statistic, row.statistic)} not identified: {row.reason}"
        for one in measured
        for row in one.table.itertuples()
        if row.reason
    ]


def unfinished(measured: Sequence[Measured]) -> int:
    """Return how many planned runs are missing."""
    return int(sum((m.panel.runs["status"] == MISSING).sum() for m in measured))
