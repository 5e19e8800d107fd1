"""Tuning curves: the error to expect from k random draws of lr and wd, one line an optimizer."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.units import unit
from experiments.report.figures import style
from experiments.report.statistics.measure import Measured

#: Lines whose legend finds room among them; that of more stands beside them.
WITHIN = 4


def tuning_curve(measured: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw the expected best error of k draws, with its 95 % band where there is one."""
    dashes = style.dashes(one.panel.optim for one in measured)
    for one, dash in zip(measured, dashes, strict=True):
        curve, colour = one.tuning, style.colour(one.panel.optim)
        ax.plot(curve["k"], curve["value"], label=one.panel.name, color=colour, lw=1.4, ls=dash)
        if curve["low"].notna().any():
            low, high = curve["low"], curve["high"]
            ax.fill_between(curve["k"], low, high, color=colour, alpha=0.15, lw=0)
    ax.set_xlabel("random draws of (lr, wd)", fontsize=style.FONT)
    ax.set_ylabel(f"expected best {unit(measured[0].settings.metric)}", fontsize=style.FONT)
    if len(measured) > WITHIN:
        place = (1.0, 1.0)
        ax.legend(loc="upper left", bbox_to_anchor=place, frameon=False, fontsize=style.FONT - 1)
    else:
        style.legend(ax)
    style.plain(ax)
    ax.set_xlim(1, None)
    return ax


def tuning_curves(groups: Sequence[Sequence[Measured]]) -> Figure:
    """Draw one set of axes for each group: curves of different tasks or budgets do not compare."""
    width = min(3, len(groups))
    beside = 1.4 if max(map(len, groups)) > WITHIN else 0
    size = (3.1 * width + beside, 2.3 * -(-len(groups) // width))
    return style.draw_each(groups, tuning_curve, size, columns=width)[0]
