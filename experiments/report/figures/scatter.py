"""Final error against training loss (the paper's Figure 3, bottom right)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from experiments.report.data.text import short
from experiments.report.data.units import unit
from experiments.report.figures import marks, style
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics import equal_loss
from experiments.report.statistics.measure import Measured

CAPTION = (
    "{}: final test error against training loss, a point a setting of lr and wd, {}; those more "
    "than {:g} points above the best are not shown"
)


@kind("scatter")
def part(page: Page) -> Part | None:
    """Draw test error over training loss, if any run has one."""
    if not len(equal_loss.usable(page.runs)):
        return None
    figure = style.figure(4.6, 3.2)
    against_loss(page.panels, ax=figure.subplots())
    marks.subject(figure, page.panels)
    words = {marks.MEAN: f"a setting of lr and wd (number: wd), {marks.averaged(page.panels)}"}
    style.legend_below(figure, figure.axes, marks=marks.key(figure.axes, words))
    caption = CAPTION.format(page.optimizers, marks.averaged(page.panels), equal_loss.WITHIN)
    return Part({"scatter": Picture(figure, caption)})


def against_loss(page: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw each cell's test error over its training loss, joined in the order of the loss.

    The lines are what ``equal_loss.compare`` compares; cells far above the best are left out there
    and here. Where a panel has one learning rate, a cell has its decay beside it.
    """
    metric, tables = "test_error", []
    for one in page:
        runs = equal_loss.usable(one.panel.runs).groupby(["lr", "wd"])
        log_loss = runs["train_loss"].agg(lambda losses: np.log(losses).mean())
        cells = pd.DataFrame({"loss": np.exp(log_loss), metric: runs[metric].mean()})
        tables.append(cells.sort_values("loss").reset_index())
    best = min((cells[metric].min() for cells in tables if len(cells)), default=np.inf)
    dashes = style.dashes(one.panel.optim for one in page)
    for one, cells, dash in zip(page, tables, dashes, strict=True):
        near = cells[cells[metric] <= best + equal_loss.WITHIN]
        colour = style.colour(one.panel.optim)
        ax.plot(
            near["loss"], near[metric], label=one.panel.name, color=colour, gid=marks.MEAN,
            marker="o", ms=3.5, lw=0.8, ls=dash,
        )  # fmt: skip
        for cell in near.to_dict("records") if near["lr"].nunique() == 1 else ():
            ax.annotate(
                short(cell["wd"]), (cell["loss"], cell[metric]), (0, 3), color=colour,
                textcoords="offset points", fontsize=style.FONT - 1.5, ha="center", va="bottom",
                path_effects=[Stroke(linewidth=2, foreground="white"), Normal()],
            )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlabel("training loss (nats)", fontsize=style.FONT)
    ax.set_ylabel(unit(metric), fontsize=style.FONT)
    if left_out := sum(int((cells[metric] > best + equal_loss.WITHIN).sum()) for cells in tables):
        far = f"more than {equal_loss.WITHIN:g} points above the best"
        words = f"{left_out} setting{'s' * (left_out > 1)} {far}: not shown"
        ax.set_title(words, fontsize=style.FONT - 1)
    style.plain(ax)
    return ax
