"""Final error against weight decay, at each panel's best learning rate."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.panels import grouped
from experiments.report.data.units import unit
from experiments.report.figures import decay_axis, style
from experiments.report.figures.curves import chosen
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics.measure import Measured

#: Lines whose legend finds room among them; that of more stands below.
WITHIN = 4
CAPTION = "{}: final test error against weight decay, at each panel's best learning rate"


@kind("final")
def part(page: Page) -> Part:
    """Draw the final error over weight decay."""
    return Part({"final": Picture(final_errors(page.panels), CAPTION.format(page.optimizers))})


def against_decay(page: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw the final error over log2 wd at each panel's best lr, with the sd over seeds.

    Decay has one meaning in all of them. No decay stands apart at the left; the best cell has a
    star.
    """
    metric = page[0].settings.metric
    optims = [one.panel.optim for one in page]
    lines = zip(page, style.dashes(optims), style.tints(optims), strict=True)
    for one, dash, colour in lines:
        cells = chosen(one, best_only=False).dropna(subset=[metric]).sort_values("wd")
        decayed = cells["wd"] > 0
        x = decay_axis.positions(cells["wd"], page)
        for at, line in ((decayed, dash), (~decayed, "")):
            drawn = cells[at]
            ax.errorbar(
                x[at], drawn[metric], yerr=drawn["sd"] if drawn["sd"].notna().any() else None,
                label=one.panel.name if line else None,
                color=colour, marker="o", ls=line, ms=3.5, lw=1.2, capsize=1.5,
            )  # fmt: skip
        if len(cells):
            best = int(cells[metric].to_numpy().argmin())
            style.star(ax, x[[best]], cells[metric].iloc[[best]], size=9, colour=colour)
    decay_axis.label(ax, page)
    ax.set_ylabel(unit(metric), fontsize=style.FONT)
    if len(page) > WITHIN:
        place = (0.5, -0.2)
        ax.legend(loc="upper center", bbox_to_anchor=place, frameon=False, fontsize=style.FONT - 1)
    else:
        style.legend(ax)
    style.plain(ax)
    return ax


def final_errors(page: Sequence[Measured]) -> Figure:
    """Draw one set of axes for each meaning of wd, side by side on one scale of the error.

    The scale leaves out the highest errors, of decays that are far too strong.
    """
    groups = grouped(page, decay_axis.meaning).values()
    most = max(map(len, groups))
    size = (3.3 * len(groups), 2.4 + (0.14 * most if most > WITHIN else 0))
    figure, axes = style.draw_each(groups, against_decay, size, sharey=True)
    for ax in axes[1:]:
        ax.set_ylabel("")
    metric = page[0].settings.metric
    errors = pd.concat([chosen(one, best_only=False)[metric] for one in page]).dropna()
    if len(errors):
        axes[0].set_ylim(*style.limits(errors, above=0.1))
    return figure
