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
    assert numbers["torch_wd"] == pytest.approx(numbers["lambda"] - 1)
    assert numbers["timescale"] == pytest.approx(-numbers["lambda"][[0, 2, 1]])


def test_means_of_cells_have_the_unbiased_variance_of_a_mean_over_the_seeds_that_a_cell_has():
    errors = np.array([[4.0, 5.0, 9.0], [1.0, 3.0, np.nan], [7.0, np.nan, np.nan]])
    (drawn,) = resample.cell_means([np.stack([errors, errors])], [None], 20_000)
    first, values = np.split(drawn, [1])
    assert first[0, 1] == pytest.approx([6, 2, 7])
    assert values.mean(0)[1] == pytest.approx([6, 2, 7], abs=0.1)
    # The lone seed has the pooled variance: (14 + 2) / (2 + 1) of sums of squares over n - 1.
    expected = [np.var([4, 5, 9], ddof=1) / 3, np.var([1, 3], ddof=1) / 2, 16 / 3]
    assert values.var(0)[1] == pytest.approx(expected, rel=0.05)
    assert (values[:, 0, :2] == values[:, 1, :2]).all()  # loss and error of a seed go together


def test_mean_curves_are_drawn_with_the_unbiased_variance_of_a_mean():
    errors = np.array([[4.0], [5.0], [9.0]])
    first, drawn = np.split(resample.mean_curves(errors, errors, 20_000, paired=True)[0], [1])
    assert first.item() == 6
    assert drawn.var() == pytest.approx(np.var(errors, ddof=1) / 3, rel=0.05)


def test_paired_curves_are_drawn_together_and_others_apart():
    errors = np.array([[4.0], [5.0], [9.0]])
    for paired in (True, False):
        first, second = resample.mean_curves(errors, errors, 100, paired=paired)
        assert (first == second).all() == paired


def test_the_deviations_of_a_cell_are_those_of_the_better_half():
    cells = np.array([[1.0, 1.0], [2.0, 4.0], [50.0, 90.0]])
    first, *drawn = resample.pooled_cells(cells, 2000)
    assert (first == cells).all()
    away = np.abs(np.array(drawn) - cells.mean(1, keepdims=True))
    assert away.max() == pytest.approx(2**0.5)
    assert away[:, 0].mean() == pytest.approx(2**0.5 / 2, rel=0.1)  # not its own, which is nothing


def test_a_sample_holds_as_many_things_as_there_are():
    first, *rest = resample.picks(5, 50)
    assert first.tolist() == [0, 1, 2, 3, 4]
    assert {len(one) for one in rest} == {5}
    assert len({tuple(sorted(one)) for one in rest}) > 20
