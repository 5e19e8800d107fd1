import numpy as np
import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.report.data.surface import surface
from experiments.report.statistics import decoupling
from tests.report.report_data import LRS, WDS, cells, on_cells, valley

freezing_cost = on_cells(decoupling.freezing_cost)
ridge = on_cells(decoupling.ridge)
ridge_slope = on_cells(decoupling.ridge_slope)
rows = on_cells(decoupling.rows)
threshold = on_cells(decoupling.threshold)
threshold_slope = on_cells(decoupling.threshold_slope)
top_correlation = on_cells(decoupling.top_correlation)


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0])
def test_ridge_slope_of_an_exact_diagonal_is_its_slope(slope):
    lrs = LRS[::2] if slope == -0.5 else LRS
    table = cells(valley(slope), lrs)
    assert ridge_slope(table).value == pytest.approx(slope)
    assert list(ridge(table)["x"]) == pytest.approx(list(2.0 ** (-8 + slope * (np.log2(lrs) + 4))))


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0])
def test_threshold_slope_of_an_exact_diagonal_is_its_slope(slope):
    lrs = LRS[::2]
    switch = cells(lambda lr, wd: 0.0 if wd >= -8 + slope * (lr + 4) else 50.0, lrs)
    result = threshold_slope(switch, level=20)
    assert result.value == pytest.approx(slope)
    assert len(threshold(switch, level=20)) >= 4


def test_top_correlation_of_an_exact_diagonal_is_minus_one():
    diagonal = cells(lambda lr, wd: abs(wd + 8 + lr + 4), LRS[:8], WDS)
    assert top_correlation(diagonal, count=8).value == pytest.approx(-1)


def test_bowl_has_no_slope_no_correlation_and_freezing_costs_nothing():
    bowl = cells(lambda lr, wd: 5 + 0.1 * (lr + 4) ** 2 + 0.1 * (wd + 6) ** 2)
    assert ridge_slope(bowl).value == pytest.approx(0, abs=1e-12)
    assert top_correlation(bowl, count=9).value == pytest.approx(0, abs=1e-12)
    assert freezing_cost(bowl).value == pytest.approx(0, abs=1e-12)


def test_cost_of_freezing_on_a_diagonal_is_the_mean_distance_from_it():
    # Frozen at wd = 2^-8, the row at log2 lr = l is |l + 4| off the floor: mean of 0..4, ..., 4.
    diagonal = cells(lambda lr, wd: 5 + abs(wd + 8 + lr + 4) + 1e-6 * abs(lr + 4))
    expected = np.mean([abs(lr + 4) for lr in np.log2(LRS)])
    assert freezing_cost(diagonal).value == pytest.approx(expected)


def test_plateau_identifies_nothing():
    plateau = cells(lambda lr, wd: 5.0)
    for statistic in (
        ridge_slope,
        top_correlation,
        threshold_slope,
    ):
        result = statistic(plateau)
        assert np.isnan(result.value), statistic
        assert result.reason, statistic
    assert "flat" in ridge_slope(plateau).reason
    assert "117 cells tie" in top_correlation(plateau).reason


def test_slope_without_an_interior_optimum_is_not_identified():
    result = ridge_slope(cells(lambda lr, wd: 5.0 - 0.1 * wd))
    assert np.isnan(result.value)
    assert "edge of the grid in 9 of 9 rows" in result.reason


def test_one_row_identifies_no_slope_and_no_cost():
    row = cells(valley(0.0), LRS[:1])
    assert "1 row near" in ridge_slope(row).reason
    assert "1 row near" in freezing_cost(row).reason
    assert "0 rows with a switch" in threshold_slope(row, level=1.0).reason
    assert "fewer than 20 cells" in top_correlation(row).reason


def test_missing_cells_leave_the_slope_of_the_others():
    diagonal = cells(valley(-0.5), LRS[::2])
    holes = diagonal[~((diagonal.lr == LRS[2]) & (diagonal.wd > 2**-10))]
    assert ridge_slope(holes).value == pytest.approx(-0.5, abs=0.2)
    gap = diagonal[~((diagonal.lr == LRS[2]) & (diagonal.wd == 2**-8))]
    switch = gap.assign(test_error=np.where(gap.wd >= 2**-7.5, 0.0, 50.0))
    result = threshold_slope(switch, level=20)
    assert result.note == "1 beside a missing cell"
    assert LRS[2] not in set(threshold(switch, level=20)["lr"])


