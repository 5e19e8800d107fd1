import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.report.data import coordinates, names
from experiments.report.data.panels import panels
from experiments.report.figures import heatmap, panel_axes, style
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings
from tests.report.report_data import LRS, WDS, frame, run, sweep, valley


def drawn(rows, axis="typed", planned=None, **options):
    (panel,) = panels(frame(rows), "test_error", planned)
    ax = Figure().subplots()
    return panel_axes.heatmap(panel.cells, axis=axis, ax=ax, **options), panel.cells


def marks(ax, gid):
    return np.concatenate(
        [np.empty((0, 2))] + [line.get_xydata() for line in ax.lines if line.get_gid() == gid]
    )


def framed(ax):
    """Centres of the framed cells."""
    boxes = [c for c in ax.collections if c.get_gid() == "top"]
    return [tuple(path.vertices[:4].mean(0)) for box in boxes for path in box.get_paths()]


def test_ten_best_are_framed_and_the_best_has_the_star():
    ax, cells = drawn(sweep(valley(-1.0), LRS, WDS, seeds=[0], sd=0.01))
    best = cells.nsmallest(10, "test_error")
    expected = np.log2(best[["wd", "lr"]].to_numpy())
    np.testing.assert_allclose(sorted(framed(ax)), sorted(map(tuple, expected)))
    assert np.abs(marks(ax, "best")[0] - expected[0]).max() < 0.5


def test_nothing_is_framed_where_ten_are_an_arbitrary_choice_or_half_of_the_table():
    level, _ = drawn(sweep(lambda lr, wd: 5.0 + (wd < -8), LRS, WDS, seeds=[0], sd=0))
    assert framed(level) == []
    few, _ = drawn(sweep(valley(-1.0), LRS[:3], WDS[:5], seeds=[0], sd=0.01))
    assert framed(few) == []
    assert len(marks(few, "best")) == 1


def test_wd_zero_is_a_column_apart():
    ax, cells = drawn(sweep())
    boxes = panel_axes.layout(cells, "typed")
    zero = (cells.wd == 0).to_numpy()
    assert boxes[zero, 1].max() < boxes[~zero, 0].min()
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == "0"


def test_no_decay_is_at_the_far_end_of_the_averaging_time():
    ax, cells = drawn(sweep(), axis="timescale")
    boxes = panel_axes.layout(cells, "timescale")
    zero = (cells.wd == 0).to_numpy()
    assert boxes[zero, 0].min() > boxes[~zero, 1].max()
    assert ax.get_xticklabels()[-1].get_text() == r"$\infty$"


def test_another_convention_shears_the_rows():
    _, cells = drawn(sweep(lrs=LRS))
    boxes = panel_axes.layout(cells, "torch_wd")
    left = [boxes[((cells.lr == lr) & (cells.wd > 0)).to_numpy(), 0].min() for lr in LRS]
    assert np.diff(left) == pytest.approx(-np.ones(8))


def test_boxes_of_a_row_touch_and_do_not_overlap():
    _, cells = drawn(sweep(wds=(0.0, 1e-4, 3e-4, 1e-3, 1e-2)))
    boxes = panel_axes.layout(cells, "typed")[(cells.lr == cells.lr.min()) & (cells.wd > 0)]
    assert boxes[1:, 0] == pytest.approx(boxes[:-1, 1])


def test_cells_above_and_below_close_the_gap_where_a_rate_has_few_decays():
    rows = [run(lr=2.0**k, wd=wd) for k in (0, 1, 2, 5) for wd in (0.1, 0.2)]
    rows += [run(lr=2.0**1.5, wd=0.2)]
    _, cells = drawn(rows)
    boxes = panel_axes.layout(cells, "typed")[:, 2:]
    short, long = ([list(box) for box in boxes[cells.wd == wd]] for wd in (0.1, 0.2))
    assert short == [[-0.5, 0.5], [0.5, 1.5], [1.5, 3.5], [3.5, 6.5]]
    assert long == [[-0.5, 0.5], [0.5, 1.25], [1.25, 1.75], [1.75, 3.5], [3.5, 6.5]]
    _, cells = drawn([*rows, run(lr=1.0, wd=0.4), run(lr=32.0, wd=0.4)])
    boxes = panel_axes.layout(cells, "typed")[cells.wd == 0.4, 2:]
    assert boxes.tolist() == [[-1.5, 1.5], [3.5, 6.5]]  # half of the widest step of the table
    _, cells = drawn([*rows, run(lr=4.0, wd=0.4)])
    boxes = panel_axes.layout(cells, "typed")[cells.wd == 0.4, 2:]
    assert boxes.tolist() == [[0.5, 3.5]]


