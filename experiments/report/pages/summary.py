"""The summary that a report prints: one line a panel, readable in a terminal and in markdown."""

from collections.abc import Sequence

import pandas as pd

from experiments.record.schema import DIVERGED
from experiments.report.data import units
from experiments.report.data.panels import MISSING, best_cell
from experiments.report.data.text import Table, short
from experiments.report.statistics.measure import Measured

#: Name of each statistic and its decimals, in the order of the tables.
HEADS = {
    "ridge_slope": ("ridge slope", 2),
    "threshold_slope": ("threshold slope", 2),
    "top10_correlation": ("top-10 correlation", 2),
    "freezing_cost": ("cost of freezing", 2),
    "near_share": ("share near the best", 2),
    "one_pass_regret": ("one-pass regret", 2),
    "best_of_10": ("best of 10 draws", 2),
    "interaction_share": ("interaction share", 2),
}
DECOUPLING = ("ridge_slope", "threshold_slope", "top10_correlation", "freezing_cost")
TUNING = ("near_share", "one_pass_regret", "best_of_10", "interaction_share")
#: Statistics in the unit of the metric, which has decimals of its own.
IN_UNITS = ("freezing_cost", "one_pass_regret", "best_of_10")
#: What a note says when its number is not to be taken at face value.
SHAKY = ("lower bound", "edge", "samples")


def cells_table(measured: Sequence[Measured]) -> Table:
    """Return the best cell of each panel and how many runs are done, as text under a head.

    A loss stands there in bits, too.
    """
    metric = measured[0].settings.metric
    places, bits = units.decimals(metric), ["in bits"] if units.is_loss(metric) else []
    head = ["", f"best {metric.replace('_', ' ')}", *bits, "at lr", "wd", "run noise"]
    rows = [[*head, "runs done", "missing", "diverged"]]
    for one in measured:
        best = best_cell(one.panel.cells, metric)
        where = ["-"] * (3 + len(bits))
        if best is not None:
            value, spread = f"{best[metric]:.{places}f}", best["sd"]
            value += f" ± {spread:.{places}f}" if spread == spread else ""
            in_bits = [f"{best[metric] / units.BIT:.{places}f}" for _ in bits]
            where = [value, *in_bits, short(best["lr"]), short(best["wd"])]
        status = one.panel.runs["status"]
        missing, diverged = int((status == MISSING).sum()), int((status == DIVERGED).sum())
        noise = f"{one.noise.sd:.{places}f}" if one.noise else "-"
        done = f"{len(status) - missing}/{len(status)}"
        rows.append([one.panel.name, *where, noise, done, str(missing), str(diverged)])
    return rows


def statistics_table(measured: Sequence[Measured], names: Sequence[str]) -> Table:
    """Return the statistics of these names with their intervals, as text under a head."""
    there = set(measured[0].table["statistic"])
    shown = [name for name in names if name in there]
    rows = [["", *(HEADS[name][0] for name in shown)]]
    own = units.decimals(measured[0].settings.metric)
    for one in measured:
        found = [estimate(one.row(n), own if n in IN_UNITS else HEADS[n][1]) for n in shown]
        rows.append([one.panel.name, *found])
    return rows


def estimate(row: pd.Series, decimals: int = 2) -> str:
    """Return a statistic with its interval, ``>=`` before a lower bound, or ``not identified``."""
    if row["reason"]:
        return "not identified"
    rounded = (round(row[k], decimals) + 0.0 for k in ("value", "low", "high"))  # no -0.00
    value, low, high = (f"{number:.{decimals}f}" for number in rounded)
    text = ("≥ " if "lower bound" in row["note"] else "") + value
    return text + (f" [{low}, {high}]" if row["low"] == row["low"] else "")


def reasons(measured: Sequence[Measured]) -> list[str]:
    """Return one line for every statistic that is not identified, with the reason."""
    return [
        f"{one.panel.name}: {HEADS[row.statistic][0]} not identified: {row.reason}"
        for one in measured
        for row in one.table.itertuples()
        if row.reason
    ]


def notes(measured: Sequence[Measured]) -> list[str]:
    """Return one line for every number that is a bound or unstable, with what it rests on."""
    return [
        f"{one.panel.name}: {HEADS[row.statistic][0]}: {row.note}"
        for one in measured
        for row in one.table.itertuples()
        if not row.reason and row.statistic != "best_of_10" and any(w in row.note for w in SHAKY)
    ]


def unfinished(measured: Sequence[Measured]) -> int:
    """Return how many planned runs are missing."""
    return int(sum((one.panel.runs["status"] == MISSING).sum() for one in measured))


def pages(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Group panels by the figure that they belong to; '' when the table names none."""
    found: dict[str, list[Measured]] = {}
    for one in measured:
        found.setdefault(one.panel.figure, []).append(one)
    return found


def tidy(measured: Sequence[Measured]) -> pd.DataFrame:
    """Return every statistic of every panel, and the run noise, one row each."""
    rows = []
    for one in measured:
        key = {k: v for k, v in one.panel.key.items() if k != "convention"}
        if one.noise:
            noise = {"statistic": "run_noise", "value": one.noise.sd, "note": one.noise.basis}
            rows.append(key | noise)
        rows += [key | row for row in one.table.to_dict("records")]
    columns = ["statistic", "value", "low", "high", "reason", "note"]
    table = pd.DataFrame(rows)
    return table[[name for name in table if name not in columns] + columns]


def curves(measured: Sequence[Measured]) -> pd.DataFrame:
    """Return the tuning curves of every panel: expected best error of k draws."""
    return pd.concat([one.curve.assign(**_plain(one.panel.key)) for one in measured])


def _plain(key: dict) -> dict:
    return {name: value for name, value in key.items() if name != "convention"}
