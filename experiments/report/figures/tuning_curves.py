"""Tuning curves: the error to expect from k random draws of lr and wd, one line an optimizer."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.report.data.units import unit
from experiments.report.figures import marks, style
from experiments.report.statistics.measure import Measured


def tuning_curve(measured: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw the expected best error of k draws, with its 95 % band where there is one."""
    dashes = style.dashes(one.panel.optim for one in measured)
    for one, dash in zip(measured, dashes, strict=True):
        curve, colour = one.tuning, style.colour(one.panel.optim)
        if curve["value"].isna().all():
            continue
        ax.plot(
            curve["k"], curve["value"], label=one.panel.name, color=colour, lw=1.4, ls=dash,
            gid=marks.MEAN,
        )  # fmt: skip
        if curve["low"].notna().any():
            marks.band(ax, curve["k"], curve["low"], curve["high"], colour)
    ax.set_xlabel("settings of lr and wd drawn at random", fontsize=style.FONT)
    metric = unit(measured[0].settings.metric)
    ax.set_ylabel(f"lowest {metric} to expect", fontsize=style.FONT)
    style.legend_beneath(ax)
    style.plain(ax)
    if ax.lines:
        ax.set_xlim(1, None)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def tuning_curves(groups: Sequence[Sequence[Measured]]) -> Figure:
    """Draw one set of axes for each group: curves of different tasks or budgets do not compare."""
    width, most = min(3, len(groups)), max(map(len, groups))
    size = (3.1 * width, (2.3 + 0.14 * most) * -(-len(groups) // width) + 0.2)
    drawn, _ = style.draw_each(groups, tuning_curve, size, columns=width)
    page = [one for group in groups for one in group]
    marks.subject(drawn, page)
    words = {
        marks.MEAN: marks.averaged(page),
        marks.BAND: "95 % interval",
    }
    style.legend_below(drawn, (), marks=marks.key(drawn.axes, words))
    return drawn
