import numpy as np
import pytest

from experiments.report.data.panels import panels
from experiments.report.statistics import noise
from tests.report.report_data import frame, run


def test_noise_of_replicates_is_the_root_of_half_the_mean_squared_difference():
    rows = [
        run(optim=optim, lr=lr, wd=0.0, test_error=error, commit="")
        for optim, errors in (("adam", [5.0, 6.0, 9.0]), ("adamw", [5.3, 5.6, 9.0]))
        for lr, error in zip((0.1, 0.2, 0.4), errors, strict=True)
    ]
    found = noise.replicate_noise(panels(frame(rows), "test_error"), "test_error")
    assert found[0] == found[1]
    assert found[0].sd == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 6))
    assert found[0].basis == "3 pairs of wd = 0 cells"


def test_runs_of_the_laboratory_share_their_seeds_and_are_no_replicates():
    rows = [
        run(optim=optim, lr=lr, wd=0.0, test_error=5.0 + 0.001 * (optim == "adam") * lr)
        for optim in ("adam", "adamw")
        for lr in (0.1, 0.2)
    ]
    assert noise.replicate_noise(panels(frame(rows), "test_error"), "test_error") == [None] * 2


def test_clipped_cells_and_equal_columns_are_no_replicates():
    rows = [
        run(
            optim=optim,
            lr=lr,
            wd=0.0,
            test_error=7.0,
            clipped="high" if optim == "sgd" else None,
            commit="",
        )
        for optim in ("adam", "adamw", "sgd", "sgdw")
        for lr in (0.1, 0.2)
    ]
    found = panels(frame(rows), "test_error")
    assert noise.replicate_noise(found, "test_error") == [None] * 4


def test_seed_noise_pools_the_cells_with_several_seeds():
    rows = [run(seed=0, test_error=4.0), run(seed=1, test_error=6.0), run(lr=0.1)]
    (panel,) = panels(frame(rows), "test_error")
    assert noise.seed_noise(panel, "test_error").sd == pytest.approx(np.sqrt(2))


def rows_of_runs(rows, cells, seeds, of_row, of_cell):
    """Deviations of runs, to which a seed adds something in each row, and the rows."""
    draw = np.random.default_rng(0).standard_normal
    row = np.repeat(np.arange(rows), cells)
    runs = of_row * draw((rows, seeds))[row] + of_cell * draw((rows * cells, seeds))
    return noise.seed_effects(runs)[1], row


def test_what_a_seed_adds_to_a_row_is_found_and_is_nothing_where_there_is_nothing():
    effects, variance, taken = noise.row_effects(*rows_of_runs(40, 6, 4, 2.0, 0.5))
    assert variance == pytest.approx(4.0, rel=0.3)
    assert 0.9 * 39 * 3 < taken <= 40 * 3
    left, row = rows_of_runs(40, 6, 4, 2.0, 0.5)
    assert (left - effects).std() < 0.3 * left.std()
    assert (effects[row == 3] == effects[row == 3][0]).all()
    free = [noise.row_effects(*rows_of_runs(n, 5, 3, 0.0, 1.0))[1] for n in (10, 20, 40)]
    assert max(free) < 0.1
    left, row = rows_of_runs(1, 9, 3, 2.0, 0.5)
    assert noise.row_effects(left, row) == (pytest.approx(np.zeros((9, 3))), 0.0, 0.0)
