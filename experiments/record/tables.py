"""Tables of runs that are committed: read, merged with what run folders hold, and written.

The runs table is ``results/EXPERIMENT/runs.csv``, one row a run, and the one contract between the
laboratory and its reports. Beside it may lie tables with more rows a run, which join it by ``id``:
learning curves, and what a probe saw. One rule holds for all of them: a committed row wins.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.record import csv_file
from experiments.record.csv_file import CsvFile
from experiments.record.folder import RunFolder, finished_sweeps, run_folders
from experiments.record.schema import COLUMNS, LATER, checked, is_setting

Row = dict[str, str]

NAME = "runs.csv"
#: Rows of runs.csv are sorted by these columns, whatever order the runs ended in.
ORDER = (
    *("figure", "task", "model", "optim", "schedule", "decay", "no_decay", "epochs", "lr", "wd"),
)
NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?")
NOT_FINITE = {"nan", "inf", "-inf"}
#: What a spreadsheet makes of an identity that looks like a number.
SPOILT = re.compile(r"[0-9]([.,][0-9]+)?E\+[0-9]+")


@dataclass(frozen=True)
class Kind:
    """What a file of a kind of table has.

    Attributes:
        what: A reader's name for it, as errors print it.
        columns: What it must have.
        numbers: Columns that hold numbers or nothing, with the type of the numbers.
        key: Columns that tell a row from every other.
    """

    what: str
    columns: Sequence[str]
    numbers: Mapping[str, type]
    key: Sequence[str]


TYPES = {"Float64": float, "Int64": int}
RUNS = Kind(
    what="runs table",
    columns=("id",),
    numbers={name: TYPES[dtype] for name, (dtype, _) in COLUMNS.items() if dtype in TYPES},
    key=("id",),
)


@dataclass
class Gathered:
    """What the run folders of an experiment hold: rows as written, and what gave none."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    unfinished: int = 0
    corrupt: list[str] = field(default_factory=list)


def file(results_dir: str | Path, experiment: str) -> Path:
    """Return where the committed runs table of an experiment is, or would be."""
    return Path(results_dir) / experiment / NAME


def read(path: Path, kind: Kind = RUNS) -> list[Row]:
    """Read a committed table as text, so that it can be written back unchanged; [] if none.

    Numbers with a decimal comma are read where nothing but a decimal comma can be meant: where
    commas do not separate fields, and no number of the file has a point.

    Raises:
        UserError: The file is no such table; or a line cannot be read without doubt, or holds the
            run of another line with other values.
    """
    if not path.exists():
        return []
    found = csv_file.read(path, kind.what, kind.key[0])
    if missing := [name for name in kind.columns if name not in found.names]:
        raise UserError(f"{path} has no column {missing[0]!r}, so it is no {kind.what}")
    _clean(found, kind)
    rows: dict[tuple[str, ...], Row] = {}
    for number, fields in enumerate(found.rows):
        row = dict(zip(found.names, fields, strict=True))
        key = tuple(row[name] for name in kind.key)
        if not all(key):
            raise found.error(number, f"no {kind.key[key.index('')]}")
        if SPOILT.fullmatch(row["id"]):
            message = f"id={row['id']!r} is what a spreadsheet made of it; take the original's"
            raise found.error(number, message)
        if rows.setdefault(key, row) != row:
            told = " ".join(f"{name}={value}" for name, value in zip(kind.key, key, strict=True))
            raise found.error(number, f"{told} has another row with other values; keep one of them")
    return list(rows.values())


def _clean(found: CsvFile, kind: Kind) -> None:
    """Write numbers and truth values one way; name a number that is none.

    It looks at each value of a column once, since most occur in many rows.
    """
    columns = zip(*found.rows, strict=True)
    values = {name: {*column} for name, column in zip(found.names, columns, strict=False)}
    settings = [name for name in values if is_setting(name)]
    numeric = [name for name in values if name in kind.numbers]
    numeric += [n for n in settings if all(NUMBER.fullmatch(value or "0") for value in values[n])]
    with_comma = _decimal_commas(found, {name: values[name] for name in numeric})
    for place, name in enumerate(found.names):
        written = {value: value for value in values.get(name, ())}
        if name in with_comma:
            written = {value: value.replace(",", ".") for value in written}
        if name in settings:
            written |= {word: word.capitalize() for word in ("TRUE", "FALSE") if word in written}
        if name in kind.numbers:
            for value, cleaned in written.items():
                try:
                    written[value] = _number(cleaned, kind.numbers[name])
                except ValueError as error:
                    raise _first(found, {name: {value}}, f"is {error}") from None
        if any(value != cleaned for value, cleaned in written.items()):
            for row in found.rows:
                row[place] = written[row[place]]


def _decimal_commas(found: CsvFile, numeric: Mapping[str, set[str]]) -> set[str]:
    """Return the names of the columns whose numbers have a decimal comma.

    Raises:
        UserError: It is in doubt what a comma means.
    """
    numbers = {name: {v for v in values if NUMBER.fullmatch(v)} for name, values in numeric.items()}
    marked = {
        mark: {name: {v for v in values if mark in v} for name, values in numbers.items()}
        for mark in ",."
    }
    has_comma, has_point = (any(marked[mark].values()) for mark in ",.")
    if has_comma and (has_point or found.separator == ","):
        raise _first(found, marked[","], "has a comma; write all numbers with a decimal point")
    return {name for name, values in marked[","].items() if values}


