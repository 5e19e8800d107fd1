"""Every picture can be read without the text beside it."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from experiments.report.data import curves
from experiments.report.figures import final, kinds, loss_scale, marks, propositions, style
from experiments.report.figures.tuning_curves import tuning_curves
from experiments.report.statistics import factors
from tests.report import sweep_data
from tests.report.report_data import frame, run

EPOCHS = (1, 2, 3, 4)


def grid(seeds=(0, 1)):
    """Adam and AdamW over lr and wd with learning curves; the strongest decay ends far off."""
    runs = [
        run(optim=optim, convention=convention, lr=lr, wd=wd, seed=seed, task="cifar10_tiny",
            model="resnet8", train_loss=0.1 + wd, id=f"{optim}{lr}{wd}{seed}",
            test_error=90.0 if wd == 1 else 50 + abs(np.log2(wd * lr * 2**14)) + 0.1 * seed)
        for optim, convention in (("adam", "l2"), ("adamw", "decoupled"))
        for lr in (2.0**-7, 2.0**-6, 2.0**-5)
        for wd in (*2.0 ** np.arange(-10.0, -4), 1.0)
        for seed in seeds
    ]  # fmt: skip
    points = [
        curves._point(
            row["id"],
            {"step": 10 * t, "epoch": t, "eta": t % 3, "batch_loss": row["train_loss"] * 5 / t,
             "test_error": row["test_error"] + 4 - t},
        )
        for row in runs
        for t in EPOCHS
    ]  # fmt: skip
    return page(runs, curves.frame(pd.DataFrame(points)))


def page(runs, points=None, metric="test_error", **settings):
    points = curves.frame(pd.DataFrame(columns=curves.COLUMNS)) if points is None else points
    return kinds.Page("", sweep_data.measured(runs, metric, **settings), points)


def with_points(*sweeps, **settings):
    points = sweep_data.typed({name: own for _, part in sweeps for name, own in part.items()})
    return page([row for runs, _ in sweeps for row in runs], points, **settings)


def grokking():
    sweeps = [
        sweep_data.steps(slope, optim, "modular_divide", convention=convention)
        for optim, slope, convention in (("adam", -2.0, "l2"), ("adamw", 0.0, "decoupled"))
    ]
    return with_points(*sweeps, level=5.0)


#: A page that a kind of figure draws; any other draws the grid.
PAGES = {
    "ablation": lambda: page(
        sweep_data.sparing("cifar10_small_vit") + sweep_data.sparing(), metric="test_loss"
    ),
    "accuracy": grokking,
    "delay": lambda: with_points(sweep_data.delayed(seeds=(0, 1)), level=5.0),
    "law": lambda: page(sweep_data.sizes()),
    "losses": lambda: page(sweep_data.losses() + sweep_data.losses(optim="adam"),
                           metric="test_loss"),
    "steps": grokking,
}  # fmt: skip


def thresholds():
    runs = [
        run(optim=optim, wd=wd, id=f"{optim}{eps}{scale}{wd}", loss_scale=scale,
            test_error=0.0 if wd >= 1e-3 * scale else 50.0, **{"optim.eps": eps})
        for optim in ("adam", "adamw") for eps in (1e-8, 1e-4)
        for scale in (1.0, 10.0) for wd in (1e-3, 1e-2)
    ]  # fmt: skip
    return factors.thresholds(frame(runs))


def proposed():
    keys = ("proposition", "case", "spread", "quantity", "value")
    rows = [("1", "SGD, L2 = lambda/alpha", 0.0, "largest deviation over 9 steps", 1e-15),
            ("3", "penalty lambda'/2", 1.0, "largest deviation over 9 steps", 2.0),
            ("2", "left over", 0.0, "share", 0.0),
            ("2", "left over", 1.0, "share", 0.8)]  # fmt: skip
    return pd.DataFrame([dict(zip(keys, row, strict=True)) for row in rows])


@cache
def figures(name):
    """Return the figures of a kind, drawn once."""
    if name == "loss_scale":
        found = [loss_scale.figure(thresholds())]
    elif name == "propositions":
        found = [propositions.figure(proposed())]
    else:
        part = kinds.kinds()[name](PAGES.get(name, grid)())
        assert part, f"{name} draws no grid: give it a page of its own in PAGES"
        found = [picture.figure for picture in part.pictures.values()]
    for one in found:
        one.draw_without_rendering()
    return found


every_kind = pytest.mark.parametrize("name", [*kinds.kinds(), "loss_scale", "propositions"])


def frames(figure):
    """Axes that show data."""
    return [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]


def texts(figure):
    found = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return [text for text in found if text]


def legends(figure):
    return [*figure.legends, *filter(None, (ax.get_legend() for ax in figure.axes))]


def named(ax, axis, figure):
    """Return the label of an axis: its own, or that of its row or column."""
    place = ax.get_subplotspec()
    line = (lambda p: p.rowspan) if axis == "y" else (lambda p: p.colspan)
    row = [one for one in frames(figure) if line(one.get_subplotspec()) == line(place)]
    labels = [getattr(one, f"get_{axis}label")() for one in (ax, *row)]
    return next(filter(None, labels), "")


@every_kind
def test_every_axis_says_what_it_shows_and_in_which_unit(name):
    for figure in figures(name):
        for ax in frames(figure):
            for axis in "xy":
                label = named(ax, axis, figure)
                ticks = [tick.get_text() for tick in getattr(ax, f"get_{axis}ticklabels")()]
                assert label or any(re.search("[a-z]{3}", tick) for tick in ticks)
                if re.search("error|loss|accuracy", label):
                    assert re.search(r"\((%|nats|points)\)|%|factor", label), label
        bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
        assert all(bar.get_ylabel() or bar.get_xlabel() for bar in bars)


@every_kind
def test_no_text_has_the_name_of_a_setting_or_a_number_as_python_prints_it(name):
    for figure in figures(name):
        for text in texts(figure):
            words = re.sub(r"\$[^$]*\$", "", text).replace("torch weight_decay", "")
            assert not re.search(r"[a-z0-9]_[a-z0-9]", words), text
            assert not re.search(r"\b(optim|task|model|schedule)\.\w|\dcifar|e[-+]0\d", words), text
            assert not re.search(r"\b(nan|None)\b", words), text


@every_kind
def test_every_entry_of_a_legend_looks_like_something_that_is_drawn(name):
    for figure in figures(name):
        lines = [line for ax in frames(figure) for line in ax.lines if len(line.get_xdata())]
        looks = {line.get_linestyle() for line in lines} | {line.get_marker() for line in lines}
        drawn = [one for ax in frames(figure) for one in (*ax.collections, *ax.patches)]
        if any(one.get_gid() == marks.BAR for one in drawn):
            looks.add("|")
        for legend in legends(figure):
            for entry in legend.get_lines():
                assert {entry.get_linestyle(), entry.get_marker()} - {"None", ""} <= looks
            assert drawn or not legend.get_patches()


@every_kind
def test_what_a_mark_is_is_said_and_over_how_many_seeds(name):
    for figure in figures(name):
        said = " ".join(texts(figure))
        assert "seed" in said
        children = [one for ax in frames(figure) for one in ax.get_children()]
        gids = {one.get_gid() for one in children}
        if marks.BAND in gids or any(type(one).__name__ == "FillBetweenPolyCollection"
                                     for one in children):  # fmt: skip
            assert re.search("interval|from the lowest to the highest", said)
        if marks.BAR in gids:
            assert re.search("interval|standard deviation", said)
        if marks.BEST in gids:
            assert re.search("lowest|best", said)
        if marks.BEYOND in gids:
            assert marks.GOES_ON in said


@every_kind
def test_a_line_that_leaves_the_frame_is_marked_there(name):
    for figure in figures(name):
        for ax in frames(figure):
            low, high = sorted(ax.get_ylim())
            found = {line.get_color() for line in ax.lines if line.get_gid() == marks.BEYOND}
            for line in ax.lines:
                if line.get_transform() == ax.transData and line.get_gid() != marks.BAR:
                    x, y = np.asarray(line.get_xydata(), float).T
                    left, right = sorted(ax.get_xlim())
                    y = y[(left <= x) & (x <= right)]
                    if (y > high).any() or (y < low).any():
                        assert line.get_color() in found


@pytest.mark.parametrize("name", ["final", "curves"])
def test_the_examples_have_lines_that_leave_the_frame(name):
    gids = {line.get_gid() for one in figures(name) for ax in one.axes for line in ax.lines}
    assert marks.BEYOND in gids


def test_a_triangle_stands_where_a_line_crosses_the_edge_and_none_where_it_ends_within():
    ax = Figure().subplots()
    ax.plot([0, 1, 2, 3], [0, 0, 2, 0], color="red")
    ax.plot([0, 1], [-3, 1], color="blue")
    ax.plot([3], [5], "o", color="green")
    ax.set(xlim=(0, 4), ylim=(-1, 1))
    marks.mark_beyond(ax)
    found = {
        (line.get_color(), line.get_marker()): line.get_xydata().tolist()
        for line in ax.lines
        if line.get_gid() == marks.BEYOND
    }
    assert found == {
        ("red", "^"): [[1.5 / 4, 1], [2.5 / 4, 1]],
        ("blue", "v"): [[0.5 / 4, 0]],
        ("green", "^"): [[3 / 4, 1]],
    }


def test_a_legend_explains_what_is_drawn_and_nothing_else():
    ax = Figure().subplots()
    ax.plot([0, 1], [0, 1], color="red", gid=marks.MEAN)
    marks.errorbars(ax, [0, 1], [0, 1], yerr=[np.nan, np.nan], color="blue")
    words = {marks.MEAN: "mean", marks.BAR: "bar", marks.BAND: "band"}
    assert [entry.get_label() for entry in marks.key([ax], words)] == ["mean"]
    marks.errorbars(ax, [0, 1], [0, 1], yerr=[np.nan, 1.0], color="blue")
    marks.band(ax, [0, 1], [0, 0], [1, 1], "red")
    assert [entry.get_label() for entry in marks.key([ax], words)] == ["mean", "bar", "band"]
    assert isinstance(ax.collections[-1], PolyCollection)


def test_one_seed_has_neither_bars_nor_a_word_of_them():
    figure = final.final_errors(grid(seeds=(0,)).panels)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["one seed", "lowest test error", marks.GOES_ON]


def test_a_panel_without_a_run_has_no_curve_and_no_entry_in_the_legend():
    lost = [run(optim="sgd", status="diverged", test_error=None, id="x")]
    runs = [run(wd=wd, id=str(wd), test_error=wd) for wd in (0.1, 0.2)]
    figure = tuning_curves([sweep_data.measured([*lost, *runs])])
    (legend,) = [ax.get_legend() for ax in figure.axes]
    assert [text.get_text() for text in legend.get_texts()] == ["AdamW"]


@pytest.mark.parametrize("values", [[5.0, 5.0], [0.0], [0.0, 0.0, 0.0, 7.0]])
def test_the_range_of_an_axis_is_never_empty_and_holds_values_that_are_mostly_equal(values):
    low, high = style.limits(pd.Series(values))
    assert low < min(values)
    assert high > max(values)


def test_a_few_values_far_above_the_others_are_beyond_the_range():
    low, high = style.limits(pd.Series([1.0, 1.1, 1.2, 1.3, 50.0]))
    assert low < 1
    assert 1.5 < high < 2
