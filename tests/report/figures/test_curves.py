import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from experiments.errors import UserError
from experiments.report.data import curves
from experiments.report.data.panels import panels
from experiments.report.figures import final, marks, scatter, style
from experiments.report.figures.curves import learning_curve, learning_curves
from experiments.report.figures.kinds import Page
from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import draw
from experiments.report.statistics.measure import measure
from tests.report.report_data import frame, run

WDS = (0.0, 0.01, 0.02, 0.04)
ALL = Settings(samples=0, figures=("curves", "final", "scatter"))


def rows(optim="adamw", **values):
    """Runs at one lr, the error lowest at wd = 0.02, the loss growing with wd; two seeds."""
    return [
        run(optim=optim, wd=wd, seed=seed, id=f"{optim}{wd}{seed}{values.get('schedule')}",
            test_error=50 + abs(np.log2((wd or 0.0025) / 0.02)) + seed, train_loss=0.1 + wd)
        | values
        for wd in WDS
        for seed in (0, 1)
    ]  # fmt: skip


def points(runs, epochs=(1, 2, 3, 4)):
    """Curves on which error and loss fall to those of the run."""
    return curves.frame(
        pd.DataFrame(
            [
                curves._point(
                    one["id"],
                    {"step": 10 * t, "epoch": t, "batch_loss": one["train_loss"] * 5 / t,
                     "test_error": one["test_error"] + 40 - 10 * t},
                )
                for one in runs
                for t in epochs
            ]
        )
    )  # fmt: skip


def measured(runs, settings=ALL):
    return measure(panels(frame(runs), "test_error"), settings)


def solid(ax):
    """Lines of means, without those that mark something."""
    return [line for line in ax.lines if line.get_gid() == marks.MEAN]


def test_every_decay_has_a_line_that_is_the_mean_over_seeds_darker_with_more_decay():
    runs = rows()
    ax = Figure().subplots()
    learning_curve(measured(runs), points(runs), "test_error", ax=ax)
    lines = solid(ax)
    assert len(lines) == len(WDS)
    assert lines[2].get_ydata() == pytest.approx([80.5, 70.5, 60.5, 50.5])
    brightness = [sum(to_rgb(line.get_color())) for line in lines]
    assert brightness == sorted(brightness, reverse=True)
    assert [line.get_linestyle() for line in lines] == [":", "-", "-", "-"]
    assert len(ax.collections) == len(WDS)


def test_many_panels_show_their_best_cells_only_in_the_optimizers_colours():
    runs = [
        row
        for optim, schedule in (
            ("adam", "cosine"), ("adamw", "cosine"), ("adamw", "warm_restarts"),
        )
        for row in rows(optim, schedule=schedule)
    ]  # fmt: skip
    ax = Figure().subplots()
    learning_curve(measured(runs), points(runs), "batch_loss", ax=ax)
    assert [line.get_color() for line in solid(ax)] == [
        style.colour(optim) for optim in ("adam", "adamw", "adamw")
    ]
    assert [line.get_linestyle() for line in solid(ax)] == ["-", "-", "--"]
    assert ax.get_yscale() == "log"
    labels = ax.get_legend_handles_labels()[1]
    assert labels[2] == "AdamW, warm restarts, lr 1e-3, wd 0.02"


