"""Learning curves: training loss and test error against epoch (the paper's Figures 3, 4 and S5)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.panels import best_cell, grouped
from experiments.report.data.text import short
from experiments.report.data.units import unit
from experiments.report.figures import decay_axis, marks, style
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics.measure import Measured

#: A task of more panels than this shows the best cell of each; one of fewer shows every decay.
FEW = 2
RESTART = "restart"
WORDS = {
    marks.MEAN: "",
    marks.BAND: "from the lowest to the highest seed",
    RESTART: "vertical: the learning rate restarts",
    marks.BEYOND: marks.GOES_ON,
}
CAPTION = "{}: training loss (mean over the batches of an interval) and test error, {}"


@kind("curves")
def part(page: Page) -> Part | None:
    """Draw the learning curves, if there are any."""
    if not page.has_points:
        return None
    text = CAPTION.format(page.optimizers, marks.averaged(page.panels))
    return Part({"curves": Picture(learning_curves(page.panels, page.points), text)})


def chosen(one: Measured, *, best_only: bool) -> pd.DataFrame:
    """Return the cells of a panel to draw: its best, or all decays at the lr of its best."""
    best = best_cell(one.panel.cells, one.settings.metric)
    if best is None:
        return one.panel.cells.iloc[:0]
    cells = one.panel.cells[one.panel.cells["lr"] == best["lr"]]
    return cells[cells["wd"] == best["wd"]] if best_only else cells


def of_cell(one: Measured, cell: pd.Series, points: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Average a metric over the seeds of a cell: epoch, mean, low and high (the extremes), n."""
    runs = one.panel.runs
    runs = runs[(runs["lr"] == cell["lr"]) & (runs["wd"] == cell["wd"])]
    own = runs[["id"]].merge(points, on="id").dropna(subset=[metric])
    return own.groupby("epoch")[metric].agg(["mean", "min", "max", "count"]).reset_index()


def learning_curve(
    page: Sequence[Measured], points: pd.DataFrame, metric: str, *, ax: Axes
) -> Axes:
    """Draw a metric against epoch: a line a cell, the mean over seeds, in a band of the extremes.

    One panel has a line a decay, darker with more and dotted without; several have their best cell
    each, a colour an optimizer and a dash each of its protocols. A loss has a log axis.
    """
    for one, dash in zip(page, style.dashes(one.panel.optim for one in page), strict=True):
        cells = chosen(one, best_only=len(page) > 1)
        if len(page) > 1 and not len(cells):
            ax.plot([], [], label=f"{one.panel.name}: no finished run", color="none")
        colours = style.sequence(len(cells)) if len(page) == 1 else [style.colour(one.panel.optim)]
        for colour, (_, cell) in zip(colours, cells.iterrows(), strict=False):
            curve = of_cell(one, cell, points, metric)
            where = f"lr {short(cell['lr'])}, wd {short(cell['wd'])}"
            ax.plot(
                curve["epoch"], curve["mean"], color=colour, gid=marks.MEAN, lw=1.1,
                ls=":" if len(page) == 1 and cell["wd"] == 0 else dash,
                label=short(cell["wd"]) if len(page) == 1 else f"{one.panel.name}, {where}",
            )  # fmt: skip
            if (curve["count"] > 1).any():
                marks.band(ax, curve["epoch"], curve["min"], curve["max"], colour)
    for epoch in restarts(page, points):
        ax.axvline(epoch, color="0.6", ls=":", lw=0.8, zorder=0, gid=RESTART)
    if metric.endswith("loss"):
        ax.set_yscale("log")
    ax.set_xlabel("epoch", fontsize=style.FONT)
    words = {"batch_loss": "training loss (nats)"}.get(metric, unit(metric))
    ax.set_ylabel(words, fontsize=style.FONT)
    style.plain(ax)
    return ax


def restarts(page: Sequence[Measured], points: pd.DataFrame) -> list[float]:
    """Return the epochs of the last points before the learning rate, having fallen, rises again."""
    found: set[float] = set()
    for one in page:
        own = points[points["id"].isin(one.panel.runs["id"])]
        etas = own.groupby("epoch")["eta"].mean()
        fallen = etas < etas.cummax()
        found |= set(etas.index[fallen & (etas.shift(-1) > etas)])
    return sorted(found)


def learning_curves(page: Sequence[Measured], points: pd.DataFrame) -> Figure:
    """Draw training loss on the left, test error on the right, on one scale a task.

    A task of few panels has a row each with every decay, one of many a row with their best cells.
    The error's scale is that of the points after the first tenth, without the highest.
    """
    rows: list[tuple[str, list[Measured]]] = []
    for task, group in grouped(page, lambda one: str(one.panel.setting("task"))).items():
        parts = [[one] for one in group] if len(group) <= FEW else [group]
        rows += [(task, part) for part in parts]
    figure = style.figure(6.6, 2.1 * len(rows) + 0.5 + 0.07 * sum(len(p) for _, p in rows))
    axes = figure.subplots(len(rows), 2, squeeze=False)
    for (task, part), line in zip(rows, axes, strict=True):
        first = [task for task, _ in rows].index(task)
        for metric, ax, top in zip(("batch_loss", "test_error"), line, axes[first], strict=True):
            if ax is not top:
                ax.sharey(top)
            learning_curve(part, points, metric, ax=ax)
            _title(ax, part, several=len({task for task, _ in rows}) > 1)
        if len(part) == 1:
            style.legend_beside(line[1], decay_axis.name(part[0]))
    for task in dict.fromkeys(task for task, _ in rows):
        _limit([line[1] for (other, _), line in zip(rows, axes, strict=True) if other == task])
    for ax in axes.flat:
        marks.mark_beyond(ax)
    marks.subject(figure, page)
    named = [line[0] for (_, part), line in zip(rows, axes, strict=True) if len(part) > 1]
    words = WORDS | {marks.MEAN: marks.averaged(page)}
    style.legend_below(figure, named, marks=marks.key(figure.axes, words))
    return figure


def _title(ax: Axes, part: Sequence[Measured], *, several: bool) -> None:
    """Name the one panel of a row, or its task where there are several."""
    if len(part) > 1:
        style.title(ax, part[0].panel.named("task") if several else "")
        return
    (one,) = part
    rates = [f"lr {short(lr)}" for lr in chosen(one, best_only=True)["lr"]]
    style.title(ax, f"{one.panel.name}, {(rates or ['no finished run'])[0]}", one.panel.optim)


def _limit(axes: Sequence[Axes]) -> None:
    """Scale axes that share theirs to the points after the first tenth, without the highest."""
    drawn = [line for ax in axes for line in ax.lines if line.get_gid() == marks.MEAN]
    lines = [np.asarray(line.get_xydata()) for line in drawn]
    late = [xy[xy[:, 0] >= 0.1 * xy[:, 0].max(), 1] for xy in lines if len(xy)]
    if late:
        axes[0].set_ylim(*style.limits(pd.Series(np.concatenate(late))))
