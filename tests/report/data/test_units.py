import pytest

from experiments.report.data.panels import panels
from experiments.report.pages import sections
from experiments.report.pages.request import report
from experiments.report.statistics import findings, matching
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings
from tests.report.report_data import LRS, frame, sweep, valley, write_runs


def loss_rows(**values):
    """A sweep whose test loss is a hundredth of its error."""
    rows = sweep(valley(0.0), lrs=LRS[::2], **values)
    return [row | {"test_loss": row["test_error"] / 100} for row in rows]


def measured(rows, metric):
    return measure(panels(frame(rows), metric), Settings(metric=metric, samples=0, tolerance=0.02))


def test_a_loss_stands_in_nats_and_bits_and_an_error_in_percent():
    head, row = sections.best_cells(measured(loss_rows(sd=0.0), "test_loss"))
    best = dict(zip(head, row, strict=True))
    nats = float(best["best test loss"].split(" ")[0])
    assert float(best["in bits"]) == pytest.approx(nats * 1.4427, abs=1e-3)
    assert len(best["best test loss"].split(" ")[0]) == len("0.123")
    head, row = sections.best_cells(measured(loss_rows(sd=0.0), "test_error"))
    assert "in bits" not in head
    assert row[1].split(" ")[0].count(".") == 1
    assert len(row[1].split(" ")[0].split(".")[1]) == 2


def test_the_unit_of_a_difference_is_that_of_the_metric():
    both = loss_rows(optim="adam", convention="l2") + loss_rows(optim="adamw")
    for metric, unit, places in (("test_loss", "nats", 3), ("test_error", "points", 2)):
        page = measured(both, metric)
        text = sections.explained(page[0].settings).markdown()
        assert f"mean rise of the metric, in {unit}, when" in text
        found = findings.findings(page, frame(both)[["id"]].assign(epoch=0.0, test_error=0.0))
        (table,) = sections.comparisons(found, metric).tables
        numbers = {row[1]: row[2] for row in table[1:]}
        word = metric.replace("_", " ")
        value = numbers[f"AdamW minus Adam + L2, best {word} with decay, {unit}"]
        assert len(value.split(" ")[0].split(".")[1]) == places


def test_torch_runs_differ_from_ours_in_nats():
    ours = loss_rows(optim="adamw")
    theirs = [
        row | {"wd": row["wd"] / row["lr"], "weight_decay": row["wd"] / row["lr"],
               "test_loss": row["test_loss"] + 0.0625}
        for row in loss_rows(optim="torch_adamw", convention="lr_coupled")
    ]  # fmt: skip
    (found,) = matching.matches(panels(frame(ours + theirs), "test_loss"), "test_loss")
    assert "mean difference +0.062" in found.text()


def test_files_are_silent_of_the_metric_that_the_preset_names(tmp_path):
    write_runs(tmp_path / "runs" / "toy", loss_rows())
    folders = {"runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results"}
    preset = {"metric": "test_loss", "samples": 0}
    options = {"experiment": "toy", "source": "local", "log_figures": False} | folders
    report(options, preset=preset)
    results = tmp_path / "results" / "toy"
    assert (results / "heatmap.png").exists()
    report(options | {"metric": "test_error"}, preset=preset, typed={"metric"})
    names = {path.name for path in results.iterdir()}
    assert {"heatmap_test_error.png", "decoupling_test_error.csv"} <= names
