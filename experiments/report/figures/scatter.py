"""Final error against training loss (the paper's Figure 3, bottom right)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments.report.data.units import unit
from experiments.report.figures import style
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics import equal_loss
from experiments.report.statistics.measure import Measured

CAPTION = "{}: final test error against training loss, a point a cell"


@kind("scatter")
def part(page: Page) -> Part | None:
    """Draw test error over training loss, if any run has one."""
    if not len(equal_loss.usable(page.runs)):
        return None
    figure = style.figure(3.3, 2.5)
    against_loss(page.panels, ax=figure.subplots())
    return Part({"scatter": Picture(figure, CAPTION.format(page.optimizers))})


def against_loss(page: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw each cell's test error over its training loss, joined in the order of the loss.

    The lines are what ``equal_loss.compare`` compares; cells far above the best are left out there
    and here.
    """
    metric, by_panel = "test_error", []
    for one in page:
        runs = equal_loss.usable(one.panel.runs).groupby(["lr", "wd"])
        log_loss = runs["train_loss"].agg(lambda losses: np.log(losses).mean())
        by_panel.append((one, np.exp(log_loss).to_numpy(), runs[metric].mean().to_numpy()))
    best = min((errors.min() for *_, errors in by_panel if len(errors)), default=np.inf)
    dashes = style.dashes(one.panel.optim for one in page)
    for (one, losses, errors), dash in zip(by_panel, dashes, strict=True):
        near = errors <= best + equal_loss.WITHIN
        order = losses[near].argsort()
        ax.plot(
            losses[near][order], errors[near][order], label=one.panel.name,
            color=style.colour(one.panel.optim), marker="o", ms=3.5, lw=0.8, ls=dash,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlabel("training loss (nats)", fontsize=style.FONT)
    ax.set_ylabel(unit(metric), fontsize=style.FONT)
    style.legend(ax)
    style.plain(ax)
    return ax
