import numpy as np
import pytest

from experiments.report.figures import sensitivity
from experiments.report.statistics import best_rate
from tests.report.sweep_data import measured
from tests.report.sweep_data import widths as rows


def page(*sweeps):
    return best_rate.curves(measured([row for rows in sweeps for row in rows], "test_loss"))


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
    (line,) = sensitivity.section(page(rows(centres=((64, -8.0),)))).verdicts
    assert line.startswith("there is one width only")


def test_the_table_has_a_row_a_width_and_the_file_every_number():
    section = sensitivity.section(page(rows("adamw"), rows("torch_adamw")))
    (table,) = section.tables
    assert [row[1] for row in table] == ["width", "64", "128", "64", "128"]
    assert [row[5] == "-" for row in table[1:]] == [False, True, False, True]
    assert 0.0036 < float(table[1][2].split(" [")[0]) < 0.0042
    assert set(section.data["sensitivity"]["statistic"]) == {"log2_best_lr", "sensitivity", "shift"}
    assert len(section.data["sensitivity"]) == 4 + 4 + 2


def test_a_curve_of_which_all_runs_diverged_has_dashes():
    lost = [row | {"status": "diverged", "test_loss": None} for row in rows("torch_adamw")]
    last = sensitivity.section(page(rows(), lost)).tables[0][-1]
    assert last[1:5] == ["128", "not identified", "-", "not identified"]


def test_the_picture_has_a_panel_a_convention_and_a_line_a_width():
    figure = sensitivity.figure(page(rows("adamw"), rows("torch_adamw", ((64, -8.0), (128, -9.0)))))
    left, right = figure.axes
    assert left.get_title() == "AdamW: wd 0.1 in the paper's units"
    assert right.get_title() == "torch AdamW: wd 0.1 in torch's units"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["width 64", "width 128"]
    best = [line.get_xdata()[0] for line in right.lines if line.get_gid() == "best"]
    assert np.log2(best) == pytest.approx([-8, -9], abs=0.1)
    assert left.get_shared_y_axes().joined(left, right)
