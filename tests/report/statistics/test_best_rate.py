import numpy as np
import pandas as pd
import pytest

from experiments.report.data.surface import surface
from experiments.report.statistics import best_rate
from tests.report.sweep_data import WIDTH_RATES, measured, widths


def page(*sweeps):
    return best_rate.curves(measured([row for rows in sweeps for row in rows], "test_loss"))


def table(losses, lrs=WIDTH_RATES):
    return surface(pd.DataFrame({"lr": lrs, "wd": 0.1, "test_error": losses}))


def test_the_best_rate_lies_between_cells_where_the_parabola_does():
    for centre in (-8.0, -7.8):
        losses = 2 + 0.02 * (np.log2(WIDTH_RATES) - centre) ** 2
        assert best_rate.best_rate(table(losses)).value == pytest.approx(centre)


def test_a_best_rate_at_the_edge_or_without_a_bend_is_not_identified():
    x = np.log2(WIDTH_RATES)
    assert "edge" in best_rate.best_rate(table(2 + 0.01 * x)).reason
    assert "edge" in best_rate.best_rate(table(2 - 0.01 * x)).reason
    peak = np.where(np.arange(len(x)) == 6, 1.99, 2.0) - 0.05 * np.abs(x - x[6])
    peak[0] = peak[-1] = 0.5
    assert "edge" in best_rate.best_rate(table(peak)).reason


def test_a_diverged_rate_beside_the_best_leaves_it_unknown_and_far_from_it_does_not():
    losses = 2 + 0.02 * (np.log2(WIDTH_RATES) + 8) ** 2
    far, near = losses.copy(), losses.copy()
    far[-1], near[7] = np.nan, np.nan
    assert best_rate.best_rate(table(far)).value == pytest.approx(-8.0)
    assert "edge" in best_rate.best_rate(table(near)).reason


def test_sensitivity_is_the_mean_loss_above_the_lowest():
    found = best_rate.sensitivity(table([2.0, 1.0, 3.0], WIDTH_RATES[:3]))
    assert found.value == pytest.approx(1.0)


def test_the_shift_is_that_of_the_wider_network_in_doublings():
    still = widths("adamw")
    moves = widths("torch_adamw", ((64, -8.0), (128, -9.0)))
    found = best_rate.shifts(page(still, moves))
    steps = [(wide.optim, narrow.width, wide.width) for narrow, wide, _ in found]
    assert steps == [("adamw", 64, 128), ("torch_adamw", 64, 128)]
    assert found[0][2].low < 0 < found[0][2].high
    assert found[1][2].value == pytest.approx(-1, abs=0.1)
    assert found[1][2].high < -0.5
