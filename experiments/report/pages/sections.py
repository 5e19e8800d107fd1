"""What a report says of panels, section by section, and the tables that hold every number."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from experiments.record.schema import DIVERGED
from experiments.report.data import coordinates, names, units
from experiments.report.data.panels import best_cell, grouped
from experiments.report.data.text import Table, short
from experiments.report.figures.kinds import Section
from experiments.report.statistics.counterpart import Pair
from experiments.report.statistics.estimate import COLUMNS
from experiments.report.statistics.findings import Finding
from experiments.report.statistics.matching import Match
from experiments.report.statistics.measure import Measured
from experiments.report.statistics.settings import Settings
from experiments.report.statistics.statistic import DECOUPLING, STATISTICS, TUNING, in_table

#: What a note says when its number is not to be taken at face value.
SHAKY = ("lower bound", "edge", "samples")
EXPLAINED = """\
Slopes are d log2 wd* / d log2 lr: 0 is decoupled, -1 fully coupled. The cost of freezing is the
mean rise of the metric, in {unit}, when wd stays at the best value of all while lr moves. {how} A
ridge, and that cost, are of the learning rates whose best cell lies within {tolerance:g} {unit} of
the best of all; a table has the slopes for other choices. The share near the best counts cells
within {near:g} {unit} of it; the one-pass regret is what tuning lr, then wd, once, leaves on the
table; best of 10 draws is the lowest error to expect from ten random cells; the interaction share
is the part of the variance in the basin that no f(lr) + g(wd) explains: these, and the top-10
correlation, are of the cells, with 95 % bootstrap intervals over seeds ({samples} samples, what a
seed adds to all cells drawn jointly); with one seed the noise of a run comes from replicate cells
at wd = 0 or from the experiment that `decoupling.csv` names, and without any there is no interval.
`decoupling.csv` has every number with what it rests on; the formulas: `smooth.py`, `decoupling.py`
and `tuning.py` of `experiments/report/statistics`; a glossary: `docs/measured.md`."""
#: By the estimator: how slopes and costs are found.
HOW = {
    "gp": """\
Both are medians and 95 % intervals over surfaces drawn from a Gaussian process that is fitted to
all cells at once, which holds the noise of a run, the spacing of the grid, and 0.25 octaves by
which single rows may lie off a straight line; how often such intervals hold the truth is measured
in [calibration](../calibration/README.md).""",
    "argmin": """\
Both take the lowest cell of each lr, with 95 % bootstrap intervals over seeds; the spacing of the
grid is not in them.""",
}
RANKS = """\
The rank correlation (Spearman) is over cells of the two grids that lie alike relative to the best
cell of each: lr and wd divided by the best cell's, nearest in log2, at most half a step apart
(`experiments/report/statistics/counterpart.py`); budgets are matched by rank. Its interval
resamples cells."""
COMPARED = """\
Best errors are those with decay: at wd = 0 L2 and its decoupled twin are the same runs. Differences
of best errors and exponents are medians and 95 % intervals over surfaces drawn from the Gaussian
process; where panels share their seeds, what a seed adds to both cancels (*paired*). Equal training
loss and restarts are compared seed by seed, with Student's t over seeds. Of wd* ~ steps^-p: p is
1/2 if the paper's normalization makes the best decay the same for all budgets, 1 if what stays is
the averaging time as a share of the run. `findings.csv` has every number; formulas are in
`compare.py`, `pairing.py`, `equal_loss.py`, `budget.py` and `speed.py` of
`experiments/report/statistics`."""


def numbers(figure: str, page: Sequence[Measured], *, is_grid: bool) -> Section:
    """Return the best cells of a figure's panels and, of a grid, their statistics."""
    title = figure.replace("figure", "Figure ") or "Numbers"
    data = {"decoupling": statistics_frame(page, is_grid=is_grid), "tuning": tuning_frame(page)}
    if not is_grid:
        return Section(title, [best_cells(page)], data=data)
    tables = [best_cells(page), *(statistics_table(page, which) for which in (DECOUPLING, TUNING))]
    if any(one.choices for one in page):
        tables.append(choices(page))
    return Section(title, tables, lines=[*reasons(page), *notes(page)], data=data)


def best_cells(measured: Sequence[Measured]) -> Table:
    """Return the best cell of each panel and how many runs are done, as text under a head.

    A loss stands there in bits, too, and decay as torch's weight_decay.
    """
    metric = measured[0].settings.metric
    form, bits = units.form(metric), ["in bits"] if units.is_loss(metric) else []
    head = ["", f"best {metric.replace('_', ' ')}", *bits, "at lr", "wd", "torch's weight_decay"]
    rows = [[*head, "run noise", "runs done", "missing", "diverged"]]
    for one in measured:
        best = best_cell(one.panel.cells, metric)
        where = ["-"] * (4 + len(bits))
        if best is not None:
            value, spread = f"{best[metric]:{form}}", best["sd"]
            value += f" ± {spread:{form}}" if spread == spread else ""
            in_bits = [f"{best[metric] / units.BIT:{form}}" for _ in bits]
            torch = coordinates.convert(one.panel.cells.loc[[best.name]], "torch_wd").iloc[0]
            where = [value, *in_bits, *(short(x) for x in (best["lr"], best["wd"], torch))]
        switches = one.settings.level is not None  # errors of a cell are then 0 or chance
        noise = f"{one.noise.sd:{form}}" if one.noise and not switches else "-"
        done, planned = one.panel.done, len(one.panel.runs)
        diverged = int((one.panel.runs["status"] == DIVERGED).sum())
        counts = [f"{done}/{planned}", str(planned - done), str(diverged)]
        rows.append([one.panel.name, *where, noise, *counts])
    return rows


