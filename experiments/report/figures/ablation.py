"""What changes when some parameters are spared from decay (``statistics.sparing``)."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data import names, units
from experiments.report.data.names import SPARED
from experiments.report.data.panels import counted, grouped
from experiments.report.data.text import short
from experiments.report.figures import marks, style
from experiments.report.figures.kinds import Page, Part, Picture, Section, kind
from experiments.report.statistics import judge
from experiments.report.statistics.sparing import CELL, Difference, differences

COLOURS = dict(zip(SPARED, ("#1b9e77", "#7570b3"), strict=True))
NO_CHANGE = "no change"
CAPTION = "What changes when some parameters are spared from decay, with 95 % intervals"
EXPLAINED = """\
Every difference is that to a run of the same seed in which all parameters decay: below 0, sparing
them is better. Brackets are 95 % intervals over seeds (Student's t); those over all cells are of
each seed's mean over the cells."""


@kind("ablation")
def part(page: Page) -> Part | None:
    """Draw the differences and say them, as far as pairs of runs are there."""
    found = list(differences(page.runs))
    if not found:
        return None
    return Part({"ablation": Picture(figure(found), CAPTION)}, section(found))


def section(found: Sequence[Difference]) -> Section:
    """Return all differences as a table, and each task's answer in a sentence."""
    head = ["", "", "lr", "wd", "all decay", *(f"{name} spared" for name in SPARED.values())]
    rows: dict[tuple[Any, ...], list[str]] = {}
    data, verdicts = [], []
    for one in found:
        form = units.form(one.metric)
        cell = one.cell or ("all",) * len(CELL)
        where = [x if isinstance(x, str) else short(x) for x in cell[1:]]
        start = [names.task(one.task), units.unit(one.metric), *where, f"{one.base:{form}}"]
        line = rows.setdefault((one.task, one.metric, cell), [*start, *("-" for _ in SPARED)])
        line[len(start) + list(SPARED).index(one.spared)] = one.estimate.text(form)
        key = {"task": one.task, "metric": one.metric, "spared": one.spared, "base": one.base}
        data.append(key | dict(zip(CELL, cell, strict=True)) | one.estimate.row())
        if one.cell is None:
            cause = f"{names.task(one.task)}: sparing {SPARED[one.spared]}"
            what, unit = one.metric.replace("_", " "), units.difference(one.metric)
            verdicts.append(judge.effect(cause, what, one.estimate, form, unit))
    table = [head, *rows.values()]
    title = "What is spared from decay"
    return Section(
        title, [table], EXPLAINED, verdicts=verdicts, data={"ablation": pd.DataFrame(data)}
    )


def draw(found: Sequence[Difference], *, ax: Axes) -> Axes:
    """Draw the differences of one task and metric, a line a cell, their mean at the bottom."""
    cells = list(dict.fromkeys(one.cell for one in found))
    optims = list(dict.fromkeys(cell[0] for cell in cells if cell))
    for one in found:
        y = cells.index(one.cell) + (0.15 if one.spared == "embeddings_too" else -0.15)
        value, low, high = one.estimate.value, one.estimate.low, one.estimate.high
        marks.errorbars(
            ax, [value], [y], xerr=[[value - low], [high - value]], color=COLOURS[one.spared],
            label=f"{SPARED[one.spared]} spared" if one.cell == cells[0] else None,
        )  # fmt: skip
    ax.axvline(0, color="0.6", lw=0.8, zorder=0, gid=NO_CHANGE)
    ax.set_yticks(range(len(cells)), [_where(cell, len(optims) > 1) for cell in cells])
    ax.invert_yaxis()
    of = [names.label(optims[0])] if len(optims) == 1 else []
    style.title(ax, "\n".join([names.task(found[0].task), *of]))
    metric = found[0].metric
    word = f"{metric.replace('_', ' ')} ({units.difference(metric)})"
    ax.set_xlabel(f"change of {word}", fontsize=style.FONT - 0.5)
    style.plain(ax)
    return ax


def _where(cell: tuple[Any, ...] | None, several: bool) -> str:
    """Name a cell, with its optimizer if there are several."""
    if cell is None:
        return "mean of all"
    optim, lr, wd = cell
    return ", ".join([names.label(optim)] * several + [f"lr {short(lr)}", f"wd {short(wd)}"])


def figure(found: Sequence[Difference]) -> Figure:
    """Draw a task a column: the change of the test loss on the left of that of the error."""
    groups = grouped(found, lambda one: (one.task, one.metric)).values()
    drawn, axes = style.draw_each(groups, draw, (0.4 + 2.3 * len(groups), 3.0))
    words = {
        marks.MEAN: marks.mean_over(counted(one.estimate.n for one in found if one.cell)),
        marks.BAR: "95 % interval over seeds",
        NO_CHANGE: "vertical: as when all decay; left of it sparing is better",
    }
    style.legend_below(drawn, axes[:1], 3, marks=marks.key(drawn.axes, words))
    return drawn
