import numpy as np
import pytest

from experiments.report.data.panels import panels
from experiments.report.statistics import resample
from experiments.report.statistics.measure import measure
from experiments.report.statistics.noise import Noise, seed_noise
from experiments.report.statistics.settings import Settings
from tests.report.report_data import LRS, WDS, frame, run, sweep, valley


def drawn(panel, samples, noise):
    """Errors of a panel's table, (1 + S, L, W)."""
    return resample.panel_surface(panel, Settings(samples=samples), noise).error


def test_samples_keep_the_mean_and_have_the_unbiased_variance_of_a_mean():
    rows = [run(seed=seed, test_error=value) for seed, value in enumerate((4.0, 5.0, 9.0))]
    (panel,) = panels(frame(rows), "test_error")
    first, *values = drawn(panel, 20_000, seed_noise(panel, "test_error")).ravel()
    assert first == 6
    assert np.mean(values) == pytest.approx(6.0, abs=0.05)
    assert np.var(values) == pytest.approx(np.var([4, 5, 9], ddof=1) / 3, rel=0.05)


def test_one_seed_without_replicates_gives_no_samples():
    (panel,) = panels(frame([run()]), "test_error")
    assert drawn(panel, 10, None).tolist() == [[[5.0]]]


def test_bounds_and_diverged_cells_stay_as_they_are():
    rows = [run(lr=0.1, clipped="high", test_error=7.0), run(lr=0.2), run(lr=0.4)]
    rows[2] |= {"status": "diverged", "test_error": None}
    (panel,) = panels(frame(rows), "test_error")
    values = drawn(panel, 100, Noise(0.5, "a guess"))
    assert (values[:, 0, 0] == 7.0).all()
    assert values[:, 1, 0].std() == pytest.approx(0.5, rel=0.3)
    assert np.isinf(values[:, 2, 0]).all()


def test_interval_covers_the_true_slope_and_shrinks_with_seeds():
    widths = []
    for seeds in (2, 12):
        rows = sweep(valley(-0.5), LRS[::2], WDS, range(seeds), sd=0.2)
        (one,) = measure(panels(frame(rows), "test_error"), Settings(samples=400))
        assert one.slope.low <= -0.5 <= one.slope.high
        widths.append(one.slope.high - one.slope.low)
    assert widths[1] < widths[0]


def test_the_same_runs_give_the_same_interval_and_a_shifted_one_in_another_coordinate():
    found = panels(frame(sweep(valley(-0.5), LRS[::2], WDS, sd=0.2)), "test_error")
    by_axis = {
        axis: measure(found, Settings(axis=axis, samples=100))[0].slope
        for axis in ("typed", "lambda", "torch_wd", "timescale")
    }
    numbers = {axis: np.array([e.value, e.low, e.high]) for axis, e in by_axis.items()}
    assert numbers["typed"] == pytest.approx(numbers["lambda"])
    # The fine grid starts elsewhere in another coordinate, so its points and draws differ.
    assert numbers["torch_wd"] == pytest.approx(numbers["lambda"] - 1, abs=0.04)
    assert numbers["timescale"] == pytest.approx(-numbers["lambda"][[0, 2, 1]], abs=0.04)


def test_what_a_seed_adds_to_all_cells_moves_them_together():
    rows = [run(lr=lr, seed=seed, test_error=5 + lr + add)
            for lr in (0.1, 0.2, 0.4) for seed, add in enumerate((-1.0, 0.0, 1.0))]  # fmt: skip
    (panel,) = panels(frame(rows), "test_error")
    values = drawn(panel, 5000, seed_noise(panel, "test_error"))[1:, :, 0]
    assert np.ptp(values - values[:1], axis=1).max() == pytest.approx(0, abs=1e-9)
    assert values[:, 0].var() == pytest.approx(1 / 3, rel=0.1)


def test_a_sample_holds_as_many_things_as_there_are():
    first, *rest = resample.picks(5, 50)
    assert first.tolist() == [0, 1, 2, 3, 4]
    assert {len(one) for one in rest} == {5}
    assert len({tuple(sorted(one)) for one in rest}) > 20
