"""Accuracy on training and test set over steps: a network learns the one, then the other."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data.text import short
from experiments.report.figures import decay_axis, marks, style
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics.measure import Measured

TEST, TRAIN = "test_error", "train_error"
CAPTION = (
    "{}: accuracy on the test set (solid) and on the training set (dotted) over steps at the "
    "middle learning rate, a line a weight decay, mean over seeds"
)


@kind("accuracy")
def part(page: Page) -> Part | None:
    """Draw the accuracies, if there are learning curves."""
    if not page.has_points:
        return None
    drawn = figure(page.panels, page.points)
    return Part({"accuracy": Picture(drawn, CAPTION.format(page.optimizers))})


def middle_rate(one: Measured) -> float:
    """Return the learning rate in the middle of a panel's grid, the lower one of two."""
    rates = sorted(one.panel.cells["lr"].unique())
    return rates[(len(rates) - 1) // 2]


def draw(one: Measured, points: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw accuracy over steps at the middle learning rate, mean over seeds where all have a point.

    A line a decay, darker with more; the test accuracy is solid, the training accuracy dotted.
    """
    runs = one.panel.runs
    runs = runs[(runs["lr"] == middle_rate(one)) & (runs["status"] == FINISHED)]
    wds = sorted(runs["wd"].unique())
    for wd, shade in zip(wds, style.sequence(len(wds)), strict=True):
        own = runs.loc[runs["wd"] == wd, ["id"]].merge(points, on="id")
        for metric, line, width in ((TEST, "-", 1.3), (TRAIN, ":", 0.8)):
            mean = 100 - own.pivot(index="step", columns="id", values=metric).dropna().mean(axis=1)
            label = short(wd) if line == "-" else None
            ax.plot(mean.index, mean, color=shade, ls=line, lw=width, label=label, gid=metric)
    ax.set_xscale("log")
    ax.set_ylim(-2, 102)
    style.title(ax, f"{one.panel.name}, lr {short(middle_rate(one))}", one.panel.optim)
    style.legend_beside(ax, decay_axis.name(one))
    style.plain(ax)
    return ax


def figure(page: Sequence[Measured], points: pd.DataFrame) -> Figure:
    """Draw the accuracies of all panels, two a row."""
    size = (6.6, 0.2 + 2.0 * -(-len(page) // 2))
    each = partial(draw, points=points)
    drawn, axes = style.draw_each(page, each, size, columns=2, sharex=True, sharey=True)
    for ax in axes[::2]:
        ax.set_ylabel("accuracy (%)", fontsize=style.FONT)
    for ax in axes[-2:]:
        ax.set_xlabel("optimizer steps", fontsize=style.FONT)
    marks.subject(drawn, page)
    words = {
        TEST: f"on the test set, {marks.averaged(page)}",
        TRAIN: f"on the training set, {marks.averaged(page)}",
    }
    style.legend_below(drawn, (), marks=marks.key(drawn.axes, words))
    return drawn
