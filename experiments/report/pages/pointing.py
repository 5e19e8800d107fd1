"""What the page of a report holds of its cells and learning curves: plain values, a row each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.report.data import coordinates
from experiments.report.data.panels import METRICS, average, best_cell
from experiments.report.data.text import short
from experiments.report.data.units import unit
from experiments.report.figures import heatmap, panel_axes
from experiments.report.statistics.collapse import located
from experiments.report.statistics.measure import Measured

#: Coordinates of the decay to choose from: name -> what the page calls it.
COORDINATES = {
    "typed": "as typed",
    "lambda": "the paper's λ",
    "torch_wd": "torch's weight_decay",
    "shrink": "shrink over the whole run",
    "timescale": "averaging time",
}
#: Metrics of learning curves -> what the page calls them; the last is that of each interval.
CURVES = {
    "test_error": "test error (%)",
    "test_loss": "test loss (nats)",
    "train_error": "training error (%)",
    "train_loss": "training loss (nats)",
    "batch_loss": "training loss (nats), mean over the batches of an interval",
}
#: Points of curves that a page holds, over all runs and metrics: one takes about six bytes.
MOST_POINTS = 240_000
#: Significant digits of a cell's numbers, and of a curve's.
DIGITS, CURVE_DIGITS = 5, 4
#: Lowest and highest value of the colour scale, by metric.
Limits = dict[str, tuple[float, float]]
Rows = list[dict[str, Any]]


class Curves(NamedTuple):
    """Learning curves of the runs of a page.

    Attributes:
        rows: A run each: cell, seed (1 for the first of the page), e (which of the grids), and c,
            its values by metric.
        grids: Lists of epochs, each shared by several runs.
        thinned: Of at most how many points of a run at most how many are left; None if all are.
    """

    rows: Rows
    grids: list[list[float]]
    thinned: tuple[int, int] | None


Tables = Sequence[Mapping[str, pd.DataFrame]]


def tables(page: Sequence[Measured]) -> Tables:
    """Return of each panel its cells by metric: the report's first, then what else was measured."""
    first = page[0].settings.metric
    known = [m for m in METRICS if any(one.panel.runs[m].notna().any() for one in page)]
    known.sort(key=lambda metric: metric != first)
    return [{metric: average(one.panel.runs, metric) for metric in known} for one in page]


def metrics(found: Tables) -> dict[str, str]:
    """Return the metrics of panels: name -> what the page calls it."""
    return {name: unit(name) for name in found[0]}


def seeds(page: Sequence[Measured]) -> list[int]:
    """Return the seeds of all runs."""
    return sorted({int(seed) for one in page for seed in one.panel.runs["seed"]})


def limits(page: Sequence[Measured], found: Tables) -> list[Limits]:
    """Return of each panel the ends of its colour scale, those that the pictures have."""
    groups = [heatmap.settings(one, heatmap.COMPARABLE) for one in page]

    def of(group: heatmap.Key) -> Limits:
        ends = {}
        for metric in found[0]:
            own = [t[metric] for t, other in zip(found, groups, strict=True) if other == group]
            norm = heatmap.scale(own, metric, page[0].settings)
            ends[metric] = (_digits(norm.vmin), _digits(norm.vmax))
        return ends

    by_group = {group: of(group) for group in dict.fromkeys(groups)}
    return [by_group[group] for group in groups]


def best(found: Tables) -> list[dict[str, str]]:
    """Return of each panel the id of its best cell by each metric that has one."""
    cells = [{metric: best_cell(cells, metric) for metric, cells in t.items()} for t in found]
    return [
        {metric: name(panel, cell) for metric, cell in own.items() if cell is not None}
        for panel, own in enumerate(cells)
    ]


def name(panel: int, cell: Mapping[Any, Any] | pd.Series) -> str:
    """Return what names a cell in the address of the page."""
    return f"{panel}_{cell['lr']:g}_{cell['wd']:g}".replace("+", "")


def cells(page: Sequence[Measured], found: Tables) -> Rows:
    """Return a row a cell.

    Returns:
        id, panel (its place), name (the panel's), lr and wd as text; box, the lower and upper end
        in each coordinate, and y, that of lr; at, the coordinates (None: infinite); v, of each
        metric the mean and then the value of every seed of the page; sd by metric; n; bound; and
        status, the cell's and then that of every seed ('' for one that nobody asked for).
    """
    every = seeds(page)
    return [
        row
        for panel, (one, own) in enumerate(zip(page, found, strict=True))
        for row in _cells(panel, one, own, every)
    ]


