"""A table that joins runs.csv by ``id`` and has a row a step: read, merged, made numbers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from experiments.errors import UserError


def read(path: Path, columns: Sequence[str], what: str) -> pd.DataFrame:
    """Read a committed table as text; an empty one when there is none.

    Args:
        path: The file.
        columns: What it must have.
        what: A reader's name for such a table, as errors print it.

    Raises:
        UserError: The file is no such table.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(columns), dtype=str)
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{path}: {error}") from None
    if missing := [name for name in columns if name not in rows]:
        raise UserError(f"{path} has no column {missing[0]!r}, so it is no {what}")
    return rows


def merge(committed: pd.DataFrame, new: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Join two tables by ``key``: a committed row wins, and none is lost or changed.

    Rows are sorted by run and step; those of one step keep their order.
    """
    rows = pd.concat([committed, new], ignore_index=True).fillna("")
    rows = rows.drop_duplicates(list(key), keep="first")
    order = pd.DataFrame({"id": rows["id"], "step": pd.to_numeric(rows["step"])})
    return rows.loc[order.sort_values(["id", "step"], kind="stable").index].reset_index(drop=True)


def render(rows: pd.DataFrame) -> str:
    """Return a table as CSV text."""
    return rows.to_csv(index=False, lineterminator="\n")


def numbers(rows: pd.DataFrame, names: Iterable[str], what: str) -> dict[str, pd.Series]:
    """Return columns of text as numbers, NaN where there is none.

    Raises:
        UserError: One holds something else.
    """
    typed = {}
    for name in names:
        try:
            typed[name] = pd.to_numeric(rows[name].replace("", None)).astype("float64")
        except (ValueError, TypeError) as error:
            raise UserError(f"{what}: {name}: {str(error).splitlines()[0]}") from None
    return typed
