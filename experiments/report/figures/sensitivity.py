"""Loss over learning rate at one decay, for several widths (``statistics.best_rate``)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data import names, units
from experiments.report.data.panels import grouped
from experiments.report.data.text import short
from experiments.report.figures import marks, style
from experiments.report.figures.kinds import Page, Part, Picture, Section, kind
from experiments.report.statistics.best_rate import Curve, curves, shifts
from experiments.report.statistics.judge import FAILS, HOLDS, NOT_RESOLVED, judge
from experiments.report.statistics.measure import Measured

#: Doublings of lr within which a best rate counts as having stayed.
STAYS = 0.5
WORDS = {HOLDS: "stays", FAILS: "moves", NOT_RESOLVED: "may stay or move (not resolved)"}
CONVENTIONS = {"decoupled": "the paper's units", "lr_coupled": "torch's units", "l2": "L2"}
CAPTION = (
    "{}: {} over learning rate at one weight decay, mean over seeds with their standard deviation; "
    "vertical lines: the best learning rates"
)
EXPLAINED = """\
The best lr is the vertex of a parabola in log2 lr through the lowest cell and up to two neighbours
on each side; the shift is log2 of the wider network's best lr over the narrower's: 0 stays, -1
halves. It counts as staying when its interval lies within {stays:g} either way, a factor of
{factor:.3g}, and as moving when it lies wholly beyond. The sensitivity is the mean over all
learning rates of the loss above the lowest (Wortsman et al., 2023).
Brackets are 95 % intervals over surfaces drawn from a Gaussian process that is fitted to all
cells."""


@kind("sensitivity")
def part(page: Page) -> Part:
    """Draw loss over learning rate by width, and say under which convention the best rate stays."""
    found = curves(page.panels)
    text = CAPTION.format(page.optimizers, page.settings.metric.replace("_", " "))
    return Part({"sensitivity": Picture(figure(found), text)}, section(found))


def _units(one: Measured) -> str:
    """In which units the decay of a panel is fixed."""
    return CONVENTIONS[str(one.panel.setting("convention"))]


def _name(one: Measured) -> str:
    wd = short(one.panel.cells["wd"].iloc[0])
    return f"{names.label(one.panel.optim)}: wd {wd} in {_units(one)}"


def section(found: Sequence[Curve]) -> Section:
    """Return each curve's best rate and sensitivity, the shifts, and the verdict."""
    settings, moved = found[0].measured.settings, shifts(found)
    form = units.form(settings.metric)
    onward = {(narrow.optim, narrow.width): shift.text() for narrow, _, shift in moved}
    head = ["", "width", "best lr", f"lowest {units.unit(settings.metric)}", "sensitivity"]
    rows, data = [[*head, "shift to the next width"]], []
    for one in found:
        lowest = one.measured.panel.cells[settings.metric].min()
        shown = f"{lowest:{form}}" if np.isfinite(lowest) else "-"
        texts = [one.rate.mapped(np.exp2).text(".2g"), shown, one.excess.text(form)]
        texts.append(onward.get((one.optim, one.width), "-"))
        rows.append([_name(one.measured), f"{one.width:g}", *texts])
        key = {"optim": one.optim, "width": f"{one.width:g}"}
        data.append(key | {"statistic": "log2_best_lr"} | one.rate.row())
        data.append(key | {"statistic": "sensitivity"} | one.excess.row())
    verdicts = []
    for narrow, wide, shift in moved:
        step = f"{narrow.width:g} to {wide.width:g}"
        data.append({"optim": wide.optim, "width": step, "statistic": "shift"} | shift.row())
        number = shift.reason or f"{shift.text()} doublings"
        word = WORDS[judge(shift, -STAYS, STAYS)]
        verdicts.append(f"{word} with decay fixed in {_units(wide.measured)} ({step}: {number})")
    verdict = (
        f"as the network widens, the best learning rate {', and '.join(verdicts)}"
        if verdicts
        else "there is one width only, so that nothing can be said of the best learning rate"
    )
    text = EXPLAINED.format(stays=STAYS, factor=2**STAYS)
    table = pd.DataFrame(data)
    title = "Where the best learning rate lies"
    return Section(title, [rows], text, verdicts=[verdict], data={"sensitivity": table})


def draw(found: Sequence[Curve], *, ax: Axes) -> Axes:
    """Draw an optimizer's line a width, mean over seeds with its sd, the best rates marked."""
    metric, shades = found[0].measured.settings.metric, style.sequence(len(found))
    for one, shade, dash in zip(found, shades, style.DASHES, strict=False):
        cells = one.measured.panel.cells.dropna(subset=[metric]).sort_values("lr")
        label = f"width {one.width:g}"
        marks.errorbars(
            ax, cells["lr"], cells[metric], yerr=cells["sd"], label=label, color=shade, ls=dash
        )
        if not one.rate.reason:
            ax.axvline(2**one.rate.value, color=shade, ls=dash, lw=0.8, gid=marks.BEST)
    ax.set_xscale("log")
    style.title(ax, _name(found[0].measured), found[0].optim, size=style.FONT)
    ax.set_xlabel(r"learning rate $\alpha$", fontsize=style.FONT)
    style.plain(ax)
    return ax


def figure(found: Sequence[Curve]) -> Figure:
    """Draw a panel a convention, on one scale of the loss without its highest cells."""
    groups = grouped(found, lambda one: one.optim).values()
    drawn, axes = style.draw_each(groups, draw, (0.4 + 3.1 * len(groups), 2.6), sharey=True)
    metric = found[0].measured.settings.metric
    cells = pd.concat([one.measured.panel.cells for one in found])
    losses = pd.concat([cells[metric], cells[metric] - cells["sd"]]).dropna()
    if len(losses):
        axes[0].set_ylim(*style.limits(losses, above=0.1))
    axes[0].set_ylabel(units.unit(metric), fontsize=style.FONT)
    for ax in axes:
        marks.mark_beyond(ax)
    page = [one.measured for one in found]
    marks.subject(drawn, page)
    words = {
        marks.MEAN: marks.averaged(page),
        marks.BAR: marks.SD,
        marks.BEST: "vertical: the width's best learning rate",
        marks.BEYOND: marks.GOES_ON,
    }
    style.legend_below(drawn, axes[:1], 3, marks=marks.key(drawn.axes, words))
    return drawn
