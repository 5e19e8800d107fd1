import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from experiments.report.figures import collapse
from experiments.report.figures.kinds import Page
from tests.report.report_data import LRS, WDS, sweep, valley
from tests.report.sweep_data import measured

LR = LRS[::2]


def steep(lr, wd):
    """A ridge that stands upright over lambda; the fastest learning rate is far from the best."""
    return valley(0.0, -6.0)(lr, wd) + (9 if lr == 0 else 0)


def panels(error=steep, optims=("adamw",), **settings):
    rows = [
        row
        for optim in optims
        for row in sweep(error, LR, (0.0, *WDS), optim=optim,
                         convention="decoupled" if optim.endswith("w") else "l2")
    ]  # fmt: skip
    return measured(rows, **settings)


def part(measured, name=""):
    return collapse.part(Page(name, measured, pd.DataFrame({"id": []})))


def axes_of(figure):
    """The two axes of the first panel: over the shrink per step, and over torch's weight_decay."""
    return [ax for ax in figure.axes if ax.get_xscale() == "log"][:2]


def marks(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_dots_stand_above_one_another_in_the_coordinate_that_decouples():
    left, right = axes_of(part(panels()).pictures["collapse"].figure)
    for ax, expected in ((left, np.full(4, -6.0)), (right, -6 - np.log2(LR[:4]))):
        at = [float(np.log2(dot.get_xdata()[0])) for dot in marks(ax, "minimum")]
        assert at == pytest.approx(list(expected), abs=0.3)
        assert len(marks(ax, "line")) == len(LR)
        low, high = np.log2(ax.get_xlim())
        assert low < min(at) < max(at) < high
    widths = [np.ptp(np.log2(ax.get_xlim())) for ax in (left, right)]
    assert widths[0] == pytest.approx(widths[1])
    weights = [[text.get_weight() for text in ax.texts] for ax in (left, right)]
    assert weights == [["bold", "normal"], ["normal", "normal"]]


def test_a_learning_rate_that_does_not_count_is_grey_and_the_others_are_bands():
    ax = axes_of(part(panels()).pictures["collapse"].figure)[0]
    lines = [to_hex(line.get_color()) for line in marks(ax, "line")]
    assert [to_hex(collapse.GREY) == own for own in lines] == [False] * 4 + [True]
    assert len(set(lines)) == len(lines)
    assert len(ax.collections) == 4
    low, high = ax.get_ylim()
    assert low < 5 < high < 5 + 3 * 2.0


def test_lowest_cells_are_joined_without_bands():
    ax = axes_of(part(panels(estimator="argmin")).pictures["collapse"].figure)[0]
    assert not ax.collections
    for line, cells in zip(marks(ax, "line"), marks(ax, "cells"), strict=True):
        points = line.get_xydata()
        inside = points[points[:, 1] <= ax.get_ylim()[1]]  # no point is drawn beyond the frame
        assert inside == pytest.approx(cells.get_xydata())


def test_every_number_is_in_the_file_and_the_verdict_follows_from_it():
    found = part(panels(optims=("adam", "adamw")))
    table = found.section.data["collapse"]
    assert list(table["panel"]) == ["Adam + L2"] * 3 + ["AdamW"] * 3
    assert list(table["coordinate"]) == ["step_shrink", "torch_wd", "difference"] * 2
    assert set(table["basis"]) == {"4 of 5 rows x 3 seeds"}
    own = table[table["panel"] == "AdamW"].set_index("coordinate")
    assert own.loc["step_shrink", "high"] < own.loc["torch_wd", "low"]
    assert own.loc["torch_wd", "slope"] == pytest.approx(-1, abs=0.1)
    assert own.loc["step_shrink", "noise"] > 0
    l2, decoupled = found.section.verdicts
    assert "closer together over the L2 coefficient (spread 0." in l2
    assert "closer together over the paper's lambda (spread 0." in decoupled
    assert "than over torch's weight_decay (spread 2." in decoupled
    assert "and stay there as lr moves (ridge slope " in decoupled
    assert decoupled.endswith("; 4 of 5 rows x 3 seeds")
    assert len(found.section.tables[0]) == 3


def test_what_is_half_way_or_slanted_in_both_is_said_so():
    assert (
        "not resolved whether the best decays"
        in part(panels(valley(0.5, -6.0))).section.verdicts[0]
    )
    slanted = part(panels(valley(-0.5, -6.0))).section.verdicts[0]
    assert "closer together over the paper's lambda" in slanted
    assert "but move with lr there too (ridge slope -0." in slanted


def test_thresholds_are_drawn_where_a_task_switches():
    def switch(lr, wd):
        return 50 / (1 + np.exp(4 * (wd + 6)))

    found = part(panels(switch, level=10))
    left, _ = axes_of(found.pictures["collapse"].figure)
    dots = np.array([dot.get_xydata()[0] for dot in marks(left, "minimum")])
    assert dots[:, 1] == pytest.approx(np.full(5, 10), abs=3)
    assert "the thresholds lie closer together over the paper's lambda" in found.section.verdicts[0]


def test_panels_without_two_best_decays_are_left_out_and_a_page_of_them_draws_nothing():
    flat = panels(lambda lr, wd: 5 + 0.1 * wd, estimator="argmin")
    assert part(flat) is None
    page = [*panels(estimator="argmin"), *flat]
    found = part(page, "figure2")
    assert len(axes_of(found.pictures["collapse"].figure)) == 2
    assert len(found.section.verdicts) == 1
    assert "at the edge of the grid in 5 of 5 rows" in found.section.lines[0]
    assert found.section.title.endswith("(Figure 2)")


def test_seven_panels_stand_two_in_a_row_and_hollow_dots_lie_at_the_edge():
    leaning = panels(valley(2.0, -6.0), estimator="argmin")
    figure = part(leaning * 7).pictures["collapse"].figure
    assert figure.get_size_inches()[0] > 10
    dots = marks(axes_of(figure)[0], "minimum")
    assert {to_hex(dot.get_markerfacecolor()) == "#ffffff" for dot in dots} == {True, False}
