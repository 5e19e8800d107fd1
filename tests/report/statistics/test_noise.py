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
