"""Learning curves: training loss and test error against epoch (the paper's Figures 3, 4 and S5)."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.panels import best_cell, grouped
from experiments.report.data.text import short
from experiments.report.data.units import unit
from experiments.report.figures import style
from experiments.report.figures.heatmap import averaged
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics.measure import Measured

#: Pages of more panels than this show the best cell of each; fewer show every decay.
FEW = 2
CAPTION = "{}: training loss (mean over the batches of an interval) and test error, {}"


@kind("curves")
def part(page: Page) -> Part | None:
    """Draw the learning curves, if there are any."""
    if not page.has_points:
        return None
    text = CAPTION.format(page.optimizers, averaged(page.panels))
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

    A colour is an optimizer, a dash its second protocol, a darker shade more decay; no decay is
    dotted. A loss has a log axis; the error's shows the points after the first tenth, without the
    highest.
    """
    late = []
    dashes = style.dashes(one.panel.optim for one in page)
    for one, dash in zip(page, dashes, strict=True):
        cells = chosen(one, best_only=len(page) > FEW)
        shades = style.shades(one.panel.optim, len(cells))
        for shade, (_, cell) in zip(shades, cells.iterrows(), strict=True):
            curve = of_cell(one, cell, points, metric)
            dots = len(cells) > 1 and cell["wd"] == 0
            ax.plot(curve["epoch"], curve["mean"], color=shade, ls=":" if dots else dash, lw=1.1)
            if (curve["count"] > 1).any():
                low, high = curve["min"], curve["max"]
                ax.fill_between(curve["epoch"], low, high, color=shade, alpha=0.15, lw=0)
            late.append(curve["mean"][curve["epoch"] >= 0.1 * curve["epoch"].max()])
        label, colour = _label(one, cells), style.colour(one.panel.optim)
        ax.plot([], [], label=label, color=colour, ls=dash, lw=1.4)
    if metric.endswith("loss"):
        ax.set_yscale("log")
    elif late and len(values := pd.concat(late)):
        ax.set_ylim(*style.limits(values))
    ax.set_xlabel("epoch", fontsize=style.FONT)
    words = {"batch_loss": "training loss (nats)"}.get(metric, unit(metric))
    ax.set_ylabel(words, fontsize=style.FONT)
    style.plain(ax)
    return ax


def _label(one: Measured, cells: pd.DataFrame) -> str:
    wds = [short(wd) for wd in cells["wd"]]
    if not wds:
        return f"{one.panel.name}: no finished run"
    return f"{one.panel.name}, wd {wds[0]}" + (f" to {wds[-1]} (dark)" if len(wds) > 1 else "")


def learning_curves(page: Sequence[Measured], points: pd.DataFrame) -> Figure:
    """Draw training loss on the left, test error on the right, a row a task, one legend beneath."""
    tasks = grouped(page, lambda one: one.panel.setting("task"))
    figure = style.figure(6.6, 2.3 * len(tasks) + 0.3 + 0.13 * len(page))
    axes = figure.subplots(len(tasks), 2, squeeze=False)
    for (left, right), group in zip(axes, tasks.values(), strict=True):
        learning_curve(group, points, "batch_loss", ax=left)
        learning_curve(group, points, "test_error", ax=right)
    style.legend_below(figure, axes[:, 0])
    return figure
