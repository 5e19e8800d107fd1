"""The probe's table of an experiment: gathered from run folders, kept as probe.csv, typed."""

import json
from pathlib import Path

import pandas as pd

from experiments.errors import UserError
from experiments.probe_table import COLUMNS

KEY = ["id", "step", "layer"]
TEXT = ("id", "layer", "sample_r", "sample_root_v")


def gather(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read ``folder/*/probe.jsonl`` of every run that has ended, while others may go on.

    Returns:
        The rows as text, and the folders whose table is damaged, each with the reason.
    """
    rows, corrupt = [], []
    for file in sorted(folder.glob("*/probe.jsonl")):
        try:
            name = {"id": str(json.loads((file.parent / "result.json").read_text())["id"])}
            found = [name | json.loads(line) for line in file.read_text().splitlines()]
            rows += [{key: _text(row[key]) for key in COLUMNS} for row in found]
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError) as error:
            corrupt.append(f"{file.parent.name} ({str(error).splitlines()[0]})")
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=str), corrupt


def _text(value: object) -> str:
    return "" if value is None else str(value)


def read(path: Path) -> pd.DataFrame:
    """Read a committed probe.csv as text; an empty table when there is none.

    Raises:
        UserError: The file is no probe's table.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{path}: {error}") from None
    if missing := [name for name in COLUMNS if name not in rows]:
        raise UserError(f"{path} has no column {missing[0]!r}, so it is no probe's table")
    return rows


def merge(committed: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Join two tables by run, step and layer: a committed row wins; layers keep their order."""
    rows = pd.concat([committed, new], ignore_index=True).drop_duplicates(KEY, keep="first")
    order = pd.DataFrame({"id": rows["id"], "step": pd.to_numeric(rows["step"])})
    return rows.loc[order.sort_values(["id", "step"], kind="stable").index].reset_index(drop=True)


def frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of text as numbers, NaN where there is none.

    Raises:
        UserError: A number is none.
    """
    typed = rows.copy()
    for name in set(COLUMNS) - set(TEXT):
        try:
            typed[name] = pd.to_numeric(rows[name].replace("", None)).astype("float64")
        except (ValueError, TypeError) as error:
            raise UserError(f"probe's table: {name}: {str(error).splitlines()[0]}") from None
    return typed


def joined(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add to each typed row what its run is: task, optim, lr, wd and seed.

    Args:
        rows: From :func:`frame`.
        runs: The typed runs table; runs that are not in it lose their rows.
    """
    return rows.merge(runs[["id", "task", "optim", "lr", "wd", "seed"]], on="id")