@pytest.mark.parametrize("axis", coordinates.AXES)
def test_cells_never_overlap(axis):
    rows = [run(lr=2.0**k, wd=2.0**-i) for k in (-5, -4, -3) for i in (3, 4, 5, 6)]
    _, cells = drawn([*rows, run(lr=2.0**-4.5, wd=2.0**-4)], axis=axis)
    boxes = panel_axes.layout(cells, axis)
    for one in boxes:
        other = boxes[~(boxes == one).all(1)]
        apart = np.minimum(one[1::2], other[:, 1::2]) - np.maximum(one[::2], other[:, ::2])
        assert (apart.min(1) < 1e-9).all()


def test_ticks_stand_at_the_rates_of_the_grid():
    rows = [run(lr=2.0**k, wd=wd) for k in (0, 1, 2) for wd in (0.1, 0.2, 0.4)]
    ax, _ = drawn([*rows, run(lr=2.0**0.5, wd=0.2)])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1", "2", "4"]


def test_diverged_partial_hidden_and_missing_cells_are_marked_and_have_no_colour():
    rows = [run(lr=lr, test_error=lr) for lr in (1.0, 2.0, 4.0, 8.0)]
    rows[1] |= {"status": "diverged", "test_error": None}
    rows[2]["test_error"] = None
    rows += [run(lr=8.0, seed=1, status="diverged", test_error=None)]
    plan = [{"lr": lr, "wd": 0.01, "seed": 0} for lr in (1.0, 2.0, 4.0, 8.0, 16.0)]
    ax, cells = drawn(rows, planned=plan)
    assert list(cells.status) == ["finished", "diverged", "hidden", "partial", "missing"]
    assert list(ax.collections[0].get_array()) == [1.0]
    assert marks(ax, "diverged")[:, 1] == pytest.approx([1])
    assert marks(ax, "partial")[:, 1] == pytest.approx([3])
    (gone,) = [c for c in ax.collections if c.get_gid() == "missing"]
    assert gone.get_hatch()
    assert len(gone.get_paths()) == 1


def test_bounds_have_the_colour_above_the_scale_and_are_not_ringed():
    rows = [run(lr=lr, test_error=lr, clipped="high" if lr > 4 else None) for lr in (1, 2, 4, 7)]
    ax, _ = drawn(rows)
    mesh = ax.collections[0]
    assert mesh.norm.vmax == 7
    assert mesh.get_array()[3] > 7
    assert tuple(mesh.cmap(mesh.norm(mesh.get_array()[3]))) == tuple(mesh.cmap.get_over())
    assert framed(ax) == []


def test_one_terrible_cell_does_not_flatten_the_scale():
    cells = pd.DataFrame({"test_error": [*np.linspace(40, 45, 20), 90.0]})
    norm = panel_axes.scale([cells.assign(status="finished", bound="")], "test_error")
    assert (norm.vmin, norm.vmax) == (40, pytest.approx(45, abs=1))


def test_the_scale_is_spent_on_the_basin_unless_the_task_switches():
    cells = pd.DataFrame({"test_error": np.linspace(40, 90, 50)})
    cells = cells.assign(status="finished", bound="")
    assert panel_axes.scale([cells], "test_error", basin=8.0).vmax == pytest.approx(48)
    assert panel_axes.scale([cells], "test_error", basin=8.0, switches=True).vmax > 80


def test_what_lies_beyond_the_scale_has_a_colour_that_the_scale_has_not():
    colours = style.colour_map()
    assert np.abs(np.subtract(colours(1.0), colours(1.5))).max() > 0.2


def numbers(ax):
    return [text.get_text() for text in ax.texts if text.get_gid() == "number"]


def test_each_cell_has_its_mean_where_cells_are_large_enough_or_where_it_is_asked_for():
    rows = sweep(valley(-1.0), LRS[:4], WDS[:6], seeds=[0, 1], sd=0.1)
    (panel,) = panels(frame(rows), "test_error")
    expected = sorted(f"{error:.1f}" for error in panel.cells["test_error"])

    def shown(rows, choice):
        found = panels(frame(rows), "test_error")
        measured = measure(found, Settings(samples=0, numbers=choice))
        return numbers(heatmap.heatmaps(heatmap.arrange(measured)).axes[0])

    assert sorted(shown(rows, None)) == expected
    assert shown(rows, False) == []
    crowded = sweep(valley(-1.0), LRS, 2.0 ** np.arange(-30, 0), seeds=[0])
    assert shown(crowded, None) == []
    assert len(shown(crowded, True)) == 9 * 30