def statistics_table(measured: Sequence[Measured], which: str) -> Table:
    """Return the statistics of a table with their intervals, as text under a head."""
    first = measured[0].estimates
    there = in_table(which)
    shown = [
        name
        for name in there
        if name in first and not all(one.estimates[name].reason for one in measured)
    ] or [name for name in there if name in first]
    own = units.form(measured[0].settings.metric)
    forms = {name: own if STATISTICS[name].in_units else ".2f" for name in shown}
    slope = measured[0].settings.slope
    basis = ["slope rests on"] if slope in shown else []
    rows = [["", *(STATISTICS[name].head for name in shown), *basis]]
    for one in measured:
        found = [one.estimates[name].text(form) for name, form in forms.items()]
        rows.append([one.panel.name, *found, *(one.estimates[slope].support for _ in basis)])
    return rows


def choices(measured: Sequence[Measured]) -> Table:
    """Return the slope within several tolerances, or at several levels, as text under a head."""
    settings = measured[0].settings
    what, unit = "threshold slope at {:g} %", units.difference(settings.metric)
    if settings.level is None:
        what = f"ridge slope, rows within {{:.3g}} {unit}"
    heads = [
        what.format(value).replace("within 1 points", "within 1 point")
        for value in measured[0].choices
    ]
    return [["", *heads]] + [
        [one.panel.name, *(found.text() for found in one.choices.values())] for one in measured
    ]


def reasons(measured: Sequence[Measured]) -> list[str]:
    """Return one line for every statistic that is not identified, with the reason."""
    return [
        f"{one.panel.name}: {STATISTICS[name].head} not identified: {found.reason}"
        for one in measured
        for name, found in one.estimates.items()
        if found.reason
    ]


def notes(measured: Sequence[Measured]) -> list[str]:
    """Return one line for every number that is a bound or unstable, with what it rests on."""
    return [
        f"{one.panel.name}: {STATISTICS[name].head}: {found.note}"
        for one in measured
        for name, found in one.estimates.items()
        if not found.reason and name != "best_of_10" and any(w in found.note for w in SHAKY)
    ]


def beside(pairs: Sequence[Pair]) -> Section:
    """Return our statistics beside the paper's, and how alike the two rank their cells."""
    there = {name for pair in pairs for name in pair.statistics}
    shown = [name for name in in_table(DECOUPLING) if name in there]
    head = [f"{STATISTICS[name].head}{who}" for name in shown for who in ("", ", paper")]
    rows, lines = [["", *head, "rank correlation", "cells"]], []
    for pair in pairs:
        name, ranks = pair.ours.panel.name, pair.ranks
        both = [(pair.ours.estimates[key], pair.statistics[key]) for key in shown]
        values = [estimate.text() for two in both for estimate in two]
        rows.append([name, *values, ranks.text(), ranks.support])
        if ranks.reason:
            lines.append(f"{name}: rank correlation not identified: {ranks.reason}")
    return Section("Beside the paper", [rows], RANKS, lines)


def comparisons(found: Sequence[Finding], metric: str) -> Section:
    """Return comparisons of panels."""
    rows = [["", "number", "value", "rests on", "remark"], *(one.text(metric) for one in found)]
    data = {"findings": pd.DataFrame([one.row() for one in found])}
    return Section("Comparisons", [rows], COMPARED, data=data)


def conventions(matches: Sequence[Match]) -> list[Section]:
    """Return how far runs are apart that two conventions should make alike, by optimizer."""
    sections = []
    for optim, own in grouped(matches, lambda match: match.second.optim).items():
        title = f"{names.label(optim)} at equal shrink per step"
        data = {f"matching_{optim}": pd.concat([match.table() for match in own])}
        sections.append(Section(title, lines=[match.text() for match in own], data=data))
    return sections


def explained(settings: Settings) -> Section:
    """Say what the numbers of a grid are, and where their formulas stand."""
    unit = units.difference(settings.metric)
    text = EXPLAINED.format(
        unit=unit,
        near=settings.near,
        samples=settings.samples,
        how=HOW[settings.estimator],
        tolerance=settings.tolerance,
    )
    return Section("What the numbers are", explained=text)


def statistics_frame(measured: Sequence[Measured], *, is_grid: bool) -> pd.DataFrame:
    """Return every statistic of every panel, and the run noise, one row each.

    Of runs that fill no grid there is no slope under other choices.
    """
    rows = []
    for one in measured:
        key = _key(one)
        if one.noise:
            noise = {"statistic": "run_noise", "value": one.noise.sd, "note": one.noise.basis}
            rows.append(key | noise)
        rows += [key | {"statistic": name} | e.row() for name, e in one.estimates.items()]
        by = "within" if one.settings.level is None else "at"
        rows += [
            key | {"statistic": f"{one.settings.slope}_{by}_{choice:g}"} | e.row()
            for choice, e in one.choices.items()
            if is_grid
        ]
    columns = ["statistic", *COLUMNS]
    table = pd.DataFrame(rows).astype({"n": "Int64"})
    return table[[name for name in table if name not in columns] + columns]


def tuning_frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """Return the tuning curves of every panel: expected best error of k draws."""
    return pd.concat([one.tuning.assign(**_key(one)) for one in measured])


def _key(one: Measured) -> dict[str, Any]:
    return {name: value for name, value in one.panel.key.items() if name != "convention"}
