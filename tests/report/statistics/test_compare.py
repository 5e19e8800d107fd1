import numpy as np
import pytest

from experiments.report.statistics import compare
from tests.report.report_data import cells, valley


def test_the_best_error_is_the_lowest_value_but_no_bound_and_no_diverged_cell():
    table = cells(valley(0.0)).assign(bound="", diverged=0)
    lowest = table.test_error.nsmallest(3).to_numpy()
    assert compare.best_error(table) == pytest.approx([lowest[0]])
    order = table.test_error.sort_values().index
    table.loc[order[0], "bound"] = "low"
    table.loc[order[1], "diverged"] = 1
    assert compare.best_error(table) == pytest.approx([lowest[2]])
    assert np.isnan(compare.best_error(table.assign(diverged=1))).all()


def test_difference_gain_and_their_intervals_follow_the_draws():
    first, second = np.full(101, 50.0), np.concatenate([[45.0], np.linspace(44, 46, 100)])
    found = compare.difference(first, second, n=7)
    assert (found.value, found.n) == (-5.0, 7)
    assert (found.low, found.high) == pytest.approx((-5.95, -4.05))
    assert compare.gain(first, second, n=7).value == pytest.approx(10)


def test_without_draws_of_one_there_is_no_interval():
    found = compare.difference(np.array([50.0]), np.full(101, 45.0), 2)
    assert found.value == -5
    assert np.isnan(found.low)
    assert "without replicates" in found.note


def test_a_panel_without_a_value_identifies_nothing():
    assert compare.gain(np.array([np.nan]), np.array([45.0]), 2).reason == compare.NONE


def test_a_schedule_that_gives_both_the_same_makes_no_difference():
    plain, scheduled = (np.array([6.0]), np.array([6.5])), (np.array([5.0]), np.array([5.5]))
    assert compare.difference_of_gains(plain, scheduled, 4).value == pytest.approx(0)
    better = (np.array([5.0]), np.array([4.0]))
    assert compare.difference_of_gains(plain, better, 4).value == pytest.approx(1.5)
