"""The probe's table of an experiment: gathered from run folders, kept as probe.csv, typed."""

import json
from pathlib import Path

import pandas as pd

from experiments.probe.table import COLUMNS
from experiments.report.data import side_table

WHAT = "probe's table"
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
    return side_table.read(path, list(COLUMNS), WHAT)


def merge(committed: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Join two tables by run, step and layer: a committed row wins; layers keep their order."""
    return side_table.merge(committed, new, ["id", "step", "layer"])


def frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of text as numbers, NaN where there is none.

    Raises:
        UserError: A number is none.
    """
    return rows.assign(**side_table.numbers(rows, set(COLUMNS) - set(TEXT), WHAT))


def joined(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add to each typed row what its run is: task, optim, lr, wd and seed.

    Args:
        rows: From :func:`frame`.
        runs: The typed runs table; runs that are not in it lose their rows.
    """
    return rows.merge(runs[["id", "task", "optim", "lr", "wd", "seed"]], on="id")
