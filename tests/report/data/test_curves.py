import json

import numpy as np
import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.record import tables
from experiments.report.data import curves
from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import analyze
from tests.report.report_data import run, write_runs

HEAD = ",".join(curves.COLUMNS)


def point(step, **metrics):
    values = {"step": step, "epoch": step / 40, "lr": 1e-3, "eta": 0.5, "batch_loss": 1 / 3}
    return values | {"test_error": 50.0, "test_loss": 1.0} | metrics


def write_curves(folder, runs):
    """Write run folders, each with its points; ``runs`` maps an id to them."""
    write_runs(folder, [run(id=name, seed=seed) for seed, name in enumerate(runs)])
    for number, points in enumerate(runs.values()):
        text = "".join(json.dumps(values) + "\n" for values in points)
        (folder / f"adamw-{number}" / "metrics.jsonl").write_text(text)


def kept(folder):
    return tables.merge([], curves.gather(folder).rows, curves.KIND)


def table(**errors):
    """Typed curves of runs with these test errors at steps 10, 20, ..."""
    rows = [
        {"id": name, "step": 10 * (i + 1), "test_error": error}
        for name, series in errors.items()
        for i, error in enumerate(series)
    ]
    return curves.frame([curves._point(row["id"], row) for row in rows])


def test_a_point_keeps_its_metrics_to_six_digits_and_leaves_out_what_was_not_measured(tmp_path):
    write_curves(tmp_path, {"b": [point(40)], "a": [point(40), point(80, train_error=0.0)]})
    text = tables.render(kept(tmp_path), curves.KIND)
    assert text.splitlines() == [
        "id,step,epoch,eta,batch_loss,test_error,test_loss,train_error,train_loss",
        "a,40,1,0.5,0.333333,50,1,,",
        "a,80,2,0.5,0.333333,50,1,0,",
        "b,40,1,0.5,0.333333,50,1,,",
    ]
    typed = curves.frame(kept(tmp_path))
    assert typed.step.tolist() == [40, 80, 40]
    assert np.isnan(typed.train_error).tolist() == [True, False, True]


def test_steps_are_sorted_as_numbers(tmp_path):
    write_curves(tmp_path, {"a": [point(step) for step in (100, 20, 3)]})
    assert [row["step"] for row in kept(tmp_path)] == ["3", "20", "100"]


def test_only_runs_that_have_ended_are_read(tmp_path):
    write_curves(tmp_path, {"a": [point(40)], "b": [point(40)]})
    (tmp_path / "adamw-1" / "result.json").unlink()
    assert {row["id"] for row in kept(tmp_path)} == {"a"}


def test_committed_points_win_and_none_is_lost_or_changed(tmp_path):
    write_curves(tmp_path, {"a": [point(40), point(80)]})
    old = curves.gather(tmp_path).rows[0] | {"test_error": "9.10", "note": "x"}
    file = tmp_path / "curves.csv"
    file.write_text(tables.render([old, old | {"id": "gone"}], curves.KIND))
    committed = tables.read(file, curves.KIND)
    merged = tables.merge(committed, curves.gather(tmp_path).rows, curves.KIND)
    shown = ("id", "step", "test_error", "note")
    assert [[row.get(name, "") for name in shown] for row in merged] == [
        ["a", "40", "9.10", "x"],
        ["a", "80", "50", ""],
        ["gone", "40", "9.10", "x"],
    ]


@pytest.mark.parametrize("line", ['{"step": 4', "[1]", '{"step": "x"}', '{"epoch": 1}', "null"])
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path, line):
    write_curves(tmp_path, {"a": [point(40)], "b": [point(40)]})
    (tmp_path / "adamw-1" / "metrics.jsonl").write_text(f"{json.dumps(point(1))}\n{line}\n")
    found = curves.gather(tmp_path)
    assert [name.split(" (")[0] for name in found.corrupt] == ["adamw-1"]
    assert {point["id"] for point in found.rows} == {"a"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no column 'id'"),
        ("id,step\na,1\n", "no column 'epoch'"),
        (
            ",".join(curves.COLUMNS) + "\na,soon" + "," * 7 + "\n",
            "line 2: step='soon' is not a number",
        ),
        (",".join(curves.COLUMNS) + "\na,1.5" + "," * 7 + "\n", "step='1.5' is not a whole number"),
        (",".join(curves.COLUMNS) + "\na,1,2,3,4,5,6,7,8,9\n", "line 2: 10 fields, where the head"),
        (",".join(curves.COLUMNS) + "\na,1,,fast,,,,,\n", "line 2: eta='fast' is not a number"),
    ],
)
def test_a_file_that_is_no_table_of_curves_is_refused_with_its_name(tmp_path, content, why):
    (tmp_path / "curves.csv").write_text(content)
    with pytest.raises(UserError, match=rf"curves\.csv.*({why})"):
        tables.read(tmp_path / "curves.csv", curves.KIND)


