"""Does it matter which parameters are spared from decay? Paired differences of ``no_decay``.

Runs that differ in ``no_decay`` alone start from the same weights and see the same batches, so
what is compared is the difference at one seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data import units
from experiments.report.data.text import short
from experiments.report.figures import style
from experiments.report.figures.section import Section, row
from experiments.report.statistics.estimate import Estimate, over_seeds

NONE = "none"
SPARED = {"norm_and_bias": "norms, biases", "embeddings_too": "norms, biases, embeddings"}
METRICS = ("test_loss", "test_error")
COLOURS = dict(zip(SPARED, ("#1b9e77", "#7570b3"), strict=True))
CELL = ["optim", "lr", "wd"]
EXPLAINED = """\
Every difference is that to a run of the same seed in which all parameters decay: below 0, sparing
them is better. Brackets are 95 % intervals over seeds (Student's t); those over all cells are of
each seed's mean over the cells."""


@dataclass(frozen=True)
class Difference:
    """What sparing parameters adds to a metric.

    Attributes:
        task: The task.
        metric: The metric.
        spared: A value of ``no_decay``.
        cell: Optimizer, lr and wd; None for the mean over all cells.
        base: The metric when all decay, mean over seeds.
        estimate: The difference.
    """

    task: str
    metric: str
    spared: str
    cell: tuple | None
    base: float
    estimate: Estimate


def differences(runs: pd.DataFrame) -> Iterator[Difference]:
    """Yield each task's differences, cell by cell and over all cells.

    Args:
        runs: Typed runs table; unfinished and diverged runs are left out with their pair.
    """
    for task, own in runs[runs["status"] == FINISHED].groupby("task", sort=True):
        for metric in METRICS:
            table = own.pivot_table(metric, [*CELL, "seed"], "no_decay")
            if NONE not in table:
                continue
            base = table[NONE].groupby(CELL).mean()
            for spared in (name for name in SPARED if name in table):
                away = (table[spared] - table[NONE]).unstack("seed").dropna(how="all")
                for cell, values in away.iterrows():
                    found = over_seeds(values.dropna())
                    yield Difference(task, metric, spared, cell, base[cell], found)
                whole = away.dropna(axis=1)
                found = over_seeds(whole.mean(), whole.size)
                yield Difference(task, metric, spared, None, base.mean(), found)


def section(found: Sequence[Difference]) -> Section:
    """Return all differences as a table, and each task's answer in a sentence."""
    head = ["", "", "lr", "wd", "all decay", *(f"{name} spared" for name in SPARED.values())]
    rows: dict[tuple, list[str]] = {}
    for one in found:
        places = units.decimals(one.metric)
        where = ["all", "all"] if one.cell is None else [short(x) for x in one.cell[1:]]
        start = [one.task, units.unit(one.metric), *where, f"{one.base:.{places}f}"]
        line = rows.setdefault((one.task, one.metric, one.cell), [*start, *("-" for _ in SPARED)])
        line[len(start) + list(SPARED).index(one.spared)] = one.estimate.text(places)
    names = ("task", "metric", "spared", "base")
    data = [
        row(
            {name: getattr(one, name) for name in names}
            | dict(zip(CELL, one.cell or ("all",) * len(CELL), strict=True)),
            one.estimate,
        )
        for one in found
    ]
    verdicts = [_verdict(one) for one in found if one.cell is None]
    table = pd.DataFrame(data)
    title = "What is spared from decay"
    return Section(title, [head, *rows.values()], EXPLAINED, verdicts, "ablation", table)


def _verdict(one: Difference) -> str:
    found, unit = one.estimate, units.difference(one.metric)
    start = f"{one.task}: sparing {SPARED[one.spared]}"
    word = one.metric.replace("_", " ")
    if found.reason:
        return f"{start}: nothing is known of the {word} ({found.reason})"
    said = f"{found.text(units.decimals(one.metric))} {unit}"
    if found.high < 0:
        return f"{start} lowers the {word}: {said}"
    if found.low > 0:
        return f"{start} raises the {word}: {said}"
    return f"{start} does not resolvably change the {word}: {said}"


def draw(found: Sequence[Difference], *, ax: Axes) -> Axes:
    """Draw the differences of one task and metric, a line a cell, their mean at the bottom.

    Args:
        found: Of one task and metric.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    cells = list(dict.fromkeys(one.cell for one in found))
    for one in found:
        shift = 0.15 * (1 if one.spared == "embeddings_too" else -1)
        y = cells.index(one.cell) + shift
        value, low, high = one.estimate.value, one.estimate.low, one.estimate.high
        bar = {"xerr": [[value - low], [high - value]]} if np.isfinite(low) else {}
        name = {"label": f"{SPARED[one.spared]} spared"} if one.cell == cells[0] else {}
        look = {"color": COLOURS[one.spared], "marker": "o", "ms": 3.5, "lw": 1.2, "capsize": 1.5}
        ax.errorbar([value], [y], **bar, **look, **name)
    ax.axvline(0, color="0.6", lw=0.8, zorder=0)
    names = [
        "all cells" if cell is None else f"{short(cell[1])}, {short(cell[2])}" for cell in cells
    ]
    ax.set_yticks(range(len(cells)), names)
    ax.invert_yaxis()
    first = found[0]
    ax.set_title(first.task, fontsize=style.FONT + 0.5, weight="bold")
    word = f"{first.metric.replace('_', ' ')} ({units.difference(first.metric)})"
    ax.set_xlabel(f"change of {word}", fontsize=style.FONT - 0.5)
    style.plain(ax)
    return ax


def figure(found: Sequence[Difference]) -> Figure:
    """Draw a task a column: the change of the test loss on the left of that of the error."""
    groups: dict[tuple, list[Difference]] = {}
    for one in found:
        groups.setdefault((one.task, one.metric), []).append(one)
    drawn = Figure(figsize=(0.4 + 2.0 * len(groups), 2.6), layout="constrained")
    axes = drawn.subplots(1, len(groups), squeeze=False)[0]
    for ax, group in zip(axes, groups.values(), strict=True):
        draw(group, ax=ax)
    axes[0].set_ylabel("lr, wd", fontsize=style.FONT)
    lines, labels = axes[0].get_legend_handles_labels()
    look = {"ncols": 2, "frameon": False, "fontsize": style.FONT - 0.5}
    drawn.legend(lines, labels, loc="outside lower center", **look)
    return drawn
