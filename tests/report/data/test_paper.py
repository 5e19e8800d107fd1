import math
from pathlib import Path

import pytest

from experiments.record import tables
from experiments.report.data import paper
from experiments.report.data.frames import frame
from experiments.report.data.panels import panels
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings

CELLS = Path(__file__).parents[3] / "results" / "paper" / "runs.csv"
CELL = {
    "figure": "figureS3",
    "task": "cifar10",
    "optim": "adamw",
    "schedule": "cosine",
    "epochs": "25",
    "decay": "normalized",
    "lr": "0.005",
    "wd": "0.05",
    "test_error": "",
    "clipped": "",
}


def test_a_normalized_cell_has_the_weight_decay_of_appendix_b1():
    row = paper.convert(CELL)
    assert row["wd"] == 0.05
    assert row["weight_decay"] == pytest.approx(0.05 * math.sqrt(128 / (50_000 * 25)))
    assert row["steps"] == 391 * 25
    assert row["test_error"] is None
    assert row["status"] == "finished"


def test_eta_sums_are_those_of_the_schedules():
    cosine = sum(0.5 + 0.5 * math.cos(math.pi * t / 1000) for t in range(1000))
    assert paper.eta_sum("cosine", 1000) == pytest.approx(cosine)
    assert paper.eta_sum("step", 1000) == pytest.approx(300 + 30 + 2 + 0.2)
    assert paper.eta_sum("constant", 1000) == 1000


def test_cells_with_other_columns_or_tasks_are_refused():
    with pytest.raises(ValueError, match="lack the columns"):
        paper.convert({"figure": "figure1"})
    with pytest.raises(ValueError, match="task=mnist is not one of"):
        paper.convert(CELL | {"task": "mnist"})


def test_conversion_is_deterministic_and_ids_are_unique(tmp_path):
    source = tmp_path / "cells.csv"
    lines = [",".join(CELL), *(",".join((CELL | {"lr": lr}).values()) for lr in ("0.1", "0.01"))]
    source.write_text("\n".join(lines) + "\n")
    for name in ("a.csv", "b.csv"):
        paper.main(str(source), str(tmp_path / name))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert len({row["id"] for row in tables.read(tmp_path / "a.csv")}) == 2


@pytest.fixture(scope="module")
def figure2():
    """Figure 2 of the paper, measured: statistics by optimizer."""
    runs = frame(tables.read(CELLS))
    found = [panel for panel in panels(runs, "test_error") if panel.figure == "figure2"]
    return {
        one.panel.optim: one for one in measure(found, Settings(samples=200, estimator="argmin"))
    }


@pytest.mark.parametrize(
    ("optim", "slope", "correlation", "cost"),
    [
        ("sgd", -0.79, -0.92, 1.40),
        ("sgdw", -0.01, -0.15, 0.14),
        ("adam", -1.26, -0.82, 0.66),
        ("adamw", -0.02, 0.07, 0.00),
    ],
)
def test_figure_2_has_the_decoupling_computed_independently(
    figure2, optim, slope, correlation, cost
):
    one = figure2[optim]
    assert one.estimates["ridge_slope"].value == pytest.approx(slope, abs=0.1)
    assert one.estimates["top10_correlation"].value == pytest.approx(correlation, abs=0.1)
    assert one.estimates["freezing_cost"].value == pytest.approx(cost, abs=0.05)


def test_noise_of_a_run_in_figure_2_is_about_an_eighth_of_a_point(figure2):
    assert figure2["adam"].noise.sd == pytest.approx(0.13, abs=0.02)
    assert figure2["adam"].noise.basis == "16 pairs of wd = 0 cells"


def test_intervals_tell_coupled_from_decoupled_in_figure_2(figure2):
    for optim, decoupled in (("sgd", False), ("sgdw", True), ("adam", False), ("adamw", True)):
        slope = figure2[optim].slope
        assert (slope.low <= 0 <= slope.high) == decoupled, optim


def test_cost_of_freezing_sgd_says_that_it_rests_on_bounds(figure2):
    assert "a lower bound: in 3" in figure2["sgd"].estimates["freezing_cost"].note


def test_bounds_of_the_paper_stay_bounds():
    rows = tables.read(CELLS)
    assert len(rows) == 1444
    assert sum(row["clipped"] == "high" for row in rows) == 525
