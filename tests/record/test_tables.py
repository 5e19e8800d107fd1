import json

import pytest

from experiments.errors import UserError
from experiments.record import files, tables
from experiments.record.folder import covers
from experiments.report.data.frames import frame
from tests.report.report_data import run, write_runs


def gathered_text(folder):
    return tables.render(tables.merge([], tables.gather(folder).rows))


def test_every_result_becomes_a_row_whose_floats_round_trip(tmp_path):
    write_runs(tmp_path, [run(lr=0.1 / 3, wd=0.0), run(lr=1e-9 / 7)])
    typed = frame(tables.merge([], tables.gather(tmp_path).rows))
    assert list(typed.lr) == [1e-9 / 7, 0.1 / 3]
    assert typed.val_error.isna().all()


def test_folders_without_a_result_are_counted_as_unfinished(tmp_path):
    write_runs(tmp_path, [run()])
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "config.yaml").write_text("lr: 1")
    (tmp_path / "made by Hydra, then refused").mkdir()
    (tmp_path / ".hidden").mkdir()
    assert tables.gather(tmp_path).unfinished == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"id": "a", "lr": 0.', "Expecting|Unterminated|Invalid|delimiter"),
        ('["no", "row"]', "not a JSON object"),
        ('{"id": "a"}', "lacks"),
        (json.dumps(run(status="running")), "status is 'running'"),
        (json.dumps(run(lr="fast")), "lr='fast' is not a number"),
        (json.dumps(run(seed=None)), r"no value for \['seed'\]"),
        ("", "Expecting value"),
    ],
)
def test_corrupt_results_are_named_with_the_reason_and_skipped(tmp_path, content, why):
    write_runs(tmp_path, [run()])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text(content)
    found = tables.gather(tmp_path)
    assert len(found.rows) == 1
    (name,) = found.corrupt
    assert name.startswith("broken (")
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(name)


def test_committed_rows_win_and_are_neither_lost_nor_changed(tmp_path):
    path = tmp_path / "runs.csv"
    head = gathered_text(tmp_path).strip()
    kept = {"id": "old", "optim": "adam", "lr": "1e-3", "wd": "0.10", "seed": "0"}
    path.write_text(tables.render([kept]))
    new = [run(id="old", lr=9.0), run(id="new", lr=2.0)]
    merged = tables.merge(tables.read(path), new)
    assert path.read_text().startswith(head)
    assert [row["id"] for row in merged] == ["old", "new"]
    assert merged[0] | kept == merged[0]


def test_a_run_that_is_run_again_for_a_probe_keeps_its_row_which_names_the_probe():
    committed = tables.merge([], [run(id="a", lr=1.0, test_error=5.0)])
    (row,) = tables.merge(committed, [run(id="a", lr=1.0, test_error=6.0, probe="decay")])
    assert row == committed[0] | {"probe": "decay"}
    assert covers(row, "decay")
    assert tables.merge([row], [run(id="a", lr=1.0, probe="other")]) == [row]


def test_order_of_rows_is_that_of_their_settings_not_of_arrival():
    rows = [
        run(lr=lr, wd=wd, seed=seed) for lr in (1.0, 0.1) for wd in (10.0, 9.0) for seed in (1, 0)
    ]
    forward, backward = (tables.render(tables.merge([], r)) for r in (rows, rows[::-1]))
    assert forward == backward
    assert [(r["lr"], r["wd"], r["seed"]) for r in tables.merge([], rows)][:2] == [
        ("0.1", "9.0", "0"),
        ("0.1", "9.0", "1"),
    ]


def test_order_of_rows_is_the_same_again_when_some_lack_a_setting_of_others(tmp_path):
    rows = [run(seed=seed) for seed in (0, 1)] + [run(seed=2) | {"width": 64}]
    path = tmp_path / "runs.csv"
    path.write_text(tables.render(tables.merge(tables.merge([], rows[2:]), rows[:2])))
    assert tables.render(tables.merge(tables.read(path), [])) == path.read_text()
    assert [row["seed"] for row in tables.read(path)] == ["0", "1", "2"]


def test_other_columns_come_after_the_schema_and_settings_are_numbers_where_they_can_be():
    more = {"model.width": 64, "model.activation": "relu", "note": 3}
    rows = tables.merge([], [run() | more])
    assert tables.render(rows).splitlines()[0].endswith("date,model.activation,model.width,note")
    typed = frame(rows)
    assert typed["model.width"].item() == 64
    assert typed["model.activation"].item() == "relu"
    assert typed["note"].item() == "3"


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "id,lr\nx,1,2\n", "id,lr\nx\n"])
def test_a_file_that_is_no_runs_table_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "runs.csv").write_text(content)
    with pytest.raises(UserError, match=r"runs\.csv"):
        tables.read(tmp_path / "runs.csv")


def test_writing_replaces_the_file_in_one_step_and_leaves_nothing_else(tmp_path):
    files.write(tmp_path / "deep" / "runs.csv", "old")
    files.write(tmp_path / "deep" / "runs.csv", b"new")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["runs.csv"]
    assert (tmp_path / "deep" / "runs.csv").read_text() == "new"


def test_a_run_that_does_not_name_a_later_key_has_its_old_value():
    rows = [run(seed=0), run(seed=1, loss_scale=10.0)]
    assert frame(tables.merge([], rows))["loss_scale"].tolist() == [1.0, 10.0]
