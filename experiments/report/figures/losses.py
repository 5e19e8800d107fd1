r"""Test and training loss over weight decay: does decay lower what is trained on, too?

D'Angelo et al. (NeurIPS 2024, https://arxiv.org/abs/2310.04415): where every example is seen once,
weight decay does not regularize, it lowers the training loss. So both losses are drawn together,
and what decay does to each is the difference of two tuned settings, with decay and without:

.. math:: \frac{1}{n}\sum_s e_s\Big(\arg\min_{l,\,w>0} \bar e_{-s}(l, w)\Big)
    - \frac{1}{n}\sum_s e_s\Big(\arg\min_l \bar e_{-s}(l, 0)\Big)

with :math:`\bar e_{-s}` the mean over all seeds but s: a setting is chosen on the other seeds and
judged on its own. The lowest of many noisy cells is too low, and with decay there are more cells.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data import units
from experiments.report.data.text import short
from experiments.report.figures import decay_axis, style
from experiments.report.figures.section import Section, row
from experiments.report.statistics.bootstrap import CHUNK
from experiments.report.statistics.estimate import Estimate, estimate, unidentified
from experiments.report.statistics.measure import Measured

METRICS = {"test_loss": "test loss", "train_loss": "training loss"}
EXPLAINED = """\
Each loss is that of the best learning rate and decay, chosen on the other seeds and judged on its
own, mean over seeds; without decay only the learning rate is chosen. Brackets are 95 % bootstrap
intervals over seeds: deviations from a cell's mean are drawn from those of the better half of all
cells, since two seeds of one cell may agree by chance. The training loss is measured at the end, in
evaluation mode, on the training set (on a text: on windows evenly spread over it)."""


def effect(runs: pd.DataFrame, metric: str, samples: int) -> tuple[Estimate, float, float]:
    """Return what decay adds to a loss, and the loss without and with it.

    Args:
        runs: Of one panel: lr, wd, seed, status and the metric.
        metric: A column of losses.
        samples: Of the bootstrap. It draws the deviations of a cell's n seeds from its mean from
            those of all cells up to the median, widened by sqrt(n / (n - 1)): where training
            hardly works seeds differ more, and the two cells that count may agree by chance.
    """
    table = runs[runs["status"] == FINISHED].pivot(
        index=["lr", "wd"], columns="seed", values=metric
    )
    values = table.dropna().to_numpy(float)
    decayed = table.dropna().index.get_level_values("wd").to_numpy() > 0
    n = values.shape[1] if values.size else 0
    if n < 2 or decayed.all() or not decayed.any():
        reason = "needs cells with and without decay that several seeds share"
        return unidentified(reason, values.size), np.nan, np.nan
    chunks = [
        [judged(chunk[:, side]) for side in (~decayed, decayed)]
        for chunk in _draws(values, samples)
    ]
    without, with_decay = map(np.concatenate, zip(*chunks, strict=True))
    found = estimate(with_decay - without, values.size)
    return found, float(without[0]), float(with_decay[0])


def _draws(values: np.ndarray, samples: int) -> Iterator[np.ndarray]:
    """Yield the table (cells, seeds), then its resamplings, in chunks (s, cells, seeds)."""
    yield values[None]
    n = values.shape[1]
    center = values.mean(1, keepdims=True)
    better = center[:, 0] <= np.median(center)
    away = ((values - center)[better] * np.sqrt(n / (n - 1))).ravel()
    generator, step = np.random.default_rng(0), max(1, CHUNK // values.size)
    for done in range(0, samples, step):
        size = (min(step, samples - done), *values.shape)
        yield center + generator.choice(away, size)


def judged(values: np.ndarray) -> np.ndarray:
    """Return the mean over seeds of the cell that the others choose: (S, cells, seeds) to (S,)."""
    seeds = values.shape[2]
    others = values.sum(2, keepdims=True) - values
    chosen = others.argmin(1)  # (S, seeds)
    return np.take_along_axis(values, chosen[:, None], 1).sum((1, 2)) / seeds


def known(page: Sequence[Measured]) -> bool:
    """Whether any run has ended with both losses."""
    runs = pd.concat([one.panel.runs for one in page])
    return bool(runs.loc[runs["status"] == FINISHED, list(METRICS)].notna().all(axis=1).any())


def section(page: Sequence[Measured]) -> Section:
    """Return what decay does to both losses, panel by panel, and say it in a sentence each."""
    head = ["", "", "without decay", "with decay", "difference (nats)"]
    rows, data, verdicts = [head], [], []
    for one in page:
        for metric, name in METRICS.items():
            found, *both = effect(one.panel.runs, metric, one.settings.samples)
            shown = [f"{loss:.3f}" if np.isfinite(loss) else "-" for loss in both]
            rows.append([one.panel.name, name, *shown, found.text(3)])
            key = {"panel": one.panel.name, "loss": metric}
            losses = dict(zip(("without_decay", "with_decay"), both, strict=True))
            data.append(row(key | losses, found))
            verdicts.append(f"{one.panel.name}: {_verdict(found, name)}")
    return Section(
        "What decay does to both losses", rows, EXPLAINED, verdicts, "losses",
        pd.DataFrame(data),
    )  # fmt: skip


def _verdict(found: Estimate, name: str) -> str:
    """Say which way it goes, if the interval says so."""
    if found.reason:
        return f"nothing is known of the {name} ({found.reason})"
    if found.high < 0:
        return f"decay lowers the {name}: {found.text(3)} nats"
    if found.low > 0:
        return f"decay raises the {name}: {found.text(3)} nats"
    return f"decay does not resolvably change the {name}: {found.text(3)} nats"


def draw(one: Measured, metric: str, *, ax: Axes) -> Axes:
    """Draw a loss over decay, a line a learning rate (darker is higher), mean over seeds.

    No decay stands apart at the left; the lowest cell has a star.

    Args:
        one: The panel.
        metric: A column of losses.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    runs = one.panel.runs
    cells = runs[runs["status"] == FINISHED].groupby(["lr", "wd"])[metric].mean().reset_index()
    rates = sorted(cells["lr"].unique())
    shades = style.shades(one.panel.optim, len(rates))
    for rate, shade in zip(rates, shades, strict=True):
        own = cells[cells["lr"] == rate].sort_values("wd")
        x, y = decay_axis.positions(own["wd"], [one]), own[metric].to_numpy()
        decayed = (own["wd"] > 0).to_numpy()
        look = {"color": shade, "marker": "o", "ms": 2.5, "lw": 1.1}
        ax.plot(x[decayed], y[decayed], label=f"lr {short(rate)}", **look)
        ax.plot(x[~decayed], y[~decayed], **look | {"lw": 0})
    if len(cells):
        best = cells.loc[[cells[metric].idxmin()]]
        star = {"color": "black", "mec": "white", "mew": 0.5, "ms": 8, "zorder": 3, "gid": "best"}
        ax.plot(decay_axis.positions(best["wd"], [one]), best[metric], marker="*", **star)
    style.plain(ax)
    return ax


