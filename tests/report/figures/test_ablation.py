import pytest

from experiments.report.figures import ablation
from experiments.report.statistics import sparing
from tests.report.report_data import frame
from tests.report.sweep_data import sparing as rows


def differences(*sweeps):
    return list(sparing.differences(frame([row for rows in sweeps for row in rows])))


def test_the_section_says_it_task_by_task_and_in_the_unit_of_the_metric():
    section = ablation.section(differences(rows(), rows("cifar10_small_vit", effect={"none": 0.0,
        "norm_and_bias": 0.2, "embeddings_too": 0.0})))  # fmt: skip
    lines = section.verdicts
    vit = [line for line in lines if line.startswith("small CIFAR-10 in patches")]
    what = "small CIFAR-10 in patches: sparing norms and biases"
    assert vit[0].startswith(f"{what} raises the test loss: 0.2")
    assert "does not resolvably change the test loss" in vit[1]
    text = [line for line in lines if line.startswith("Shakespeare")]
    assert text[0].startswith("Shakespeare: sparing norms and biases lowers the test loss: -0.0")
    assert "points" in text[2]
    (table,) = section.tables
    assert len(table) == 1 + 2 * 2 * (4 + 1)
    assert {len(row) for row in table} == {len(table[0])}
    assert len(section.data["ablation"]) == 2 * 2 * 2 * (4 + 1)


def test_a_kind_without_runs_is_a_dash():
    section = ablation.section(differences(rows(effect={"none": 0.0, "embeddings_too": 0.0})))
    assert section.tables[0][1][-2] == "-"


def test_the_picture_has_axes_a_task_and_metric_and_bars_of_the_intervals():
    figure = ablation.figure(differences(rows(), rows("cifar10_small_vit")))
    assert len(figure.axes) == 4
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["small CIFAR-10 in patches\nAdamW"] * 2 + ["Shakespeare\nAdamW"] * 2
    ax = figure.axes[2]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    cells = [f"lr {lr}, wd {wd}" for lr in ("1e-3", "2e-3") for wd in (0.01, 0.04)]
    assert labels == [*cells, "mean of all"]
    points = [bar.lines[0].get_xdata()[0] for bar in ax.containers]
    assert len(points) == 10
    assert min(points) == pytest.approx(-0.1, abs=0.02)
    bars = [bar.lines[2][0].get_segments()[0][:, 0] for bar in ax.containers]
    assert all(low < point < high for (low, high), point in zip(bars, points, strict=True))
