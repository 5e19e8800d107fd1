import numpy as np
import pandas as pd
import pytest

from experiments.report.data.surface import surface
from experiments.report.statistics import budget
from tests.report.report_data import cells, run
from tests.report.sweep_data import measured

WDS = 2.0 ** np.arange(-8, 9)
X = np.arange(-11, -4)  # log2 of learning rates


def budgets(power, steps=(100, 400, 1600), lrs=(0.5, 1.0), wds=WDS, at=0.0, sd=0.0):
    """Panels whose best wd is 2^at (steps / 400)^-power at every lr, with noise if asked for."""
    draw = np.random.default_rng(0).standard_normal
    rows = [
        run(lr=lr, wd=wd, epochs=n / 100, steps=n, test_error=5 + abs(error) ** 1.5 + sd * draw())
        for n in steps
        for lr in lrs
        for wd in wds
        for error in [0.2 * (np.log2(wd) - at + power * np.log2(n / 400))]
    ]
    return measured(rows)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_an_exact_power_law_has_its_exponent(power):
    found = budget.exponent(budgets(power))
    assert found.value == pytest.approx(power, abs=0.02)
    assert found.low < power < found.high


def test_noise_widens_the_interval_of_the_exponent():
    still, noisy = (budget.exponent(budgets(0.5, sd=sd)) for sd in (0.01, 0.3))
    assert noisy.low < 0.5 < noisy.high
    assert noisy.high - noisy.low > 1.2 * (still.high - still.low)


def test_the_best_decay_is_the_geometric_mean_over_learning_rates():
    table = cells(lambda lr, wd: 5 + 0.1 * (wd - lr) ** 2, [1.0, 4.0], WDS)
    assert budget.best_decay(surface(table)).value == pytest.approx(1.0)


def test_a_row_whose_minimum_is_at_the_edge_is_left_out():
    table = cells(lambda lr, wd: 5 + 0.1 * abs(wd - (1 if lr == 0 else 9)), [1.0, 4.0], WDS)
    assert budget.best_decay(surface(table)).value == pytest.approx(1.0)
    edge = cells(lambda lr, wd: 5 - 0.1 * wd, [1.0], WDS)
    assert budget.best_decay(surface(edge)).reason


def rates(errors):
    """A table over learning rates whose lowest error at each is given; another decay is worse."""
    known = dict(zip(2.0**X, errors, strict=True))
    table = pd.DataFrame([{"lr": lr, "wd": wd} for lr in known for wd in (0.1, 0.2)])
    table["test_error"] = [known[lr] + (wd > 0.1) for lr, wd in table.to_numpy()]
    return surface(table)


@pytest.mark.parametrize("centre", [-8.0, -7.7])
def test_the_best_rate_lies_between_cells_where_the_parabola_does(centre):
    assert budget.best_rate(rates(2 + 0.02 * (X - centre) ** 2)).value == pytest.approx(centre)


def test_a_best_rate_at_the_edge_or_without_a_bend_is_not_identified():
    spike = np.array([3.0, 1.0, 1.9, 0.99, 1.9, 1.0, 3.0])  # around which there is a hill
    for errors in (2 + 0.01 * X, 2 - 0.01 * X, spike):
        assert "edge" in budget.best_rate(rates(errors)).reason


def test_a_diverged_rate_beside_the_best_leaves_it_unknown_and_far_from_it_does_not():
    far, near = (2 + 0.02 * (X + 8.0) ** 2 for _ in range(2))
    far[-1], near[4] = np.nan, np.nan
    assert budget.best_rate(rates(far)).value == pytest.approx(-8.0)
    assert "edge" in budget.best_rate(rates(near)).reason


def test_a_budget_off_the_grid_is_left_out_and_two_are_needed():
    found = budget.exponent(budgets(1.0, steps=(100, 400, 400 * 2**12)))
    assert found.value == pytest.approx(1.0, abs=0.02)
    assert found.note.startswith("2 of 3 budgets")
    lone = budget.exponent(budgets(1.0, steps=(400, 400 * 2**12)))
    assert lone.reason.startswith("1 of 2 budgets have a best wd inside the grid")
