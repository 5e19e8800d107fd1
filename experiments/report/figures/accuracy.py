"""Accuracy on training and test set over steps: a network knows by heart, then it generalizes."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data.text import short
from experiments.report.figures import style
from experiments.report.figures.grokking import Timed


def middle_rate(one: Timed) -> float:
    """Return the learning rate in the middle of a panel's grid, the lower one of two."""
    rates = sorted(one.panel.cells["lr"].unique())
    return rates[(len(rates) - 1) // 2]


def draw(one: Timed, points: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw accuracy over steps at the middle learning rate, mean over seeds where all have a point.

    A line a decay, darker with more; the test accuracy is solid, the training accuracy dotted.

    Args:
        one: The panel.
        points: Typed learning curves.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    runs = one.runs[(one.runs["lr"] == middle_rate(one)) & (one.runs["status"] == FINISHED)]
    wds = sorted(runs["wd"].unique())
    for wd, shade in zip(wds, style.shades(one.panel.optim, len(wds)), strict=True):
        own = runs.loc[runs["wd"] == wd, ["id"]].merge(points, on="id")
        for metric, line, width in (("test_error", "-", 1.3), ("train_error", ":", 0.8)):
            mean = 100 - own.pivot(index="step", columns="id", values=metric).dropna().mean(axis=1)
            name = {"label": short(wd)} if line == "-" else {}
            ax.plot(mean.index, mean, color=shade, ls=line, lw=width, **name)
    ax.set_xscale("log")
    ax.set_ylim(-2, 102)
    title = f"{one.panel.name}, lr {short(middle_rate(one))}"
    look = {"weight": "bold", "color": style.colour(one.panel.optim)}
    ax.set_title(title, fontsize=style.FONT + 0.5, **look)
    look = {"frameon": False, "fontsize": style.FONT - 1.5, "title_fontsize": style.FONT - 1.5}
    if wds:
        ax.legend(title="wd", loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1, **look)
    style.plain(ax)
    return ax


def figure(found: Sequence[Timed], points: pd.DataFrame) -> Figure:
    """Draw the accuracies of all panels, two a row."""
    height = -(-len(found) // 2)
    drawn = Figure(figsize=(6.6, 0.2 + 2.0 * height), layout="constrained")
    axes = drawn.subplots(height, 2, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(found) :]:
        ax.set_visible(False)
    for one, ax in zip(found, axes.flat, strict=False):
        draw(one, points, ax=ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy (%)", fontsize=style.FONT)
    for ax in axes[-1]:
        ax.set_xlabel("step", fontsize=style.FONT)
    return drawn