def test_the_legend_names_what_is_drawn_and_nothing_else():
    measured = page(sweep(lambda lr, wd: 9 - wd, LRS[:3], WDS[:5], seeds=[0]))
    figure = heatmap.heatmaps(heatmap.arrange(measured))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["best cell", "above the scale"]
    rich = measure(
        panels(frame(sweep(valley(-1.0), LRS, WDS, sd=0.1)), "test_error"), Settings(samples=50)
    )
    legend = heatmap.heatmaps(heatmap.arrange(rich)).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [
        "best cell", "ten best", "best decay of each rate", "its 95 % interval", "slope 0",
        "slope \N{MINUS SIGN}1", "above the scale",
    ]  # fmt: skip


def test_a_frame_that_still_has_seeds_is_refused():
    cells = pd.DataFrame({"lr": [1, 1], "wd": [1, 1]})
    with pytest.raises(ValueError, match="average over seeds first"):
        panel_axes.heatmap(cells, ax=Figure().subplots())


def page(*sweeps):
    found = panels(frame([row for rows in sweeps for row in rows]), "test_error")
    return measure(found, Settings(samples=0))


def test_panels_of_a_page_share_one_scale_and_their_titles_name_optimizer_and_slope():
    measured = page(sweep(optim="adam", convention="l2"), sweep(valley(-1.0), lrs=LRS))
    figure = heatmap.heatmaps(heatmap.arrange(measured))
    left, right = figure.axes[:2]
    assert left.collections[0].norm is right.collections[0].norm
    assert [ax.get_title() for ax in (left, right)] == ["Adam + L2", "AdamW"]
    assert right.title.get_color() == style.colour("adamw")
    slope = next(text.get_text() for text in right.texts if text.get_gid() == "slope")
    assert slope.startswith("ridge slope \N{MINUS SIGN}1.0")
    assert "L2 coefficient" in left.get_xlabel()
    assert "paper" in right.get_xlabel()
    assert "test set; mean over 3 seeds" in figure.legends[0].get_title().get_text()


def test_ridge_is_drawn_in_the_colour_of_the_optimizer_and_not_without_a_slope():
    measured = page(
        sweep(valley(-1.0), lrs=LRS, wds=WDS), sweep(lambda lr, wd: 9 - wd, optim="adam")
    )
    figure = heatmap.heatmaps(heatmap.arrange(measured))
    assert not len(marks(figure.axes[0], "ridge"))
    (ridge,) = [line for line in figure.axes[1].lines if line.get_gid() == "ridge"]
    assert ridge.get_color() == style.colour("adamw")
    assert np.polyfit(ridge.get_ydata(), ridge.get_xdata(), 1)[0] == pytest.approx(-1, abs=0.2)


def test_pages_are_arranged_as_the_paper_does():
    def titles(measured):
        return [[one and one.panel.name for one in row] for row in heatmap.arrange(measured)]

    few = {"lrs": LRS[:2], "wds": WDS[:2], "seeds": [0]}
    four = page(*(sweep(optim=optim, **few) for optim in ("adamw", "sgd", "adam", "sgdw")))
    assert titles(four) == [["SGD + L2", "SGDW"], ["Adam + L2", "AdamW"]]
    schedules = [("adamw", "step"), ("adam", "constant"), ("adamw", "constant")]
    six = page(*(sweep(optim=optim, schedule=s, **few) for optim, s in schedules))
    assert titles(six) == [["Adam + L2, constant", None], ["AdamW, constant", "AdamW, step"]]


def test_settings_that_a_schedule_brings_with_it_open_no_rows():
    few = {"lrs": LRS[:2], "wds": WDS[:2], "seeds": [0]}
    brought = {"constant": None, "step": 0.1}
    measured = page(
        *(
            sweep(optim=optim, schedule=schedule, **few, **{"schedule.factor": factor})
            for optim in ("adam", "adamw")
            for schedule, factor in brought.items()
        )
    )
    rows = [[one.panel.name for one in row] for row in heatmap.arrange(measured)]
    assert rows == [
        [f"{optim}, {schedule}" for schedule in brought] for optim in ("Adam + L2", "AdamW")
    ]


def test_a_picture_drawn_twice_has_the_same_bytes():
    measured = page(sweep())
    first, second = (style.render(heatmap.heatmaps(heatmap.arrange(measured))) for _ in "ab")
    assert first == second
    assert b"<dc:date>" not in first["svg"]


def test_every_optimizer_has_its_own_colour():
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)
    assert style.colour("mine") == style.colour("mine")
    assert set(style.COLOURS) == set(names.LABELS)
