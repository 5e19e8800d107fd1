"""The runs of one experiment: gathered from run folders, merged with the committed table, kept."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import UserError
from experiments.record.files import write_atomically
from experiments.record.identity import ADDED_LATER
from experiments.record.schema import COLUMNS, DIVERGED, FINISHED, complete

Row = dict[str, str]

#: Rows of runs.csv are sorted by these columns, whatever order the runs ended in.
ORDER = (
    *("figure", "task", "model", "optim", "schedule", "decay", "no_decay", "epochs", "lr", "wd"),
)


@dataclass
class Gathered:
    """What the run folders of an experiment hold: rows as written, and what gave none."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    unfinished: int = 0
    corrupt: list[str] = field(default_factory=list)


def gather(folder: Path) -> Gathered:
    """Read ``folder/*/result.json``, one row each, while a sweep may still be writing there.

    A run folder without a result is unfinished (running, or killed). One whose result is no JSON,
    lacks a column or holds a wrong type is corrupt: it is named, with the reason, and left out.
    """
    found = Gathered()
    for run in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not run.is_dir() or run.name.startswith("."):
            continue
        try:
            found.rows.append(_checked(json.loads((run / "result.json").read_text())))
        except FileNotFoundError:
            found.unfinished += (run / "config.yaml").exists()
        except (ValueError, TypeError, OSError) as error:
            found.corrupt.append(f"{run.name} ({str(error).splitlines()[0]})")
    return found


def adopt(rows: Iterable[Mapping[str, Any]]) -> Gathered:
    """Check rows that come from elsewhere as those of run folders are; name those that fail."""
    found = Gathered()
    for row in rows:
        try:
            found.rows.append(_checked(row))
        except (ValueError, TypeError) as error:
            found.corrupt.append(f"{row.get('id')} ({str(error).splitlines()[0]})")
    return found


def _checked(values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError("result.json is not a JSON object")
    row = complete(values)
    if row["status"] not in (FINISHED, DIVERGED):
        raise ValueError(f"status is {row['status']!r}, not {FINISHED} or {DIVERGED}")
    for name, (dtype, _) in COLUMNS.items():
        if dtype != "string" and row[name] is not None:
            row[name] = int(row[name]) if dtype == "Int64" else float(row[name])
    empty = [name for name in ("id", "optim", "lr", "wd", "seed") if row[name] is None]
    if empty:
        raise ValueError(f"row has no value for {empty}")
    return row


def text(value: Any) -> str:
    """Return a value as runs.csv holds it: floats in shortest round-trip form, nothing as ''."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def read(path: Path) -> list[Row]:
    """Read a committed runs.csv as text, so that it can be written back unchanged.

    Raises:
        UserError: The file is no runs table, or a line has another number of fields than the head.
    """
    if not path.exists():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            head, rows = reader.fieldnames or [], list(reader)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: {error}") from None
    if "id" not in head:
        raise UserError(f"{path} has no column 'id', so it is not a runs table")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise UserError(f"{path}, row {number}: its number of fields differs from the head's")
    return rows


def merge(committed: list[Row], new: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Join two lists of rows by ``id``: a committed row wins, and no row is lost or changed."""
    rows = {row["id"]: row for row in committed}
    for row in new:
        rows.setdefault(str(row["id"]), {name: text(value) for name, value in row.items()})
    names = [*ORDER, *sorted(set(_extra(rows.values())) - set(ORDER)), "seed", "id"]
    return sorted(rows.values(), key=lambda row: [_natural(row.get(name, "")) for name in names])


def known(experiment: str, runs_dir: Path, results_dir: Path) -> list[Row]:
    """Return the committed rows of an experiment with those of its run folders."""
    committed = read(results_dir / experiment / "runs.csv")
    return merge(committed, gather(runs_dir / experiment).rows)


def _natural(value: str) -> tuple[int, float, str]:
    if not value:
        return -1, 0.0, ""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def render(rows: list[Mapping[str, str]]) -> str:
    """Return rows as CSV text: the schema's columns in its order, then extra keys by name."""
    extra = sorted({name for row in rows for name in row} - set(COLUMNS))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*COLUMNS, *extra], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def write(path: Path, content: str | bytes) -> None:
    """Replace ``path`` in one step; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode() if isinstance(content, str) else content)


def frame(rows: list[Mapping[str, str]]) -> pd.DataFrame:
    """Return rows of text as a typed frame; an extra column is numeric when all of it is."""
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS) + _extra(rows))
    for name in table:
        column = table[name].replace("", None)
        if name in ADDED_LATER:  # runs at the value of old do not name it
            column = column.fillna(text(ADDED_LATER[name]))
        if COLUMNS.get(name, ("Float64",))[0] == "string":
            table[name] = column.astype("string").fillna("")
            continue
        try:
            table[name] = pd.to_numeric(column).astype("float64")
        except (ValueError, TypeError):
            if name in COLUMNS:
                bad = next(value for value in column.dropna() if _natural(value)[0])
                raise UserError(f"runs table: {name}={bad!r} is not a number") from None
            table[name] = column.astype("string").fillna("")
    return table


def _extra(rows: Iterable[Mapping[str, str]]) -> list[str]:
    return sorted({name for row in rows for name in row} - set(COLUMNS))


def experiments(runs_dir: Path, results_dir: Path) -> list[str]:
    """Name the experiments that have at least one run, in folders or in a committed table."""
    names = {path.parent.parent.name for path in runs_dir.glob("*/*/result.json")}
    return sorted(names | {path.parent.name for path in results_dir.glob("*/runs.csv")})