def _cells(
    panel: int, one: Measured, found: Mapping[str, pd.DataFrame], seeds: Sequence[int]
) -> Rows:
    table = next(iter(found.values()))
    boxes = {axis: 2.0 ** panel_axes.layout(table, axis) for axis in COORDINATES}
    places = {axis: coordinates.convert(table, axis).to_numpy(float) for axis in COORDINATES}
    keys = pd.MultiIndex.from_frame(table[["lr", "wd"]])
    columns = list(seeds)

    def of_seeds(column: str) -> np.ndarray:
        runs = one.panel.runs.pivot(index=["lr", "wd"], columns="seed", values=column)
        return runs.reindex(keys).reindex(columns=columns).to_numpy(object)

    means = {metric: own[[metric, "sd"]].to_numpy(float) for metric, own in found.items()}
    values = {metric: of_seeds(metric) for metric in found}
    states = of_seeds("status")
    rows = []
    for i, cell in enumerate(table.to_dict("records")):
        rows.append(
            {
                "id": name(panel, cell),
                "panel": panel,
                "name": one.panel.name,
                "lr": short(cell["lr"]),
                "wd": short(cell["wd"]),
                "box": {axis: _list(box[i, :2]) for axis, box in boxes.items()},
                "y": _list(boxes["typed"][i, 2:]),
                "at": {axis: _digits(at[i]) for axis, at in places.items() if axis != "typed"},
                "v": {m: _list([means[m][i, 0], *values[m][i]]) for m in found},
                "sd": {m: _digits(means[m][i, 1]) for m in found},
                "n": int(cell["n"]),
                "bound": cell["bound"],
                "status": [cell["status"], *("" if pd.isna(s) else str(s) for s in states[i])],
            }
        )
    return rows


def lines(page: Sequence[Measured]) -> Rows:
    """Return the points that the slopes were fitted to, in every coordinate (a)."""
    rows: Rows = []
    for panel, one in enumerate(page):
        if one.slope.reason:
            continue
        line, surface = one.line, one.surface
        for axis in COORDINATES:
            moved = located(one, axis, np.zeros(len(surface.lr)))
            moved = moved[np.searchsorted(surface.lr, line["lr"])]
            sign = -1 if (axis == "timescale") != (one.settings.axis == "timescale") else 1
            ends = 2.0 ** (sign * np.log2(line[["x", "low", "high"]].to_numpy()) + moved[:, None])
            for lr, place in zip(line["lr"], ends, strict=True):
                there = dict(zip(("x", "low", "high"), _list(place), strict=True))
                rows.append({"panel": panel, "a": axis, "lr": _digits(lr)} | there)
    return rows


def curves(page: Sequence[Measured], points: pd.DataFrame) -> Curves:
    """Return the learning curves of runs, evenly thinned where there are too many points."""
    runs = pd.concat([one.panel.runs.assign(panel=i) for i, one in enumerate(page)])
    points = points[points["id"].isin(runs["id"])].sort_values("step", kind="stable")
    by_run = {str(key): own for key, own in points.groupby("id")}
    shown = [metric for metric in CURVES if points[metric].notna().any()]
    longest = max(map(len, by_run.values()), default=0)
    most = max(10, MOST_POINTS // max(1, len(by_run) * len(shown)))
    places = {seed: place for place, seed in enumerate(seeds(page), 1)}
    grids: dict[tuple[float, ...], int] = {}
    rows: Rows = []
    for run in runs.to_dict("records"):
        if run["id"] not in by_run:
            continue
        own = by_run[run["id"]]
        kept = np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int))
        own = own.iloc[kept]
        values = {m: _list(own[m], CURVE_DIGITS) for m in shown if own[m].notna().any()}
        grid = grids.setdefault(tuple(_list(own["epoch"])), len(grids))
        cell, seed = name(run["panel"], run), places[int(run["seed"])]
        rows.append({"cell": cell, "seed": seed, "e": grid, "c": values})
    return Curves(rows, [list(g) for g in grids], (longest, most) if longest > most else None)


def _digits(value: Any, digits: int = DIGITS) -> Any:
    """Return a number as the page keeps it; None for what is none, or is infinite."""
    finite = value is not None and np.isfinite(float(value))
    return float(f"{float(value):.{digits}g}") if finite else None


def _list(values: Any, digits: int = DIGITS) -> list[Any]:
    return [_digits(value, digits) for value in values]