def test_text_in_place_of_a_metric_is_named():
    points = [curves._point("a", point(1)) | {"eta": "fast"}]
    with pytest.raises(UserError, match="eta: .*fast"):
        curves.frame(points)


def test_steps_to_a_level_are_those_of_the_first_point_there():
    reached = curves.steps_to(table(b=[90, 4, 8, 2], a=[90, 60], c=[5.0, 99]), 5)
    assert reached.id.tolist() == ["a", "b", "c"]
    assert reached.steps.tolist() == pytest.approx([np.nan, 20, 10], nan_ok=True)


def test_a_metric_that_was_never_measured_is_never_reached():
    assert curves.steps_to(table(a=[1.0]), 5, "train_error").steps.isna().all()
    assert len(curves.steps_to(table(a=[1.0]).iloc[:0], 5)) == 0


def test_a_damaged_result_is_left_to_the_runs_table(tmp_path):
    write_curves(tmp_path, {"a": [point(40)], "b": [point(40)]})
    (tmp_path / "adamw-1" / "result.json").write_text("{")
    found = curves.gather(tmp_path)
    assert (found.corrupt, {point["id"] for point in found.rows}) == ([], {"a"})


def test_a_report_keeps_curves_where_asked_and_needs_the_folders_no_more(tmp_path, caplog):
    write_curves(tmp_path / "runs" / "toy", {"a": [point(40), point(80)], "b": [point(40)]})
    (tmp_path / "runs" / "toy" / "adamw-1" / "metrics.jsonl").write_text("{")
    folders = {"runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results"}
    analyze("toy", settings=Settings(samples=0), **folders)
    file = tmp_path / "results" / "toy" / "curves.csv"
    assert not file.exists()
    made = analyze("toy", settings=Settings(samples=0, curves=True), **folders)
    assert file in made.paths
    assert "skipped corrupt curves: adamw-1 (" in caplog.text
    assert "2/2" in made.text
    before = file.read_bytes()
    assert before.count(b"\n") == 3
    folders["runs_dir"] = tmp_path / "none"
    analyze("toy", settings=Settings(samples=0, curves=True), **folders)
    assert file.read_bytes() == before


@pytest.mark.parametrize("folder", ["runs", "none"])
def test_no_level_takes_committed_points_away(tmp_path, folder):
    points = [point(step, test_error=100.0 - step) for step in range(1, 100)]
    write_curves(tmp_path / "runs" / "toy", {"a": points})
    folders = {"runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results"}
    analyze("toy", settings=Settings(samples=0, curves=True, level=5.0), **folders)
    file = tmp_path / "results" / "toy" / "curves.csv"
    before = set(file.read_text().splitlines())
    folders["runs_dir"] = tmp_path / folder
    for level in (20.0, 5.0):
        analyze("toy", settings=Settings(samples=0, curves=True, level=level), **folders)
        assert set(file.read_text().splitlines()) >= before


def test_thinning_keeps_what_a_log_axis_shows_and_the_first_time_below_a_level():
    steps = range(10, 1001, 10)
    lines = [point(s, test_error=3.0 if s in (330, 340) else 50.0,
                   train_error=0.0 if s >= 170 else 80.0) for s in steps]  # fmt: skip
    full = [curves._point(name, line) for name in ("a", "b") for line in lines]
    thinned = curves.thin(full, 5.0)
    own = [int(point["step"]) for point in thinned if point["id"] == "a"]
    assert {10, 170, 330, 1000} <= set(own)
    assert 340 not in own
    assert len(own) < 35
    pd.testing.assert_frame_equal(
        curves.steps_to(curves.frame(thinned), 5.0), curves.steps_to(curves.frame(full), 5.0)
    )
    assert curves.thin(thinned, 5.0) == thinned
    assert curves.thin(tables.merge(thinned, full, curves.KIND), 5.0) == thinned
