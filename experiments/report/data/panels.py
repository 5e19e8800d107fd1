"""Cells: the runs of one setting averaged over seeds, grouped in panels of one protocol each."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from experiments.errors import UserError
from experiments.record.schema import COLUMNS, DIVERGED, FINISHED, is_setting
from experiments.report.data import coordinates, names

#: What is held fixed within a panel; any further setting joins them.
PROTOCOL = (
    *("task", "model", "optim", "convention", "schedule", "decay", "no_decay", "epochs"),
    *("batch_size", "train_size"),
)
MISSING = "missing"
METRICS = [name for name in COLUMNS if name.endswith(("_error", "_loss"))]
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Panel:
    """One optimizer under one protocol.

    Attributes:
        key: The optimizer, and whatever else tells the panels of the table apart.
        runs: One row a run, planned ones that are missing among them.
        cells: One row a cell, see ``average``.
        name: What tells it from the other panels of its figure, as a title prints it.
    """

    key: dict[str, Any]
    runs: pd.DataFrame
    cells: pd.DataFrame
    name: str

    @property
    def optim(self) -> str:
        return str(self.key["optim"])

    def setting(self, column: str) -> Any:
        """Return what its runs have in a column in which they do not differ."""
        return self.runs[column].iloc[0]

    def named(self, column: str) -> str:
        """Return such a setting as a title prints it."""
        return names.setting(column, self.setting(column), self.runs.iloc[0])

    @property
    def grid(self) -> "Panel":
        """The panel without rates between those of the grid: there cells are chosen evenly."""
        cells = self.cells[~between(self.cells)]
        return replace(self, runs=self.runs[self.runs["lr"].isin(cells["lr"])], cells=cells)

    @property
    def done(self) -> int:
        """How many of its runs have ended, diverged ones among them."""
        return int((self.runs["status"] != MISSING).sum())

    @property
    def figure(self) -> str:
        """The figure it belongs to; '' when the table names none."""
        return str(self.key.get("figure", ""))


def panels(
    runs: pd.DataFrame, value: str, planned: Sequence[Mapping[str, object]] | None = None
) -> list[Panel]:
    """Split a runs table into panels within which only lr, wd and the seed differ.

    Args:
        runs: Typed runs table of one experiment.
        value: The metric, e.g. ``test_error``; its unit is the panel's unit.
        planned: The cells of the preset, to count those that are still missing.

    Returns:
        Panels in the order of ``names``; the key of each holds ``optim`` and whatever varies.

    Raises:
        UserError: ``value`` is no metric, or no run has it, or a run occurs twice, or runs of one
            task were trained on different data.
    """
    if value not in METRICS:
        raise UserError(f"metric={value} is not one of {', '.join(METRICS)}")
    finished = runs[runs["status"] != DIVERGED]
    if len(finished) and finished[value].isna().all():
        raise UserError(f"metric={value} is empty in every run of this experiment")
    _refuse_mixed_data(runs)
    runs = pd.concat([runs, missing_runs(runs, planned or [])], ignore_index=True)
    by = split_by(runs)
    groups = runs.groupby(by, dropna=False, sort=False)
    split = [(dict(zip(by, key, strict=True)), group) for key, group in groups]
    split.sort(key=lambda pair: names.order(pair[0]))
    keys = [key for key, _ in split]
    return [
        Panel(key, rows, average(rows, value), _name(key, keys, rows.iloc[0]))
        for key, rows in split
    ]


def split_by(runs: pd.DataFrame) -> list[str]:
    """Return the columns that tell the panels of a table apart: optimizer, and what else varies."""
    settings = [*PROTOCOL, *sorted(filter(is_setting, map(str, runs)))]
    varying = [name for name in settings if runs[name].nunique(dropna=False) > 1]
    return list(dict.fromkeys(["optim", *varying]))


def _refuse_mixed_data(runs: pd.DataFrame) -> None:
    for task, data in runs["data"].fillna("").groupby(runs["task"]):
        if data.nunique() > 1:
            known = ", ".join(value or "those of the committed results" for value in data.unique())
            raise UserError(
                f"the runs of task={task} were trained on different data (fingerprints: {known}); "
                "keep each in a table of its own, with results_dir=PATH or name=NAME"
            )


def _name(key: dict[str, Any], keys: list[dict[str, Any]], run: pd.Series) -> str:
    """Name the optimizer and each setting that the settings before it do not determine."""
    rivals = [other for other in keys if other.get("figure") == key.get("figure")]
    shown: list[str] = ["optim"]
    for name in key:
        alike = grouped(rivals, lambda rival: tuple(str(rival[k]) for k in shown))
        if any(len({str(one[name]) for one in some}) > 1 for some in alike.values()):
            shown.append(name)
    return ", ".join(
        [names.label(str(key["optim"]))] + [names.setting(n, key[n], run) for n in shown[1:]]
    )


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Group things by a key, in the order in which each is first seen."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def average(runs: pd.DataFrame, value: str) -> pd.DataFrame:
    """Average ``value`` over the seeds of each (lr, wd) cell.

    Returns:
        One row a cell: lr, wd; ``value``, the mean over finished seeds, and ``sd`` over them
        (n - 1); tie, the mean loss on the same split, which ranks cells of equal error; n
        (finished), diverged and missing (seeds); bound ('' | high | low); status (finished |
        partial: some seeds diverged | diverged | missing | hidden: a run without this number); and
        weight_decay, eta_sum, steps, epochs, convention of the cell.

    Raises:
        UserError: Two runs share one (lr, wd, seed).
    """
    twice = runs.duplicated(["lr", "wd", "seed"])
    if twice.any():
        row = runs[twice].iloc[0]
        where = f"optim={row.optim} lr={row.lr:g} wd={row.wd:g} seed={row.seed:g}"
        raise UserError(f"several runs share {where}, and no column of the table tells them apart")
    parts = runs.assign(
        _bad=runs["status"] == DIVERGED,
        _gone=runs["status"] == MISSING,
        _value=runs[value].where(runs["status"] != DIVERGED),
    ).groupby(["lr", "wd"], sort=True)
    constant = ["weight_decay", "eta_sum", "steps", "epochs", "convention"]
    cells = parts[constant].first()
    cells[value] = parts["_value"].mean()
    cells["sd"] = parts["_value"].std(ddof=1)
    cells["tie"] = parts[value.replace("_error", "_loss")].mean()
    cells["n"] = parts["_value"].count()
    cells["diverged"] = parts["_bad"].sum()
    cells["missing"] = parts["_gone"].sum()
    cells["bound"] = parts["clipped"].max().fillna("").astype(str)
    cells["status"] = np.select(
        [
            (cells.diverged > 0) & (cells.n + cells.missing > 0),
            cells.diverged > 0,
            cells.n > 0,
            cells.missing > 0,
        ],
        ["partial", DIVERGED, "finished", MISSING],
        "hidden",
    )
    return cells.reset_index()


def seed_table(panel: Panel, value: str) -> np.ndarray:
    """Return ``value`` of the finished runs of each cell, shape (cells, seeds).

    A column is a seed, in ascending order; NaN where a cell has no such run.
    """
    runs = panel.runs[(panel.runs["status"] == FINISHED) & panel.runs[value].notna()]
    table = runs.pivot(index=["lr", "wd"], columns="seed", values=value)
    return table.reindex(pd.MultiIndex.from_frame(panel.cells[["lr", "wd"]])).to_numpy(float)


def seeds(panels: Iterable[Panel]) -> str:
    """Say how many seeds the cells of panels have, such as '3 seeds' or '1 to 3 seeds'."""
    return counted(n for one in panels for n in one.cells["n"] if n > 0)


def counted(seeds: Iterable[int]) -> str:
    """Say numbers of seeds: the only one, or the lowest and the highest."""
    counts = sorted(seeds) or [0]
    low, high = counts[0], counts[-1]
    return f"{low} to {high} seeds" if low < high else f"{low} seed" + "s" * (low != 1)


def ranked(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """Sort the cells that can be best, the lowest first; among equal errors the lower loss.

    A cell that is only a bound, or of which a seed diverged, is not among them.
    """
    usable = cells[(cells["status"] == "finished") & (cells["bound"] == "")]
    return usable.sort_values([value, "tie", "lr", "wd"], kind="stable")


def between(cells: pd.DataFrame) -> pd.Series:
    """Say of each cell whether its lr stands between those of the grid.

    Such a rate has fewer than half as many decays as others: it is there for the slope of a ridge.
    """
    decays = cells.groupby("lr")["wd"].transform("size")
    return 2 * decays < decays.max()


def best_cell(cells: pd.DataFrame, value: str) -> pd.Series | None:
    """Return the first of the ``ranked`` cells, if there is one."""
    order = ranked(cells, value)
    return order.iloc[0] if len(order) else None


def missing_runs(runs: pd.DataFrame, planned: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return a row of status ``missing`` for every planned run that the table does not hold.

    What a plan leaves unsaid is taken from the runs that are most like the missing one: of the same
    planned settings; else, for a setting of a group (``schedule.factor``), of the same entry of it;
    else of the same optimizer, or of all; and only if these agree on it. The convention of an
    optimizer without runs is that of its name.
    """
    said = [name for name in dict.fromkeys(k for cell in planned for k in cell) if name in runs]
    done = {tuple(map(_exact, row)) for row in runs[said].itertuples(index=False)}
    absent = [cell for cell in planned if tuple(_exact(cell.get(k)) for k in said) not in done]
    if not absent:
        return runs.iloc[:0]
    rows = pd.DataFrame([{name: cell.get(name) for name in said} for cell in absent])
    rows = rows.reindex(columns=runs.columns)
    for name in ("optim", "seed", "lr", "wd"):
        stated = rows[name].astype(runs[name].dtype)
        rows[name] = stated.where(stated.notna(), _only(runs[name]))
    measured = (*METRICS, "id", "seconds", "date", "clipped", "weight_decay")
    unsaid = [str(name) for name in runs if name not in (*said, *measured, "optim")]
    scale = (runs["weight_decay"] / runs["wd"]).where(runs["wd"] > 0).round(12)
    known = runs[unsaid].assign(scale=scale)
    family = list(dict.fromkeys(["optim", *(n for n in said if n not in ("seed", "lr", "wd"))]))
    keys, planned_keys = runs[family].map(_exact), rows[family].map(_exact)
    filled = []
    for _, group in planned_keys.groupby(family, sort=False):
        alike = keys == group.iloc[0]
        values = {name: _only(_nearest(known[name], alike)) for name in known}
        if not alike["optim"].any():
            values["convention"] = coordinates.convention_of(group["optim"].iloc[0])
        filled.append(pd.DataFrame(values, index=group.index, dtype=object))
    taken = pd.concat(filled)
    rows[unsaid] = taken[unsaid]
    rows["weight_decay"] = rows["wd"] * taken["scale"].astype("float64").fillna(1.0)
    rows = rows.astype(runs.dtypes.to_dict()).assign(status=MISSING, clipped="")
    words = [name for name in rows if rows[name].dtype == "string"]
    return rows.fillna(dict.fromkeys(words, ""))


def _nearest(column: pd.Series, alike: pd.DataFrame) -> pd.Series:
    """Return the column's values at the runs that are most similar to a planned one."""
    group = str(column.name).split(".")[0]
    orders = [alike.all(axis=1), alike.get(group), alike["optim"]]
    return next((column[at] for at in orders if at is not None and at.any()), column)


def _only(column: pd.Series) -> Any:
    values = column.dropna().unique()
    return values[0] if len(values) == 1 else None


def _exact(value: Any) -> str:
    if pd.isna(value):
        return ""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{value:.10g}" if number else str(value)
