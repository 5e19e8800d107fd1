"""A CSV file as a spreadsheet, pandas or a person left it, read where that leaves no doubt.

Read are UTF-8 with or without a byte order mark and UTF-16 with one; commas, semicolons or tabs
between the fields; lines that end in any way. Left out are lines without a value, columns without
name and value, the index that pandas writes, and the head where it occurs again because files were
put one after the other. All else is named with its line.
"""

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UserError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16's, so it is looked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SEPARATORS = ",;\t"
#: What pandas calls a column without a name when it reads one.
UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)?)?")


@dataclass
class CsvFile:
    """What a file holds.

    Attributes:
        path: The file, for errors.
        separator: What stands between its fields.
        names: Of its columns, each once.
        lines: Of the file, on which each row ends, counted from 1.
        rows: The fields of each row as text, in the order of ``names``.
    """

    path: Path
    separator: str
    names: list[str]
    lines: list[int]
    rows: list[list[str]]

    def error(self, row: int, what: str) -> UserError:
        """Return an error to raise because of a row, which is counted from 0."""
        return UserError(f"{self.path}, line {self.lines[row]}: {what}")


def read(path: Path, what: str, column: str) -> CsvFile:
    """Read a file.

    Args:
        path: The file.
        what: What it should be, as errors print it.
        column: One that it must have; the separator is the one that gives it this column.

    Raises:
        UserError: It is no such table, or cannot be read without doubt.
    """
    text = _text(path)
    separator = _separator(text, column)
    if separator is None:
        raise UserError(f"{path} has no column {column!r}, so it is no {what}")
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    found = CsvFile(path, separator, [], [], [])
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if not any(fields) or fields == found.names:
                continue
            if not found.names:
                found.names = fields
                continue
            found.lines.append(reader.line_num)
            found.rows.append(_fitted(fields, found))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None
    return _without_unnamed(found)


def _text(path: Path) -> str:
    """Decode a file."""
    content = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text, end = content.decode(encoding), 0
    except UnicodeDecodeError as error:
        text, end = content[: error.start].decode(encoding, "replace"), error.start
    zero = text.find("\0")
    if not end and zero < 0:
        return text.replace("\ufeff", "")  # also those of files put one after the other
    line = text[: zero if zero >= 0 else None].count("\n") + 1
    raise UserError(f"{path}, line {line}: not text in UTF-8; save it as 'CSV UTF-8'")


def _separator(text: str, column: str) -> str | None:
    head = next((line for line in text.splitlines() if line.strip(SEPARATORS + " ")), "")
    for separator in SEPARATORS:
        names = next(csv.reader([head], delimiter=separator, skipinitialspace=True), [])
        if column in [name.strip() for name in names]:
            return separator
    return None


def _fitted(fields: list[str], file: CsvFile) -> list[str]:
    """Return a row's fields, as many as the head has."""
    count = len(file.names)
    if len(fields) < count or any(fields[count:]):
        message = f"{len(fields)} fields, where the head has {count}"
        if len(fields) > count and file.separator == ",":
            message += "; a number with a comma (0,001) or a text with one needs quotes"
        raise file.error(-1, message)
    return fields[:count]


def _without_unnamed(file: CsvFile) -> CsvFile:
    """Leave out columns without a name that hold nothing or an index; name the others."""
    kept = []
    for place, name in enumerate(file.names):
        if UNNAMED.fullmatch(name):
            values = [row[place] for row in file.rows]
            is_index = all(value.isdigit() for value in values) and len({*values}) == len(values)
            if is_index or not any(values):
                continue
            file.names[place] = name or f"Unnamed: {place}"
        kept.append(place)
    names = [file.names[place] for place in kept]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{file.path} has several columns {twice[0]!r}; keep one of them")
    rows = [[row[place] for place in kept] for row in file.rows]
    return CsvFile(file.path, file.separator, names, file.lines, rows)