def test_final_error_has_no_decay_apart_and_a_star_at_the_best():
    ax = Figure().subplots()
    final.against_decay(measured(rows()), ax=ax)
    (star,) = [line for line in ax.lines if line.get_marker() == "*"]
    assert star.get_xydata().tolist() == [[np.log2(0.02), 50.5]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.01", "0.02", "0.04"]
    assert ax.get_xticks()[0] < np.log2(0.01) - 1


def test_each_meaning_of_wd_has_its_axes_on_one_scale_of_the_error():
    runs = rows("adam", convention="l2") + rows(decay="normalized")
    figure = final.final_errors(measured(runs))
    left, right = figure.axes
    assert "L2" in left.get_xlabel()
    assert "norm" in right.get_xlabel()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[1] > 53.5  # all of it is there
    worse = final.final_errors(measured([*runs, run(optim="adam", wd=9.0, test_error=90.0)]))
    assert worse.axes[0].get_ylim()[1] < 65  # but not what a far too strong decay gives


def test_scatter_joins_cells_in_the_order_of_their_loss_without_those_that_failed():
    runs = rows()
    runs += [run(wd=9.0, test_error=90.0, train_loss=2.3, id="failed")]
    ax = Figure().subplots()
    scatter.against_loss(measured(runs), ax=ax)
    (line,) = ax.lines
    assert line.get_xdata() == pytest.approx([0.1, 0.11, 0.12, 0.14])
    assert line.get_ydata() == pytest.approx([53.5, 51.5, 50.5, 51.5])
    assert ax.get_xscale() == "log"


def test_a_page_has_the_pictures_asked_for_and_none_of_what_is_unknown():
    runs = rows("adam", convention="l2") + rows()
    page = Page("", measured(runs), points(runs))
    assert list(draw(page, ALL)[0]) == ["curves", "final", "scatter"]
    for row in runs:
        row["train_loss"] = None
    page = Page("figure3", measured(runs), page.points.iloc[:0])
    assert list(draw(page, ALL)[0]) == ["figure3_final"]
    grids = Page("", measured(runs), page.points)
    assert list(draw(grids, Settings())[0]) == ["heatmap", "twin", "tuning"]
    named = Page("figure3", measured(runs), page.points)
    assert list(draw(named, Settings(suffix="_x"))[0])[:2] == ["figure3_x", "figure3_twin_x"]


def test_a_panel_whose_runs_all_diverged_is_said_to_have_none():
    lost = [run(optim="adam", status="diverged", test_error=None, id="x")]
    found = measured([*lost, *rows()])
    figure = learning_curves(found, points(rows()))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Adam + L2, no finished run"] * 2 + ["AdamW, lr 1e-3"] * 2
    assert len(final.final_errors(found).axes) == 1
    many = measured([*lost, *rows(), *rows("sgdw")])
    texts = [text.get_text() for text in learning_curves(many, points(rows())).legends[0].texts]
    assert texts[1] == "Adam + L2: no finished run"


def test_few_panels_have_a_row_each_and_every_decay_under_its_number():
    runs = rows("adam", convention="l2") + rows(decay="normalized")
    figure = learning_curves(measured(runs), points(runs))
    assert len(figure.axes) == 4
    above, below = figure.axes[1::2]
    assert above.get_ylim() == below.get_ylim()
    for ax, name in ((above, "wd"), (below, "normalized wd")):
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == ["0", "0.01", "0.02", "0.04"]
        assert ax.get_legend().get_title().get_text() == name


def test_tasks_have_axes_of_their_own():
    runs = rows() + [row | {"task": "text", "id": f"t{row['id']}"} for row in rows()]
    figure = learning_curves(measured(runs), points(runs))
    assert [len(solid(ax)) for ax in figure.axes] == [len(WDS)] * 4
    first, second = figure.axes[1::2]
    assert not first.get_shared_y_axes().joined(first, second)


def test_a_restart_is_a_vertical_line_where_the_rate_starts_to_rise_again_and_a_warm_up_is_none():
    runs = rows()
    typed = points(runs, epochs=range(1, 9))
    typed["eta"] = typed["epoch"].map(dict(enumerate((0.5, 1, 0.5, 0, 1, 0.7, 0.3, 0), start=1)))
    figure = learning_curves(measured(runs), typed)
    for ax in figure.axes:
        (line,) = (line for line in ax.lines if line.get_gid() == "restart")
        assert list(line.get_xdata()) == [4, 4]
    assert "vertical: the learning rate restarts" in [t.get_text() for t in figure.legends[0].texts]


def test_an_ordered_quantity_goes_from_light_to_dark_in_colours_far_apart():
    for count in (2, 5, 14):
        colours = [np.array(to_rgb(colour)) for colour in style.sequence(count)]
        brightness = [colour @ (0.3, 0.6, 0.1) for colour in colours]
        assert brightness == sorted(brightness, reverse=True)
        assert min(abs(a - b).max() for a, b in zip(colours, colours[1:], strict=False)) > 0.05


def test_unknown_kinds_are_refused():
    with pytest.raises(
        UserError, match="figures=pie is not one of ablation, accuracy, collapse, curves, delay"
    ):
        Settings(figures=("curves", "pie"))
    with pytest.raises(UserError, match="curves=1 must be true or false"):
        Settings(curves=1)


def test_lines_of_one_optimizer_have_a_sequence_and_their_legend_stands_beneath():
    several = style.sequence(2)
    assert style.colours(["adam", "adamw", "adam"]) == [
        several[0], style.colour("adamw"), several[1],
    ]  # fmt: skip
    figure = final.final_errors(measured(rows()) * 5)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0
