import numpy as np
import pytest

from experiments.report.data.surface import surface
from experiments.report.statistics import compare
from tests.report.report_data import cells, valley


def test_the_best_error_is_the_lowest_value_but_no_bound_and_no_diverged_cell():
    table = cells(valley(0.0)).assign(bound="", diverged=0)

    def best(table):
        return compare.best_error(surface(table))

    lowest = table.test_error.nsmallest(3).to_numpy()
    assert best(table).value == pytest.approx(lowest[0])
    order = table.test_error.sort_values().index
    table.loc[order[0], "bound"] = "low"
    table.loc[order[1], "diverged"] = 1
    assert best(table).value == pytest.approx(lowest[2])
    assert best(table.assign(diverged=1)).reason == "no cell with decay that has a value"


def test_cells_without_decay_are_the_same_runs_for_both_and_never_the_best():
    table = cells(lambda lr, wd: 1.0 if np.isneginf(wd) else 5.0 + abs(lr), wds=(0.0, 0.1, 0.2))
    assert compare.best_error(surface(table)).value == pytest.approx(5.0)


def test_difference_and_gain_are_the_seconds_over_the_first():
    first, second = np.array([50.0, 40.0]), np.array([45.0, 44.0])
    assert compare.difference(first, second) == pytest.approx([-5, 4])
    assert compare.gain(first, second) == pytest.approx([10, -10])


def test_a_schedule_that_gives_both_the_same_makes_no_difference():
    assert compare.difference_of_gains(6.0, 6.5, 5.0, 5.5) == pytest.approx(0)
    assert compare.difference_of_gains(6.0, 6.5, 5.0, 4.0) == pytest.approx(1.5)
