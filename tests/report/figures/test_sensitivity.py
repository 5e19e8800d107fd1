import numpy as np
import pandas as pd
import pytest

from experiments.report.data.panels import panels
from experiments.report.data.surface import surface
from experiments.report.figures import sensitivity
from experiments.report.statistics.measure import Settings, measure
from tests.report.report_data import frame, run

RATES = 2.0 ** np.arange(-11, -4, 0.5)
SETTINGS = Settings(metric="test_loss", samples=200, figures=("sensitivity",))
CONVENTION = {"adamw": "decoupled", "torch_adamw": "lr_coupled"}


def rows(optim="adamw", widths=((64, -8.0), (128, -8.0)), sd=0.002, seeds=(0, 1, 2), bend=0.02):
    """Runs whose loss is a parabola in log2 lr around a centre for each width."""
    generator = np.random.default_rng(0)
    return [
        run(optim=optim, convention=CONVENTION[optim], lr=lr, wd=0.1, seed=seed, steps=100,
            id=f"{optim}{width}{lr}{seed}", **{"model.width": float(width)},
            test_loss=2 + bend * (np.log2(lr) - centre) ** 2 + sd * generator.standard_normal())
        for width, centre in widths
        for lr in RATES
        for seed in seeds
    ]  # fmt: skip


def page(*sweeps):
    return measure(panels(frame([r for rows in sweeps for r in rows]), "test_loss"), SETTINGS)


def table(losses, lrs=RATES):
    return surface(pd.DataFrame({"lr": lrs, "wd": 0.1, "test_error": losses}))


def test_the_best_rate_lies_between_cells_where_the_parabola_does():
    for centre in (-8.0, -7.8):
        losses = 2 + 0.02 * (np.log2(RATES) - centre) ** 2
        assert sensitivity.best_rate(table(losses)) == pytest.approx([centre])


def test_a_best_rate_at_the_edge_or_without_a_bend_is_not_identified():
    x = np.log2(RATES)
    assert np.isnan(sensitivity.best_rate(table(2 + 0.01 * x)))
    assert np.isnan(sensitivity.best_rate(table(2 - 0.01 * x)))
    peak = np.where(np.arange(len(x)) == 6, 1.99, 2.0) - 0.05 * np.abs(x - x[6])
    peak[0] = peak[-1] = 0.5
    assert np.isnan(sensitivity.best_rate(table(peak)))


def test_a_diverged_rate_beside_the_best_leaves_it_unknown_and_far_from_it_does_not():
    losses = 2 + 0.02 * (np.log2(RATES) + 8) ** 2
    far, near = losses.copy(), losses.copy()
    far[-1], near[7] = np.nan, np.nan
    assert sensitivity.best_rate(table(far)) == pytest.approx([-8.0])
    assert np.isnan(sensitivity.best_rate(table(near)))


def test_sensitivity_is_the_mean_loss_above_the_lowest():
    assert sensitivity.sensitivity(table([2.0, 1.0, 3.0], RATES[:3])) == pytest.approx([1.0])


def test_the_shift_is_that_of_the_wider_network_in_doublings():
    still = rows("adamw")
    moves = rows("torch_adamw", ((64, -8.0), (128, -9.0)))
    found = sensitivity.shifts(sensitivity.curves(page(still, moves)))
    assert [(optim, step) for optim, step, _ in found] == [
        ("adamw", "64 to 128"), ("torch_adamw", "64 to 128"),
    ]  # fmt: skip
    assert found[0][2].low < 0 < found[0][2].high
    assert found[1][2].value == pytest.approx(-1, abs=0.1)
    assert found[1][2].high < -0.5


def test_one_sentence_says_under_which_convention_it_stays():
    sweeps = rows("adamw"), rows("torch_adamw", ((64, -8.0), (128, -9.0)))
    (line,) = sensitivity.section(page(*sweeps)).verdicts
    assert line.startswith(
        "as the network widens, the best learning rate stays with decay fixed in the paper's units "
        "(64 to 128: "
    )
    assert ", and moves with decay fixed in torch's units (64 to 128: -0.9" in line


def test_a_shift_that_noise_hides_is_not_resolved_and_one_width_says_nothing():
    (line,) = sensitivity.section(page(rows(sd=0.05, bend=0.002))).verdicts
    assert "stays" not in line.split("may stay or move (not resolved)")[0]
    (line,) = sensitivity.section(page(rows(widths=((64, -8.0),)))).verdicts
    assert line.startswith("there is one width only")


def test_the_table_has_a_row_a_width_and_the_file_every_number():
    section = sensitivity.section(page(rows("adamw"), rows("torch_adamw")))
    assert [row[1] for row in section.table] == ["width", "64", "128", "64", "128"]
    assert [row[5] == "-" for row in section.table[1:]] == [False, True, False, True]
    assert 0.0036 < float(section.table[1][2].split(" [")[0]) < 0.0042
    assert set(section.data["statistic"]) == {"log2_best_lr", "sensitivity", "shift"}
    assert len(section.data) == 4 + 4 + 2


def test_a_curve_of_which_all_runs_diverged_has_dashes():
    lost = [row | {"status": "diverged", "test_loss": None} for row in rows("torch_adamw")]
    last = sensitivity.section(page(rows(), lost)).table[-1]
    assert last[1:5] == ["128", "not identified", "-", "not identified"]


def test_the_picture_has_a_panel_a_convention_and_a_line_a_width():
    figure = sensitivity.figure(page(rows("adamw"), rows("torch_adamw", ((64, -8.0), (128, -9.0)))))
    left, right = figure.axes
    assert left.get_title() == "AdamW: wd 0.1 in the paper's units"
    assert right.get_title() == "torch AdamW: wd 0.1 in torch's units"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["width 64", "width 128"]
    best = [line.get_xdata()[0] for line in right.lines if line.get_gid() == "best"]
    assert np.log2(best) == pytest.approx([-8, -9], abs=0.1)
    assert left.get_shared_y_axes().joined(left, right)