def test_diverged_cells_are_never_the_best_and_bound_the_cost():
    bowl = cells(lambda lr, wd: 5 + 0.1 * (wd + 6 + 0.25 * (lr + 4)) ** 2 + 0.01 * abs(lr + 4))
    bowl["diverged"] = ((bowl.lr == LRS[0]) & (bowl.wd == 2.0**-6)).astype(int)
    bowl.loc[bowl.diverged > 0, "test_error"] = np.nan
    result = freezing_cost(bowl)
    worst = bowl.test_error.max() - bowl[bowl.lr == LRS[0]].test_error.min()
    assert result.value > worst / len(LRS)
    assert "a lower bound: in 1 the frozen cell is clipped or diverged" in result.note
    assert np.isfinite(ridge_slope(bowl).value)


def test_bounds_are_no_values():
    diagonal = cells(valley(-1.0))
    diagonal["bound"] = np.where(diagonal.lr == LRS[-1], "high", "")
    result = ridge_slope(diagonal)
    assert result.value == pytest.approx(-1)
    assert "8 of 9 rows" in result.basis
    assert "1 clipped rows left out" in result.note
    assert (
        "a lower bound"
        in freezing_cost(
            diagonal.assign(
                bound=np.where((diagonal.wd == 2.0**-8) & (diagonal.lr != LRS[4]), "high", "")
            )
        ).note
    )


def test_a_bound_is_never_the_best_cell():
    table = cells(valley(0.0))
    low = (table.lr == LRS[0]) & (table.wd == WDS[0])
    bounded = table.assign(bound=np.where(low, "low", "")).assign(
        test_error=table.test_error.where(~low, 1.0)
    )
    assert rows(bounded).best == rows(table).best
    assert freezing_cost(bounded).basis.startswith("8 of 9 rows")


def test_duplicate_cells_are_refused():
    twice = pd.concat([cells(valley(0.0))] * 2)
    with pytest.raises(UserError, match="average over seeds first"):
        ridge_slope(twice)


def test_cells_at_wd_zero_are_left_out_of_slopes_and_correlation_and_said():
    table = cells(
        lambda lr, wd: 4.9 if np.isinf(wd) else valley(-0.5)(lr, wd), LRS[::2], (0.0, *WDS)
    )
    assert ridge_slope(table).value == pytest.approx(-0.5)
    assert top_correlation(table).note == "5 cells, 5 at wd = 0 left out"


def test_rows_count_only_when_less_than_the_tolerance_above_the_best():
    # Row minima 5, 6, 7, ...: with tolerance 2 the row at exactly 7 is out.
    steps = cells(lambda lr, wd: 5 + (lr + 8) + 0.1 * (wd + 6) ** 2)
    assert "2 of 9 rows" in ridge_slope(steps, tolerance=2.0).basis
    assert "3 of 9 rows" in ridge_slope(steps, tolerance=2.001).basis


def test_two_tied_minima_give_their_geometric_mean():
    table = cells(lambda lr, wd: 5 + abs(wd + 6.5), LRS[:3])
    assert list(ridge(table)["x"]) == pytest.approx([2**-6.5] * 3)


def test_threshold_censors_rows_that_switch_off_the_grid():
    def error(lr, wd):
        switch = {-8: 5, -7: -4, -6: -5, -5: -6, -4: -12}.get(round(lr), -np.inf)
        return 0.0 if wd >= switch else 50.0

    table = cells(error, LRS[:6], (0.0, *WDS))
    result = threshold_slope(table, level=20)
    assert result.note == "1 switch above the grid, 2 switch below the grid"
    assert result.value == pytest.approx(-1)


def test_samples_are_measured_as_their_tables_would_be_alone():
    generator = np.random.default_rng(1)
    table = cells(valley(-0.5))
    noisy = [table.assign(test_error=table.test_error + generator.normal(size=117)) for _ in "abc"]
    stacked = surface(noisy[0]).sampled(np.array([one.test_error for one in noisy[1:]]))
    for name in ("ridge_slope", "top_correlation", "freezing_cost"):
        statistic = getattr(decoupling, name)
        alone = [statistic(surface(one)).value for one in noisy]
        found = statistic(stacked)
        assert [found.value, *found.draws] == pytest.approx(alone, nan_ok=True)
