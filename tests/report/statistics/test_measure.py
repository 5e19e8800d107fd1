from dataclasses import replace

import numpy as np
import pytest

from experiments.report.data.panels import panels
from experiments.report.statistics import compare, pairing
from experiments.report.statistics.decoupling import threshold_slope
from experiments.report.statistics.measure import contrast, measure, measure_one
from experiments.report.statistics.noise import Noise
from experiments.report.statistics.settings import Settings
from tests.report.report_data import LRS, WDS, frame, run, sweep, valley


def pair(noise, worse=1.0):
    """Two panels, the best cell of the first ``worse`` points above that of the second."""
    rows = [
        run(optim=optim, lr=float(lr), wd=0.1, test_error=5.0 + extra + abs(np.log2(lr) + 4))
        for optim, extra in (("adam", worse), ("adamw", 0.0))
        for lr in LRS
    ]
    settings = Settings(estimator="argmin")
    both = panels(frame(rows), "test_error")
    return [measure_one(one, sd, settings) for one, sd in zip(both, noise, strict=True)]


def test_a_contrast_has_the_noise_of_all_its_panels():
    sd = Noise(0.01, "a guess")
    found = contrast(pair((sd, sd)), compare.best_error, compare.difference)
    assert found.value == pytest.approx(-1)
    assert found.low < -1 < found.high
    assert found.high - found.low == pytest.approx(4 * 0.01 * 2**0.5, rel=0.2)
    assert found.n == 2 * len(LRS)


def test_a_contrast_is_as_unsure_as_its_unsurest_panel():
    found = contrast(pair((Noise(0.1, "a guess"), None)), compare.best_error, compare.difference)
    assert found.value == pytest.approx(-1)
    assert np.isnan(found.low)
    assert found.note == "no interval without replicates"


def test_a_panel_without_the_statistic_identifies_nothing_and_is_named():
    own, twin = pair((None, None))
    panel = replace(twin.panel, cells=twin.panel.cells.assign(diverged=1))
    lost = measure_one(panel, None, own.settings)
    found = contrast([own, lost], compare.best_error, compare.difference)
    assert found.reason == "AdamW: no cell with decay that has a value"


def rivals(seeds, both, own, noise=0.05):
    """Two panels, AdamW's best a point lower; a seed adds ``both`` to all and ``own`` to AdamW."""
    draw = np.random.default_rng(0).standard_normal
    effects = {seed: (draw(), draw()) for seed in seeds[0] + seeds[1]}
    rows = [
        run(optim=optim, lr=float(lr), wd=float(wd), seed=seed,
            test_error=10 + (optim == "adam") + 0.3 * abs(np.log2(lr) + 4) ** 1.5
            + 0.3 * abs(np.log2(wd) + 6) ** 1.5 + both * effects[seed][0]
            + own * effects[seed][1] * (optim == "adamw") + noise * draw())
        for optim, having in zip(("adam", "adamw"), seeds, strict=True)
        for lr in LRS[2:7] for wd in WDS[3:10] for seed in having
    ]  # fmt: skip
    first, second = measure(panels(frame(rows), "test_error"), Settings())
    return contrast((first, second), compare.best_error, compare.difference, is_error=True)


def test_what_a_seed_adds_to_both_panels_cancels_in_their_difference():
    seeds = ([0, 1, 2], [0, 1, 2])
    plain, moved = rivals(seeds, 0.0, 0.0), rivals(seeds, 2.0, 0.0)
    assert moved.low < -1 < moved.high
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low, rel=0.2)
    assert "paired over 3 seeds" in moved.note


def test_what_a_seed_adds_to_one_panel_or_to_seeds_of_its_own_does_not():
    plain = rivals(([0, 1, 2], [0, 1, 2]), 0.0, 0.0)
    for found in (rivals(([0, 1, 2], [0, 1, 2]), 0.0, 1.0), rivals(([0, 1], [2, 3]), 1.0, 0.0)):
        assert found.high - found.low > 3 * (plain.high - plain.low)
        assert found.low < -1 < found.high


def test_panels_that_have_the_same_seeds_share_them_beside_others_that_have_more():
    draw = np.random.default_rng(0).standard_normal
    effects = {seed: 3 * draw() for seed in range(3)}
    rows = [
        run(optim=optim, schedule=schedule, lr=float(lr), wd=float(wd), seed=seed,
            id=f"{optim}{schedule}{lr}{wd}{seed}", test_error=50 + effects[seed] + 0.01 * draw())
        for schedule, seeds in (("constant", range(2)), ("cosine", range(3)))
        for optim in ("adam", "adamw")
        for lr in LRS[2:5] for wd in WDS[3:6] for seed in seeds
    ]  # fmt: skip
    found, note = pairing.offsets(panels(frame(rows), "test_error"), "test_error", 2.0, 500)
    assert note == "paired: 2 panels over 2 seeds and 2 panels over 3 seeds"
    first, second, third, fourth = np.percentile(np.abs(found), 50, axis=0)
    assert min(first, second, third, fourth) > 0.2
    for one, other in ((0, 2), (1, 3)):  # Adam and AdamW under one schedule
        assert np.percentile(np.abs(found[:, one] - found[:, other]), 50) < 0.02


