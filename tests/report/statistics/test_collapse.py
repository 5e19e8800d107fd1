import numpy as np
import pytest

from experiments.report.statistics.collapse import AXES, collapse
from tests.report.report_data import LRS, WDS, sweep, valley
from tests.report.sweep_data import measured

LR = LRS[::2]
#: Spread of the learning rates themselves, octaves.
RATES = np.std(np.log2(LR), ddof=1)
#: Octaves by which rows may lie off a straight ridge.
OFF = dict(zip(np.log2(LR), (0.6, -0.5, 0.3, -0.6, 0.2), strict=True))


def found(error, wds=WDS, sd=0.05, convention="decoupled", optim="adamw", **settings):
    rows = sweep(error, LR, wds, sd=sd, optim=optim, convention=convention)
    for row in rows:
        row["weight_decay"] = row["wd"]
    (one,) = measured(rows, **settings)
    return collapse(one)


@pytest.mark.parametrize(
    ("convention", "slope", "at", "closer"),
    [
        ("decoupled", 0.0, -6.0, "step_shrink"),
        ("decoupled", 1.0, -6.0, "torch_wd"),
        ("lr_coupled", 0.0, -6.0, "torch_wd"),
        ("lr_coupled", -1.0, -6.0, "step_shrink"),
        ("l2", 0.0, -6.0, "torch_wd"),
        ("l2", -1.0, -6.0, "step_shrink"),
    ],
)
def test_minima_fall_together_in_the_coordinate_in_which_the_ridge_stands_upright(
    convention, slope, at, closer
):
    one = found(valley(slope, at), convention=convention)
    (other,) = set(AXES) - {closer}
    assert one.spread[closer].high < 0.3
    assert one.spread[other].low <= RATES <= one.spread[other].high
    assert one.slope[closer].low < 0 < one.slope[closer].high
    assert one.slope[other].value == pytest.approx(-1 if closer == AXES[0] else 1, abs=0.1)
    sign = -1 if closer == AXES[0] else 1
    assert min(sign * one.difference.low, sign * one.difference.high) > 0.9 * RATES - 0.3
    assert one.difference.basis == "5 of 5 rows x 3 seeds"


def test_a_ridge_half_way_between_both_coordinates_is_not_resolved():
    one = found(valley(0.5, -6.0))
    assert one.difference.low < 0 < one.difference.high
    for axis in AXES:
        assert one.spread[axis].low < RATES / 2 < one.spread[axis].high


def test_the_interval_holds_the_spread_of_rows_that_lie_off_the_ridge():
    one = found(
        lambda lr, wd: 5 + 0.3 * abs(wd + 6 - OFF[lr]) ** 1.5 + 0.01 * (lr + 4) ** 2, sd=0.3
    )
    off = np.std(list(OFF.values()), ddof=1)
    assert one.spread["step_shrink"].low < off < one.spread["step_shrink"].high
    assert one.floor < off


def test_what_a_slope_allows_rows_to_lie_off_a_line_is_no_part_of_the_spread():
    one = found(valley(0.0, -6.0))
    assert one.spread["step_shrink"].high < 0.2
    assert one.slope["step_shrink"].high - one.slope["step_shrink"].low > 0.05


def test_the_noise_of_runs_sets_the_floor_of_the_spread():
    quiet, loud = (found(valley(0.0, -6.0), sd=sd) for sd in (0.05, 0.8))
    assert 0 < quiet.floor < loud.floor
    assert loud.spread["step_shrink"].high > loud.floor
    assert np.isnan(found(valley(0.0, -6.0), samples=0).floor)


def test_where_a_task_switches_the_thresholds_take_the_place_of_the_minima():
    def switch(lr, wd):
        return 50 / (1 + np.exp(4 * (wd + 6 + 0.5 * (lr + 4))))

    one = found(switch, level=10)
    assert one.spread["step_shrink"].value == pytest.approx(RATES / 2, abs=0.2)
    assert one.spread["torch_wd"].value == pytest.approx(1.5 * RATES, abs=0.2)


@pytest.mark.parametrize("axis", ["typed", "torch_wd", "shrink", "timescale"])
def test_lowest_cells_give_the_exact_spread_in_whatever_coordinate_they_were_measured(axis):
    settings = {"estimator": "argmin", "samples": 0, "axis": axis}
    one = found(valley(-0.5, -6.0), sd=0.0, **settings)
    assert one.spread["step_shrink"].value == pytest.approx(RATES / 2)
    assert one.spread["torch_wd"].value == pytest.approx(1.5 * RATES)
    assert one.difference.value == pytest.approx(-RATES)
    assert one.slope["step_shrink"].value == pytest.approx(-0.5)
    assert one.slope["torch_wd"].value == pytest.approx(-1.5)
    assert np.isnan(one.spread["torch_wd"].low)


def test_one_row_with_a_minimum_has_no_spread():
    one = found(lambda lr, wd: valley(0.0, -6.0)(lr, wd) + 3 * abs(lr + 4))
    assert one.difference.reason == one.spread["torch_wd"].reason != ""
    assert "1 row near the best" in one.difference.reason
    edge = found(lambda lr, wd: 5 + 0.1 * wd, estimator="argmin")
    assert "at the edge of the grid in 5 of 5 rows" in edge.difference.reason
    assert edge.edge.all()
