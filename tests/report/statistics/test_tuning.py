from itertools import combinations

import numpy as np
import pytest

from experiments.report.statistics import tuning
from tests.report.report_data import LRS, WDS, cells, on_cells, valley

best_of = on_cells(tuning.best_of)
expected_best = on_cells(tuning.expected_best)
interaction_share = on_cells(tuning.interaction_share)
near_share = on_cells(tuning.near_share)
one_pass_regret = on_cells(tuning.one_pass_regret)


def test_near_share_counts_cells_within_the_distance():
    # 5, 5.25, 5.5, ... along wd: three of thirteen columns are within half a point.
    table = cells(lambda lr, wd: 5 + 0.25 * (wd + 12))
    assert near_share(table, near=0.5).value == pytest.approx(3 / 13)


def test_near_share_of_a_plateau_is_one_and_of_a_lone_cell_unknown():
    assert near_share(cells(lambda lr, wd: 5.0)).value == 1
    assert near_share(cells(lambda lr, wd: 5.0, LRS[:1], WDS[:1])).reason


def test_diverged_cells_are_in_the_denominator_of_the_share():
    table = cells(lambda lr, wd: 5.0, LRS[:2], WDS[:2]).assign(diverged=[0, 0, 0, 1])
    assert near_share(table).value == pytest.approx(3 / 4)


def test_one_pass_over_a_bowl_has_no_regret():
    assert one_pass_regret(cells(lambda lr, wd: (lr + 4) ** 2 + (wd + 6) ** 2)).value == 0


def test_one_pass_over_a_tilted_valley_stops_where_its_start_leads():
    # From wd = w the best lr is the one on the floor, lr = -12 - w, where wd = w is best already:
    # the regret is the error of the floor at that lr, 0.1 |lr + 4|; off the grid lr is clamped.
    table = cells(lambda lr, wd: 10 * abs(lr + 4 + wd + 8) + 0.1 * abs(lr + 4), LRS, WDS[:9])
    expected = np.mean([0.1 * abs(-12 - w + 4) for w in np.log2(WDS[:9])])
    assert one_pass_regret(table).value == pytest.approx(expected)


def test_one_row_has_no_one_pass_regret():
    assert "two rows" in one_pass_regret(cells(valley(0.0), LRS[:1])).reason


def test_expected_best_is_the_mean_minimum_over_all_subsets():
    table = cells(lambda lr, wd: 3 * lr + wd + 0.01 * wd * lr, LRS[:2], WDS[:3])
    errors = list(table.test_error)
    expected = [np.mean([min(s) for s in combinations(errors, k)]) for k in range(1, 7)]
    found = expected_best(table, np.arange(1, 8))[0]
    assert found[:6] == pytest.approx(expected)
    assert np.isnan(found[6])


def test_expected_best_counts_a_diverged_cell_as_the_worst():
    table = cells(lambda lr, wd: wd, LRS[:1], WDS[:4]).assign(diverged=[1, 0, 0, 0])
    assert expected_best(table, np.array([1]))[0, 0] == pytest.approx((-11 - 10 - 9 - 9) / 4)


def test_best_of_ten_needs_ten_cells():
    assert "fewer than 10" in best_of(cells(valley(0.0), LRS[:2], WDS[:3])).reason
    assert best_of(cells(valley(0.0)).assign(diverged=1)).reason == "all cells diverged"


def test_interaction_share_of_an_additive_surface_is_zero():
    bowl = cells(lambda lr, wd: 0.02 * (lr + 4) ** 2 + 0.02 * abs(wd + 6) ** 3)
    assert interaction_share(bowl, tolerance=99).value == pytest.approx(0, abs=1e-12)


def test_interaction_share_leaves_out_wd_zero():
    def error(lr, wd):
        return 5 + lr % 2 if np.isinf(wd) else 0.02 * (lr + wd + 10) ** 2

    with_zero, without = cells(error, LRS, (0.0, *WDS)), cells(error)
    assert interaction_share(with_zero, 99).value == pytest.approx(
        interaction_share(without, 99).value
    )


def test_interaction_share_of_a_product_is_one():
    product = cells(lambda lr, wd: (lr + 4) * (wd + 6) / 10)
    assert interaction_share(product, tolerance=99).value == pytest.approx(1)


def test_interaction_share_of_a_diagonal_valley_is_that_of_its_mixed_term():
    # (x + y)^2 = x^2 + y^2 + 2xy on a centred grid; the three terms are uncorrelated.
    x, y = np.log2(LRS) + 4, np.log2(WDS) + 6
    mixed = 4 * np.mean(x**2) * np.mean(y**2)
    diagonal = cells(lambda lr, wd: (lr + 4 + wd + 6) ** 2)
    expected = mixed / (np.var(x**2) + np.var(y**2) + mixed)
    assert interaction_share(diagonal, tolerance=999).value == pytest.approx(expected)


def test_interaction_share_of_a_plateau_or_a_small_basin_is_not_identified():
    assert "plateau" in interaction_share(cells(lambda lr, wd: 5.0)).reason
    assert "too small" in interaction_share(cells(valley(0.0), LRS[:2], WDS[:2])).reason
