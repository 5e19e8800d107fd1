import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from experiments.errors import UserError
from experiments.report.data import curves
from experiments.report.data.panels import panels
from experiments.report.figures import final, scatter, style
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
    """Lines with data, without the proxies of the legend."""
    return [line for line in ax.lines if len(line.get_xdata())]


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
        to_rgb(style.colour(optim)) for optim in ("adam", "adamw", "adamw")
    ]
    assert [line.get_linestyle() for line in solid(ax)] == ["-", "-", "--"]
    assert ax.get_yscale() == "log"
    labels = ax.get_legend_handles_labels()[1]
    assert labels[2] == "AdamW, warm restarts, wd 0.02"


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
    runs = [run(optim="adam", status="diverged", test_error=None, id="x"), *rows()]
    found = measured(runs)
    figure = learning_curves(found, points(rows()))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[0] == "Adam + L2: no finished run"
    assert len(final.final_errors(found).axes) == 1


def test_tasks_have_axes_of_their_own():
    runs = rows() + [row | {"task": "text", "id": f"t{row['id']}"} for row in rows()]
    figure = learning_curves(measured(runs), points(runs))
    assert [len(solid(ax)) for ax in figure.axes] == [len(WDS)] * 4
    assert len(figure.legends[0].get_texts()) == 2


def test_shades_run_from_pale_to_dark_and_one_is_the_colour_itself():
    assert style.shades("adamw", 1) == [to_rgb(style.colour("adamw"))]
    sums = [sum(shade) for shade in style.shades("adamw", 5)]
    assert sums == sorted(sums, reverse=True)
    assert all(0 <= part <= 1 for shade in style.shades("adam", 5) for part in shade)


def test_unknown_kinds_are_refused():
    with pytest.raises(
        UserError, match="figures=pie is not one of ablation, accuracy, collapse, curves, delay"
    ):
        Settings(figures=("curves", "pie"))
    with pytest.raises(UserError, match="curves=1 must be true or false"):
        Settings(curves=1)


def test_lines_of_one_optimizer_go_from_pale_to_dark_and_a_long_legend_stands_below():
    tints = style.tints(["adam", "adamw", "adam"])
    assert tints[1] == to_rgb(style.colour("adamw"))
    assert sum(tints[0]) > sum(tints[2])
    page = measured(rows()) * (final.WITHIN + 1)
    figure = final.final_errors(page)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0
