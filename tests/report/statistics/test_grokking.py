import numpy as np
import pytest

from experiments.report.statistics.grokking import in_steps, rivals
from tests.report.sweep_data import STEP_RATES, measured, panels_in_steps, steps, typed


def test_a_cell_is_the_first_evaluation_below_the_level_and_never_is_a_bound():
    (one,), _ = panels_in_steps(steps(seeds=(0,)))
    cells = one.cells.set_index(["lr", "wd"])
    lr = 2.0**-8
    assert cells.loc[(lr, 2.0**-8), "steps_to"] == pytest.approx(400)
    assert cells.loc[(lr, 2.0**-6), "steps_to"] == pytest.approx(100)
    assert cells.loc[(lr, 2.0**-8), "bound"] == ""
    assert cells.loc[(lr, 2.0**-9), "bound"] == cells.loc[(lr, 0.0), "bound"] == "high"
    assert len(one.generalizing) + (cells["bound"] == "high").sum() == len(cells)


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_the_slope_of_the_threshold_is_found(slope):
    (one,), _ = panels_in_steps(steps(slope))
    assert one.measured.slope.value == pytest.approx(slope, abs=0.05)
    assert one.measured.slope.low <= slope + 1e-6
    assert one.measured.slope.high >= slope - 1e-6


def test_it_counts_when_a_run_got_there_and_not_whether_it_stayed():
    """Those two seeds forget at the end; the final errors alone would miss the threshold."""
    found, points = steps(0.0)
    for row in found:
        row["test_error"] = 50.0
        points[row["id"]][-1]["test_error"] = 50.0
    (one,), _ = panels_in_steps((found, points))
    assert one.measured.slope.value == pytest.approx(0, abs=0.05)


def test_seeds_that_disagree_make_the_slope_unsure():
    found, points = steps(0.0)
    for row in found:
        late = row["lr"] == STEP_RATES[0] and row["wd"] == 2.0**-8 and row["seed"] == 1
        if late:
            for point in points[row["id"]]:
                point["test_error"] = 50.0
    (one,), _ = panels_in_steps((found, points))
    assert one.measured.slope.low < one.measured.slope.high
    cell = one.cells.set_index(["lr", "wd"]).loc[(STEP_RATES[0], 2.0**-8)]
    assert cell["bound"] == "high"
    assert cell["steps_to"] == pytest.approx(np.sqrt(400 * 2000))


def test_a_run_without_points_is_left_out_and_missing_ones_are_no_bounds():
    found, points = steps()
    del points[found[0]["id"]]
    plan = [{k: row[k] for k in ("optim", "lr", "wd", "seed")} for row in found]
    plan.append({"optim": "adamw", "lr": STEP_RATES[0], "wd": 2.0**-3, "seed": 0})
    page = measured(found, planned=plan)
    one = in_steps(page[0], typed(points), 5.0)
    assert len(one.panel.runs) == len(found)
    cell = one.cells.set_index(["lr", "wd"]).loc[(STEP_RATES[0], 2.0**-3)]
    assert (cell["status"], cell["bound"]) == ("missing", "")


def test_rivals_are_compared_task_by_task():
    kinds = [("adam", -2.0, "l2"), ("adamw", 0.0, "decoupled")]
    sweeps = [
        steps(slope, optim, task, convention=convention)
        for task in ("modular", "modular_divide")
        for optim, slope, convention in kinds
    ]
    found, points = panels_in_steps(*sweeps)
    names, differences = zip(*rivals(found), strict=True)
    assert names == ("Adam + L2, AdamW, a + b mod p", "Adam + L2, AdamW, a / b mod p")
    assert [one.value for one in differences] == pytest.approx([2, 2], abs=0.35)
