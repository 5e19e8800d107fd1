"""The smallest decay that makes a network generalize, over the scale of its loss."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data import names
from experiments.report.figures import style
from experiments.report.statistics.factors import LEVEL, LINE


def figure(found: pd.DataFrame) -> Figure:
    """Draw thresholds, from ``factors.thresholds``, a line an optimizer, epsilon and rate."""
    drawn = style.figure(4.2, 2.8)
    draw(found, ax=drawn.subplots())
    return drawn


def draw(found: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw on axes that the caller owns; the first epsilon is solid, the next ones dashed."""
    dashes = dict(zip(sorted(found["optim.eps"].unique()), style.DASHES, strict=False))
    for (optim, eps, lr), group in found.groupby(LINE, sort=True):
        own = group.sort_values("loss_scale")
        label = rf"{names.label(str(optim))}, $\epsilon$ = {eps:g}, lr {lr:g}"
        ax.plot(
            own["loss_scale"], own["wd"], label=label,
            color=style.colour(str(optim)), ls=dashes[eps], lw=1.3, marker="o", ms=3,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("loss multiplied by", fontsize=style.FONT)
    ax.set_ylabel(f"smallest wd with error below {LEVEL:g} %", fontsize=style.FONT)
    style.legend(ax)
    style.plain(ax)
    return ax
