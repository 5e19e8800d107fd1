import numpy as np
import pytest

from experiments.report.data.panels import panels
from experiments.report.statistics import bootstrap
from experiments.report.statistics.measure import Settings, measure
from tests.report.report_data import LRS, WDS, frame, run, sweep, valley


def test_noise_of_replicates_is_the_root_of_half_the_mean_squared_difference():
    rows = [
        run(optim=optim, lr=lr, wd=0.0, test_error=error, commit="")
        for optim, errors in (("adam", [5.0, 6.0, 9.0]), ("adamw", [5.3, 5.6, 9.0]))
        for lr, error in zip((0.1, 0.2, 0.4), errors, strict=True)
    ]
    noise = bootstrap.replicate_noise(panels(frame(rows), "test_error"), "test_error")
    assert noise[0] == noise[1]
    assert noise[0].sd == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 6))
    assert noise[0].basis == "3 pairs of wd = 0 cells"


def test_runs_of_the_laboratory_share_their_seeds_and_are_no_replicates():
    rows = [
        run(optim=optim, lr=lr, wd=0.0, test_error=5.0 + 0.001 * (optim == "adam") * lr)
        for optim in ("adam", "adamw")
        for lr in (0.1, 0.2)
    ]
    assert bootstrap.replicate_noise(panels(frame(rows), "test_error"), "test_error") == [None] * 2


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
    assert bootstrap.replicate_noise(found, "test_error") == [None] * 4


def test_seed_noise_pools_the_cells_with_several_seeds():
    rows = [run(seed=0, test_error=4.0), run(seed=1, test_error=6.0), run(lr=0.1)]
    (panel,) = panels(frame(rows), "test_error")
    assert bootstrap.seed_noise(panel, "test_error").sd == pytest.approx(np.sqrt(2))


def test_samples_keep_the_mean_and_have_the_unbiased_variance_of_a_mean():
    rows = [run(seed=seed, test_error=value) for seed, value in enumerate((4.0, 5.0, 9.0))]
    (panel,) = panels(frame(rows), "test_error")
    noise = bootstrap.seed_noise(panel, "test_error")
    drawn = np.concatenate(
        list(bootstrap.samples(panel, "test_error", "typed", 20_000, noise))
    ).ravel()
    assert drawn.mean() == pytest.approx(6.0, abs=0.05)
    assert drawn.var() == pytest.approx(np.var([4, 5, 9], ddof=1) / 3, rel=0.05)


def test_one_seed_without_replicates_gives_no_samples():
    (panel,) = panels(frame([run()]), "test_error")
    assert list(bootstrap.samples(panel, "test_error", "typed", 10, None)) == []


def test_bounds_and_diverged_cells_stay_as_they_are():
    rows = [run(lr=0.1, clipped="high", test_error=7.0), run(lr=0.2), run(lr=0.4)]
    rows[2] |= {"status": "diverged", "test_error": None}
    (panel,) = panels(frame(rows), "test_error")
    noise = bootstrap.Noise(0.5, "a guess")
    (drawn,) = bootstrap.samples(panel, "test_error", "typed", 100, noise)
    assert (drawn[:, 0, 0] == 7.0).all()
    assert drawn[:, 1, 0].std() == pytest.approx(0.5, rel=0.3)
    assert np.isinf(drawn[:, 2, 0]).all()


def test_interval_is_around_the_estimate_and_within_the_limits():
    values = np.linspace(1.0, 2.0, 101)
    assert bootstrap.interval(values, 0.3) == pytest.approx((0.3 - 0.475, 0.3 + 0.475))
    assert bootstrap.interval(values, 0.3, (0.0, 0.5)) == (0.0, 0.5)


def test_interval_needs_half_of_the_samples():
    values = np.full(100, np.nan)
    values[:49] = 1.0
    assert np.isnan(bootstrap.interval(values, 1.0)).all()


def test_interval_covers_the_true_slope_and_shrinks_with_seeds():
    widths = []
    for seeds in (2, 12):
        rows = sweep(valley(-0.5), LRS[::2], WDS, range(seeds), sd=0.2)
        (one,) = measure(panels(frame(rows), "test_error"), Settings(samples=400))
        row = one.row("ridge_slope")
        assert row["low"] <= -0.5 <= row["high"]
        widths.append(row["high"] - row["low"])
    assert widths[1] < widths[0]


def test_the_same_runs_give_the_same_interval_and_a_shifted_one_in_another_coordinate():
    found = panels(frame(sweep(valley(-0.5), LRS[::2], WDS, sd=0.2)), "test_error")
    by_axis = {
        axis: measure(found, Settings(axis=axis, samples=100))[0].row("ridge_slope")
        for axis in ("typed", "lambda", "torch_wd", "timescale")
    }
    numbers = {axis: row[["value", "low", "high"]].to_numpy(float) for axis, row in by_axis.items()}
    assert numbers["typed"] == pytest.approx(numbers["lambda"])
    assert numbers["torch_wd"] == pytest.approx(numbers["lambda"] - 1)
    assert numbers["timescale"] == pytest.approx(-numbers["lambda"][[0, 2, 1]])
