"""The smallest decay that makes a network generalize, over the scale of its loss."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data import names
from experiments.report.data.text import short
from experiments.report.figures import marks, style
from experiments.report.statistics.factors import LEVEL, LINE

EDGE = "edge"


def figure(found: pd.DataFrame) -> Figure:
    """Draw thresholds, from ``factors.thresholds``, a line an optimizer, epsilon and rate."""
    drawn = style.figure(5.2, 3.4)
    draw(found, ax=drawn.subplots())
    words = {
        marks.MEAN: "smallest wd of the grid, one seed",
        EDGE: "the smallest wd of the grid: it may be less",
    }
    style.legend_below(drawn, drawn.axes, marks=marks.key(drawn.axes, words))
    return drawn


def draw(found: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw on axes that the caller owns; the first epsilon is solid, the next ones dashed.

    The dots of a later epsilon are larger and empty, so that lines that coincide are seen to.
    """
    epsilons = sorted(found["optim.eps"].unique())
    for (optim, eps, lr), group in found.groupby(LINE, sort=True):
        own, at = group.sort_values("loss_scale"), epsilons.index(eps)
        colour, epsilon = style.colour(str(optim)), names.setting("optim.eps", eps)
        ax.plot(
            own["loss_scale"], own["wd"], color=colour, ls=style.DASHES[at % 4], lw=1.3,
            label=f"{names.label(str(optim))}, {epsilon}, lr {short(float(str(lr)))}",
            marker="o", ms=3.5 + 3 * at, mfc="none" if at else colour, gid=marks.MEAN,
        )  # fmt: skip
        if len(edge := own[own["at_edge"]]):
            ax.plot(
                edge["loss_scale"], edge["wd"], ls="", marker="v", ms=6, color=colour, gid=EDGE
            )  # fmt: skip
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("factor by which the loss is multiplied", fontsize=style.FONT)
    ax.set_ylabel(f"smallest wd with a test error below {LEVEL:g} %", fontsize=style.FONT)
    style.plain(ax)
    return ax
