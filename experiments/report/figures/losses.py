"""Test and training loss over weight decay: does decay lower what is trained on, too?

D'Angelo et al. (NeurIPS 2024, https://arxiv.org/abs/2310.04415): where every example is seen once,
weight decay does not regularize, it lowers the training loss. So both losses are drawn together,
and what decay does to each is the difference of two tuned settings, with decay and without
(``decay_effect``).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data import units
from experiments.report.data.text import short
from experiments.report.figures import decay_axis, marks, style
from experiments.report.figures.kinds import Page, Part, Picture, Section, kind
from experiments.report.statistics import judge
from experiments.report.statistics.decay_effect import effect
from experiments.report.statistics.measure import Measured

METRICS = {"test_loss": "test loss", "train_loss": "training loss"}
CAPTION = (
    "{}: loss on the test set (above) and on the training set (below) over weight decay, one "
    "line per learning rate, darker with more, {}; without decay at the left; stars: the lowest"
)
EXPLAINED = """\
Each loss is that of the best learning rate and decay, chosen on the other seeds and judged on its
own, mean over seeds; without decay only the learning rate is chosen. Brackets are 95 % intervals by
Student's t over the seeds. The training loss is measured at the end, in evaluation mode, on the
training set (on a text: on windows evenly spread over it)."""


@kind("losses")
def part(page: Page) -> Part | None:
    """Draw both losses and say what decay does to each, once a run has ended with both."""
    ended = page.runs[page.runs["status"] == FINISHED]
    if not ended[list(METRICS)].notna().all(axis=1).any():
        return None
    text = CAPTION.format(page.optimizers, marks.averaged(page.panels))
    return Part({"losses": Picture(figure(page.panels), text)}, section(page.panels))


def section(page: Sequence[Measured]) -> Section:
    """Return what decay does to both losses, panel by panel, and say it in a sentence each."""
    rows, data, verdicts = [["", "", "without decay", "with decay", "difference (nats)"]], [], []
    for one in page:
        for metric, name in METRICS.items():
            found, without, with_decay = effect(one.panel.runs, metric)
            shown = [f"{x:.3f}" if np.isfinite(x) else "-" for x in (without, with_decay)]
            rows.append([one.panel.name, name, *shown, found.text(".3f")])
            key = {"panel": one.panel.name, "loss": metric}
            data.append(key | {"without_decay": without, "with_decay": with_decay} | found.row())
            verdicts.append(judge.effect(f"{one.panel.name}: decay", name, found, ".3f", "nats"))
    title = "What decay does to both losses"
    return Section(title, [rows], EXPLAINED, verdicts=verdicts, data={"losses": pd.DataFrame(data)})


def draw(one: Measured, metric: str, *, ax: Axes) -> Axes:
    """Draw a loss over decay, a line a learning rate (darker is higher), mean over seeds.

    No decay stands apart at the left; the lowest cell has a star.
    """
    runs = one.panel.runs
    cells = runs[runs["status"] == FINISHED].groupby(["lr", "wd"])[metric].mean().reset_index()
    rates = sorted(cells["lr"].unique())
    for rate, shade in zip(rates, style.sequence(len(rates)), strict=True):
        own = cells[cells["lr"] == rate].sort_values("wd")
        x, y = decay_axis.positions(own["wd"], [one]), own[metric].to_numpy()
        decayed = (own["wd"] > 0).to_numpy()
        for at, width, label in ((decayed, 1.1, f"lr {short(rate)}"), (~decayed, 0, None)):
            ax.plot(
                x[at], y[at], label=label, color=shade, gid=marks.MEAN, marker="o", ms=2.5,
                lw=width, ls="-" if width else "",
            )  # fmt: skip
    if len(cells):
        best = cells.loc[[cells[metric].idxmin()]]
        style.star(ax, decay_axis.positions(best["wd"], [one]), best[metric], size=8)
    style.plain(ax)
    return ax


def figure(page: Sequence[Measured]) -> Figure:
    """Draw the test loss above the training loss, a column a panel, each row on one scale."""
    width = len(page)
    drawn = style.figure(0.4 + 1.85 * width, 4.6)
    axes = drawn.subplots(len(METRICS), width, sharex="col", sharey="row", squeeze=False)
    for metric, line in zip(METRICS, axes, strict=True):
        for one, ax in zip(page, line, strict=True):
            draw(one, metric, ax=ax)
        line[0].set_ylabel(units.unit(metric).replace("train ", "training "), fontsize=style.FONT)
        runs = pd.concat([one.panel.runs for one in page])
        line[0].set_ylim(*style.limits(runs.loc[runs["status"] == FINISHED, metric]))
    for one, (above, below) in zip(page, axes.T, strict=True):
        style.title(above, one.panel.name, one.panel.optim)
        decay_axis.label(below, [one], most=4, size=style.FONT - 1.5)
        style.legend_beneath(below, style.FONT - 1.5, columns=2)
    for ax in drawn.axes:
        marks.mark_beyond(ax)
    marks.subject(drawn, page)
    words = {
        marks.MEAN: marks.averaged(page),
        marks.BEST: "lowest loss",
        marks.BEYOND: marks.GOES_ON,
    }
    style.legend_below(drawn, (), len(words), marks=marks.key(drawn.axes, words))
    return drawn