def _first(found: CsvFile, values: Mapping[str, set[str]], what: str) -> UserError:
    """Return an error that names the first place where a column has one of some values."""
    for number, row in enumerate(found.rows):
        for name, value in zip(found.names, row, strict=True):
            if value in values.get(name, ()):
                return found.error(number, f"{name}={value!r} {what}")
    raise LookupError(values)


def _number(value: str, kind: type) -> str:
    """Return a number as text.

    Raises:
        ValueError: It is none, or not of the kind; the message ends a sentence.
    """
    if not value or value.lower() in NOT_FINITE:
        return value
    if not NUMBER.fullmatch(value) or "," in value:
        raise ValueError("not a number")
    if kind is float or value.isdecimal():
        return value
    if not float(value).is_integer():
        raise ValueError("not a whole number")
    return str(int(float(value)))


def merge(
    committed: Iterable[Row], new: Iterable[Mapping[str, Any]], kind: Kind = RUNS
) -> list[Row]:
    """Join two lists of rows: a committed row wins, and none is lost or changed.

    A run that is run again for a probe keeps its committed row, which then names the probe.

    Rows of the runs table come out in the order of their settings; those of other tables by run
    and step, where rows of one step keep their order.
    """
    rows = {tuple(row[name] for name in kind.key): row for row in committed}
    for values in new:
        row = {name: text(value) for name, value in values.items()}
        kept = rows.setdefault(tuple(row[name] for name in kind.key), row)
        if row.get("probe") and not kept.get("probe"):
            rows[tuple(row[name] for name in kind.key)] = kept | {"probe": row["probe"]}
    if kind is not RUNS:
        return sorted(rows.values(), key=lambda row: (row["id"], float(row["step"])))
    settings = {name for row in rows.values() for name in row if is_setting(name)}
    names = [*ORDER, *sorted(settings - set(ORDER)), "seed", "id"]
    return sorted(rows.values(), key=lambda row: [_natural(row.get(name, "")) for name in names])


def _natural(value: str) -> tuple[int, float, str]:
    if not value:
        return -1, 0.0, ""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def text(value: Any) -> str:
    """Return a value as a table holds it: floats in shortest round-trip form, nothing as ''."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def render(rows: Sequence[Mapping[str, str]], kind: Kind = RUNS) -> str:
    """Return rows as CSV text: the columns of the kind in its order, then others by name."""
    there = {name for row in rows for name, value in row.items() if value}
    columns = list(kind.columns)
    if kind is RUNS:
        columns = [name for name in COLUMNS if name in there or name not in LATER]
    extra = sorted({name for row in rows for name in row} - {*columns, *LATER})
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, [*columns, *extra], restval="", extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def gather(sweep: Path) -> Gathered:
    """Read the result of every run folder of an experiment, while it may still be running.

    A run folder without a result is unfinished (running, or killed). One whose result is no JSON,
    lacks a column or holds a wrong type is corrupt: it is named, with the reason, and left out.
    """
    found = Gathered()
    for run in run_folders(sweep):
        try:
            row = run.row()
        except ValueError as error:
            found.corrupt.append(f"{run.path.name} ({error})")
            continue
        if row is not None:
            found.rows.append(row)
        else:
            found.unfinished += run.is_begun()
    return found


def gather_lines(sweep: Path, lines: Callable[[RunFolder, str], list[Row]]) -> Gathered:
    """Read a table with several rows a run from the run folders of an experiment, likewise.

    Only runs that have ended are read. One whose result is damaged is left to :func:`gather` to
    name; one whose table is damaged is named and left out.

    Args:
        sweep: The folder of the experiment.
        lines: Returns the rows of a run, given its folder and identity, or raises what a damaged
            file raises.
    """
    found = Gathered()
    for run in run_folders(sweep):
        try:
            row = run.row()
        except ValueError:
            continue
        if row is None:
            continue
        try:
            found.rows += lines(run, row["id"])
        except (ValueError, TypeError, KeyError, OSError) as error:
            found.corrupt.append(f"{run.path.name} ({str(error).splitlines()[0]})")
    return found


def adopt(rows: Iterable[Mapping[str, Any]]) -> Gathered:
    """Check rows that come from elsewhere as those of run folders are; name those that fail."""
    found = Gathered()
    for row in rows:
        try:
            found.rows.append(checked(row))
        except ValueError as error:
            found.corrupt.append(f"{row.get('id')} ({error})")
    return found


def committed(results_dir: str | Path, experiment: str) -> dict[str, Row]:
    """Return the committed rows of an experiment by their identity."""
    return {row["id"]: row for row in read(file(results_dir, experiment))}


def known(experiment: str, runs_dir: Path, results_dir: Path) -> list[Row]:
    """Return the committed rows of an experiment with those of its run folders."""
    return merge(read(file(results_dir, experiment)), gather(runs_dir / experiment).rows)


def experiments(runs_dir: Path, results_dir: Path) -> list[str]:
    """Name the experiments that have at least one run, in folders or in a committed table."""
    there = {path.parent.name for path in results_dir.glob(f"*/{NAME}")}
    return sorted(there | {path.name for path in finished_sweeps(runs_dir)})
