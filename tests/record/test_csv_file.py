"""Tables as spreadsheets and pandas leave them: read without doubt, or refused in one line."""

import io

import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.probe.table import COLUMNS as PROBE_COLUMNS
from experiments.record import tables
from experiments.report.data import curves, probes
from experiments.report.data.frames import frame
from experiments.report.data.panels import panels
from tests.report.report_data import run

ROWS = [run(lr=lr, seed=seed, **{"task.flip": True, "warmup_epochs": 0.5})
        for lr in (0.001, 0.25) for seed in (0, 1)]  # fmt: skip
WRITTEN = tables.merge([], ROWS)
TEXT = tables.render(WRITTEN)


def as_pandas(index=False, **options):
    buffer = io.StringIO()
    pd.read_csv(io.StringIO(TEXT)).to_csv(buffer, index=index, **options)
    return buffer.getvalue()


def german(text):
    """As a spreadsheet saves it where numbers have a decimal comma."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    return table.map(decimal_comma).to_csv(index=False, sep=";", lineterminator="\r\n")


def decimal_comma(value):
    is_number = tables.NUMBER.fullmatch(value) is not None
    return value.replace(".", ",") if is_number else value.replace("True", "TRUE")


def with_commas(text, count):
    return "".join(line + "," * count + "\n" for line in text.splitlines())


SAME = {
    "a byte order mark": TEXT.encode("utf-8-sig"),
    "UTF-16 with tabs, as Excel's Unicode text": TEXT.replace(",", "\t").encode("utf-16"),
    "CRLF": TEXT.replace("\n", "\r\n").encode(),
    "CR": TEXT.replace("\n", "\r").encode(),
    "semicolons": TEXT.replace(",", ";").encode(),
    "semicolons and decimal commas": german(TEXT).encode("utf-8-sig"),
    "rows of bare commas": (TEXT + "," * 40 + "\n" + "," * 50 + "\n").encode(),
    "blank lines": ("\n" + TEXT.replace("\n", "\n\n") + "\n \n").encode(),
    "empty columns at the end": with_commas(TEXT, 3).encode(),
    "empty fields beyond the head": "\n".join(
        line + ",," * (number > 0) for number, line in enumerate(TEXT.splitlines())
    ).encode(),
    "an index without a name": as_pandas(index=True).encode(),
    "an index that was read and written again": as_pandas(index=True)
    .replace(",id", "Unnamed: 0,id", 1)
    .encode(),
    "a head and rows that occur twice": (TEXT + TEXT).encode(),
    "blanks after the commas": TEXT.replace(",", ", ").encode(),
    "TRUE, as spreadsheets write it": TEXT.replace("True", "TRUE").encode(),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_what_can_mean_one_thing_only_is_read_as_that(tmp_path, content):
    (tmp_path / "runs.csv").write_bytes(content)
    rows = tables.read(tmp_path / "runs.csv")
    assert rows == [{name: row.get(name, "") for name in rows[0]} for row in WRITTEN]
    assert tables.render(tables.merge(rows, ROWS)) == TEXT


def test_a_table_that_pandas_wrote_is_the_same_in_numbers(tmp_path):
    (tmp_path / "runs.csv").write_text(as_pandas(index=True))
    pd.testing.assert_frame_equal(frame(tables.read(tmp_path / "runs.csv")), frame(WRITTEN))


def test_whole_numbers_that_pandas_made_fractions_are_whole_again(tmp_path):
    (tmp_path / "runs.csv").write_text("id,seed,threads\na,1.0,\nb,2.0,4.0\n")
    rows = tables.read(tmp_path / "runs.csv")
    assert [(row["seed"], row["threads"]) for row in rows] == [("1", ""), ("2", "4")]


def changed(column, value, row=0):
    """The table with another value in one place, quoted if need be."""
    rows = [dict(one) for one in WRITTEN]
    rows[row][column] = value
    return tables.render(rows).encode()


REFUSED = {
    "a byte of cp1252": (changed("device", "Prozessor \xe9").decode().encode("cp1252"),
                         "line 2: not text in UTF-8; save it as 'CSV UTF-8'"),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "line 1: not text in UTF-8"),
    "a decimal comma": (changed("lr", "0,25", row=2), "line 4: lr='0,25' has a comma; write"),
    "thousands, or decimals": (b'id,lr\na,"1,234"\n', "line 2: lr='1,234' has a comma"),
    "decimal commas without quotes": (
        TEXT.replace("0.25", "0,25").encode(), "line 4: 37 fields, where the head has 35; a number"
    ),
    "commas and points": (
        TEXT.replace(",", ";").replace("0.25", "0,25").encode(), "line 4: lr='0,25' has a comma"
    ),
    "a word for a number": (changed("lr", "fast", row=1), "line 3: lr='fast' is not a number"),
    "digits that Python takes": (changed("steps", "1_000"), "steps='1_000' is not a number"),
    "half a step": (changed("steps", "1000.5"), "steps='1000.5' is not a whole number"),
    "a line that was cut": (TEXT[:-60].encode(), "line 5: .* fields, where the head has 35"),
    "an open quote": (TEXT.encode() + b'"x', "line 6: unexpected end of data"),
    "no identity": (changed("id", "", row=3), "line 5: no id"),
    "an identity that Excel spoilt": (changed("id", "1.23457E+15"), "is what a spreadsheet made"),
    "two rows of one run": (
        TEXT.encode() + TEXT.splitlines()[1].replace("5.0", "6.0").encode(),
        "line 6: id=.* has another row with other values",
    ),
    "a column twice": (TEXT.replace("task,", "lr,", 1).encode(), "several columns 'lr'"),
    "another file": (b"name,value\n1,2\n", "no column 'id', so it is no runs table"),
    "nothing": (b"", "no column 'id'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_in_doubt_is_refused_in_one_line_with_file_and_place(tmp_path, content, why):
    (tmp_path / "runs.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"runs\.csv.*{why}") as error:
        tables.read(tmp_path / "runs.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["note", "Unnamed: 35", ""])
def test_a_column_of_a_persons_own_is_kept_and_splits_no_panel(tmp_path, name):
    notes = ["kept", "3", "", "4,5 is odd"]
    lines = TEXT.splitlines()
    lines = [
        f"{lines[0]},{name}",
        *(f'{row},"{n}"' for row, n in zip(lines[1:], notes, strict=True)),
    ]
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    rows = tables.read(tmp_path / "runs.csv")
    kept = name or "Unnamed: 35"
    assert [row[kept] for row in rows] == notes
    assert len(panels(frame(rows), "test_error")) == 1
    (tmp_path / "runs.csv").write_text(tables.render(tables.merge(rows, [run(lr=9.0)])))
    again = tables.read(tmp_path / "runs.csv")
    assert [row[kept] for row in again] == [*notes, ""]


def test_a_column_without_a_name_that_counts_nothing_is_kept(tmp_path):
    (tmp_path / "runs.csv").write_text("id,\na,1\nb,1\n")
    assert [row["Unnamed: 1"] for row in tables.read(tmp_path / "runs.csv")] == ["1", "1"]


def test_a_setting_splits_panels_whether_its_group_has_it_or_the_run():
    rows = [run(seed=seed, **{name: value}) for seed, (name, value) in enumerate(
        [("model.width", 8), ("validation_size", 5), ("figure", "figure1")])]  # fmt: skip
    assert len(panels(frame(tables.merge([], rows)), "test_error")) == 3


KINDS = {
    "curves": (curves, [curves._point("a", {"step": 10 * i, "epoch": 1.5, "test_error": 2.5})
                        for i in (1, 2)]),
    "probe": (probes, [{name: "1.5" for name in PROBE_COLUMNS}
                       | dict.fromkeys(probes.TEXT, "0.5 1.5") | {"id": "a", "layer": "down"}
                       | {"step": step} for step in ("10", "20")]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "rows"), KINDS.values(), ids=KINDS)
def test_tables_beside_the_runs_table_are_read_by_the_same_rules(tmp_path, kind, rows):
    file = tmp_path / kind.FILE
    text = tables.render(rows, kind.KIND)
    for content in (text.encode("utf-16"), german(text).encode(), with_commas(text, 2).encode(),
                    pd.read_csv(io.StringIO(text)).to_csv().encode()):  # fmt: skip
        file.write_bytes(content)
        read = tables.read(file, kind.KIND)
        pd.testing.assert_frame_equal(kind.frame(read), kind.frame(rows))
    file.write_text(text.replace("1.5", '"1,5"', 1))
    with pytest.raises(UserError, match=rf"{kind.FILE}, line 2: .*='1,5' has a comma"):
        tables.read(file, kind.KIND)
    file.write_text(text + text.splitlines()[1].replace("1.5", "9.5") + "\n")
    with pytest.raises(UserError, match="line 4: id=a step=10.* has another row"):
        tables.read(file, kind.KIND)