def test_the_process_reproduces_a_known_ridge_and_says_how_sure_it_is():
    rows = sweep(valley(-0.7), LRS[::2], WDS, range(3), sd=0.2)
    (one,) = measure(panels(frame(rows), "test_error"), Settings())
    assert one.slope.low < -0.7 < one.slope.high
    assert one.slope.high - one.slope.low < 0.4
    line = one.line
    assert ((line["low"] < line["x"]) & (line["x"] < line["high"])).all()
    assert np.log2(line["high"] / line["low"]).mean() < 2


def test_a_report_of_the_same_runs_has_the_same_numbers_and_argmin_has_others():
    rows = sweep(valley(-0.7), LRS[::2], WDS, range(3), sd=0.2)
    found = [
        measure(panels(frame(rows), "test_error"), Settings(estimator=estimator))[0].slope
        for estimator in ("gp", "gp", "argmin")
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_what_a_seed_adds_to_all_runs_of_a_learning_rate_moves_no_minimum():
    draw = np.random.default_rng(1).standard_normal
    plain = sweep(valley(-1.0), LRS[2:7], WDS[2:11], sd=0.05)
    added = {(row["lr"], row["seed"]): 1.5 * draw() for row in plain}
    moved = [
        row | {"test_error": row["test_error"] + added[row["lr"], row["seed"]]} for row in plain
    ]
    widths = []
    for rows in (plain, moved):
        (panel,) = panels(frame(rows), "test_error")
        slope = measure_one(panel, Noise(1.0, "a guess"), Settings(samples=400)).slope
        assert slope.low < -1 < slope.high
        widths.append(slope.high - slope.low)
    assert widths[1] < 1.5 * widths[0]


def test_a_rate_between_those_of_the_grid_has_its_range_and_no_part_in_what_cells_say():
    def ridge(lr, wd):  # in log2; between the grid's rates the best decay is elsewhere
        return 10 + 0.02 * (lr + 4) ** 2 + 0.2 * abs(wd + 6 - 2 * (lr == -3.5)) ** 1.5

    rows = sweep(ridge, LRS[3:7], WDS[2:11], sd=0.01)
    rows += sweep(ridge, [2.0**-3.5], 2.0 ** np.arange(-7, -4), sd=0.01)
    (panel,) = panels(frame(rows), "test_error")
    assert set(panel.grid.cells["lr"]) == set(LRS[3:7])
    found = measure_one(panel, Noise(0.01, "a guess"), Settings(samples=100))
    between = list(found.surface.lr).index(2.0**-3.5)
    there = ~np.isnan(found.surface.error[0])
    assert (there[between] == there[between - 1]).all()
    assert found.slope.basis == "5 of 5 rows x 3 seeds"
    assert found.estimates["near_share"].basis.startswith("36 cells")


def test_cells_that_were_not_run_are_not_what_a_number_rests_on():
    rows = sweep(valley(0.0), LRS[2:7], WDS[2:9], seeds=[0, 1])
    plan = [
        {"optim": "adamw", "lr": lr, "wd": float(wd), "seed": seed}
        for lr in (*map(float, LRS[2:7]), 4.0) for wd in WDS[2:9] for seed in (0, 1)
    ]  # fmt: skip
    (panel,) = panels(frame(rows), "test_error", plan)
    found = measure_one(panel, Noise(0.1, "a guess"), Settings(samples=50))
    assert found.estimates["near_share"].basis == "35 cells x 2 seeds"
    assert found.slope.basis == "5 of 5 rows x 2 seeds"


def test_the_slope_is_also_given_for_other_tolerances_or_levels():
    def bent(lr, wd):  # in log2; the ridge turns where the error is 2.25 points above the best
        off = lr + 6
        return 10 + 1.5 * abs(off) + 0.5 * (wd + 8 - 2 * max(off - 1.5, 0)) ** 2

    (panel,) = panels(frame(sweep(bent, LRS, WDS, seeds=[0], sd=0)), "test_error")
    found = measure_one(panel, None, Settings(estimator="argmin"))
    assert list(found.choices) == [1.0, 3.0, 4.0]
    assert found.choices[3.0].value == found.slope.value == 0
    assert found.choices[4.0].value > 0.1
    by_level = measure_one(panel, None, Settings(estimator="argmin", level=12.0))
    assert list(by_level.choices) == [1.0, 5.0, 10.0, 20.0, 40.0]
    assert by_level.choices[20.0].value == threshold_slope(by_level.surface, 20.0).value
