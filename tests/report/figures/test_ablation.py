import numpy as np
import pytest

from experiments.report.figures import ablation
from tests.report.report_data import frame, run

EFFECT = {"none": 0.0, "norm_and_bias": -0.1, "embeddings_too": 0.0}


def rows(task="shakespeare", sd=0.01, seeds=range(4), effect=EFFECT):
    """Runs at two rates and two decays; a seed adds the same, and much, to all three."""
    generator = np.random.default_rng(0)
    shared = {seed: generator.standard_normal() for seed in seeds}
    return [
        run(task=task, lr=lr, wd=wd, seed=seed, no_decay=spared, id=f"{task}{lr}{wd}{seed}{spared}",
            test_loss=2 + lr + shared[seed] + change + sd * generator.standard_normal(),
            test_error=50 + 10 * shared[seed] + 10 * change + sd * generator.standard_normal())
        for lr in (0.001, 0.002)
        for wd in (0.01, 0.04)
        for seed in seeds
        for spared, change in effect.items()
    ]  # fmt: skip


def found(*sweeps, metric="test_loss", cell=None):
    return {
        (one.task, one.spared): one.estimate
        for one in differences(*sweeps)
        if one.metric == metric and one.cell == cell
    }


def differences(*sweeps):
    return list(ablation.differences(frame([row for rows in sweeps for row in rows])))


def test_a_difference_is_paired_by_seed_so_that_what_seeds_share_does_not_widen_it():
    estimates = found(rows())
    better, same = (estimates["shakespeare", name] for name in list(EFFECT)[1:])
    assert better.value == pytest.approx(-0.1, abs=0.01)
    assert better.high - better.low < 0.05  # the seeds themselves differ by 1
    assert better.high < 0
    assert same.low < 0 < same.high
    assert better.n == 2 * 2 * 4


def test_a_cell_has_a_difference_of_its_own():
    (one,) = found(rows(effect={"none": 0.0, "norm_and_bias": -0.1}),
                   cell=("adamw", 0.001, 0.04)).values()  # fmt: skip
    assert one.value == pytest.approx(-0.1, abs=0.02)
    assert one.n == 4


def test_one_seed_has_no_interval_and_a_lost_partner_takes_its_pair_along():
    (lone, *_) = found(rows(seeds=range(1))).values()
    assert np.isnan(lone.low)
    sweep = rows()
    sweep[0] |= {"status": "diverged", "test_loss": None, "test_error": None}  # all decay
    (one, *_) = found(sweep, cell=("adamw", 0.001, 0.01)).values()
    assert one.n == 3


def test_the_section_says_it_task_by_task_and_in_the_unit_of_the_metric():
    section = ablation.section(differences(rows(), rows("cifar10_small_vit", effect={"none": 0.0,
        "norm_and_bias": 0.2, "embeddings_too": 0.0})))  # fmt: skip
    lines = section.verdicts
    vit = [line for line in lines if line.startswith("cifar10_small_vit")]
    assert vit[0].startswith("cifar10_small_vit: sparing norms, biases raises the test loss: 0.2")
    assert "does not resolvably change the test loss" in vit[1]
    text = [line for line in lines if line.startswith("shakespeare")]
    assert text[0].startswith("shakespeare: sparing norms, biases lowers the test loss: -0.0")
    assert "points" in text[2]
    assert len(section.table) == 1 + 2 * 2 * (4 + 1)
    assert all(len(row) == len(section.table[0]) for row in section.table)
    assert len(section.data) == 2 * 2 * 2 * (4 + 1)


def test_a_kind_without_runs_is_a_dash_and_without_the_base_there_is_nothing():
    section = ablation.section(differences(rows(effect={"none": 0.0, "embeddings_too": 0.0})))
    assert section.table[1][-2] == "-"
    assert found(rows(effect={"norm_and_bias": 0.0, "embeddings_too": 0.0})) == {}


def test_the_picture_has_axes_a_task_and_metric_and_bars_of_the_intervals():
    figure = ablation.figure(differences(rows(), rows("cifar10_small_vit")))
    assert len(figure.axes) == 4
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["cifar10_small_vit"] * 2 + ["shakespeare"] * 2
    ax = figure.axes[2]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["1e-3, 0.01", "1e-3, 0.04", "2e-3, 0.01", "2e-3, 0.04", "all cells"]
    points = [bar.lines[0].get_xdata()[0] for bar in ax.containers]
    assert len(points) == 10
    assert min(points) == pytest.approx(-0.1, abs=0.02)
    bars = [bar.lines[2][0].get_segments()[0][:, 0] for bar in ax.containers]
    assert all(low < point < high for (low, high), point in zip(bars, points, strict=True))