def figure(page: Sequence[Measured]) -> Figure:
    """Draw the test loss above the training loss, a column a panel, each row on one scale."""
    width = len(page)
    drawn = Figure(figsize=(0.4 + 1.85 * width, 4.6), layout="constrained")
    axes = drawn.subplots(len(METRICS), width, sharex="col", sharey="row", squeeze=False)
    for (metric, _), line in zip(METRICS.items(), axes, strict=True):
        for one, ax in zip(page, line, strict=True):
            draw(one, metric, ax=ax)
        line[0].set_ylabel(units.unit(metric).replace("train ", "training "), fontsize=style.FONT)
        line[0].set_ylim(*_limits(page, metric))
    for one, (above, below) in zip(page, axes.T, strict=True):
        look = {"color": style.colour(one.panel.optim), "weight": "bold"}
        above.set_title(one.panel.name, fontsize=style.FONT + 0.5, **look)
        decay_axis.label(below, [one], most=4)
        below.set_xlabel(below.get_xlabel(), fontsize=style.FONT - 1.5)
        look = {"frameon": False, "fontsize": style.FONT - 1.5, "handlelength": 1, "ncols": 2}
        if below.lines:
            below.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), **look)
    return drawn


def _limits(page: Sequence[Measured], metric: str) -> tuple[float, float]:
    """Return the range of the cells, without those above a robust upper end."""
    runs = pd.concat([one.panel.runs for one in page])
    return style.limits(runs.loc[runs["status"] == FINISHED, metric])
