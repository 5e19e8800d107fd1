"""Rows of text, as committed tables hold them, as data frames with types."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from experiments.errors import UserError
from experiments.record.identity import ADDED_LATER
from experiments.record.schema import COLUMNS, is_setting
from experiments.record.tables import Kind, text


def frame(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Return rows of the runs table: the columns of the schema, then the others by name.

    A setting is numeric when all of its values are; a column that is none stays text.

    Raises:
        UserError: A number is none.
    """
    others = sorted({name for row in rows for name in row} - set(COLUMNS))
    table = pd.DataFrame(list(rows)).reindex(columns=[*COLUMNS, *others])
    for name in map(str, table):
        column = table[name].replace("", None)
        if name in ADDED_LATER:  # a run from before there was this key has its old value
            column = column.fillna(text(ADDED_LATER[name]))
        is_text = COLUMNS[name][0] == "string" if name in COLUMNS else not is_setting(name)
        if not is_text:
            try:
                table[name] = column.astype("float64")
                continue
            except (ValueError, TypeError) as error:
                if name in COLUMNS:
                    raise UserError(f"runs table: {name}: {str(error).splitlines()[0]}") from None
        table[name] = column.astype("string").fillna("")
    return table


def side_frame(rows: Sequence[Mapping[str, str]] | pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return rows of a table beside the runs table: the columns of its kind, NaN for no number.

    Raises:
        UserError: A number is none.
    """
    table = pd.DataFrame(rows, columns=list(kind.columns), dtype=object)
    return table.assign(**dict(_numbers(table, kind)))


def _numbers(table: pd.DataFrame, kind: Kind) -> Iterable[tuple[str, pd.Series]]:
    for name in map(str, table):
        if name not in kind.numbers:
            yield name, table[name].astype("string").fillna("")
            continue
        try:
            yield name, table[name].replace("", None).astype("float64")
        except (ValueError, TypeError) as error:
            raise UserError(f"{kind.what}: {name}: {str(error).splitlines()[0]}") from None
