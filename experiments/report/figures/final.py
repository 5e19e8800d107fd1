"""Final error against weight decay, at each panel's best learning rate."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.panels import grouped
from experiments.report.data.text import short
from experiments.report.data.units import unit
from experiments.report.figures import decay_axis, marks, style
from experiments.report.figures.curves import chosen
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics.measure import Measured

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
    lines = zip(page, style.dashes(optims), style.colours(optims), strict=True)
    for one, dash, colour in lines:
        cells = chosen(one, best_only=False).dropna(subset=[metric]).sort_values("wd")
        decayed = cells["wd"] > 0
        x = decay_axis.positions(cells["wd"], page)
        for at, line in ((decayed, dash), (~decayed, "")):
            if not at.any():
                continue
            drawn = cells[at]
            rate = f"{one.panel.name}, lr {short(drawn['lr'].iloc[0])}"
            label = rate if line or not decayed.any() else None
            marks.errorbars(
                ax, x[at], drawn[metric], yerr=drawn["sd"], label=label, color=colour, ls=line
            )
        if len(cells):
            best = int(cells[metric].to_numpy().argmin())
            style.star(ax, x[[best]], cells[metric].iloc[[best]], size=9, colour=colour)
    decay_axis.label(ax, page)
    ax.set_ylabel(unit(metric), fontsize=style.FONT)
    style.legend_beneath(ax)
    style.plain(ax)
    return ax


def final_errors(page: Sequence[Measured]) -> Figure:
    """Draw one set of axes for each meaning of wd, side by side on one scale of the error.

    The scale leaves out the highest errors, of decays that are far too strong.
    """
    groups = grouped(page, decay_axis.meaning).values()
    most = max(map(len, groups))
    size = (3.3 * len(groups), 2.6 + 0.14 * most)
    figure, axes = style.draw_each(groups, against_decay, size, sharey=True)
    for ax in axes[1:]:
        ax.set_ylabel("")
    metric = page[0].settings.metric
    errors = pd.concat([chosen(one, best_only=False)[metric] for one in page]).dropna()
    if len(errors):
        axes[0].set_ylim(*style.limits(errors, above=0.1))
    for ax in axes:
        marks.mark_beyond(ax)
    marks.subject(figure, page)
    words = {
        marks.MEAN: marks.averaged(page),
        marks.BAR: marks.SD,
        marks.BEST: f"lowest {metric.replace('_', ' ')}",
        marks.BEYOND: marks.GOES_ON,
    }
    style.legend_below(figure, (), 2 * len(groups), marks=marks.key(figure.axes, words))
    return figure
