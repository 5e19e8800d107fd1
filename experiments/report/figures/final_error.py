"""Final error: against weight decay, and against training loss (the paper's Figure 3, bottom)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data import coordinates
from experiments.report.data.units import unit
from experiments.report.figures import decay_axis, style
from experiments.report.figures.learning_curves import chosen
from experiments.report.statistics import equal_loss
from experiments.report.statistics.measure import Measured

#: Lines whose legend finds room among them; that of more stands below.
WITHIN = 4


def against_decay(page: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw the final error over log2 wd at each panel's best lr, with the sd over seeds.

    No decay stands apart at the left; the best cell has a star.

    Args:
        page: Panels whose decay has one meaning and so one axis.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    metric = page[0].settings.metric
    optims = [one.panel.optim for one in page]
    lines = zip(page, style.dashes(optims), style.tints(optims), strict=True)
    for one, dash, colour in lines:
        cells = chosen(one, best_only=False).dropna(subset=[metric]).sort_values("wd")
        decayed = cells["wd"] > 0
        x = decay_axis.positions(cells["wd"], page)
        look = {"color": colour, "ms": 3.5, "lw": 1.2, "capsize": 1.5}
        for part, line in ((decayed, dash), (~decayed, "")):
            drawn = cells[part]
            bars = {"yerr": drawn["sd"]} if drawn["sd"].notna().any() else {}
            name = {"label": one.panel.name} if line else {}
            ax.errorbar(x[part], drawn[metric], marker="o", ls=line, **bars, **name, **look)
        if len(cells):
            best = int(cells[metric].to_numpy().argmin())
            star = {"color": look["color"], "mec": "white", "mew": 0.5, "ms": 9, "zorder": 3}
            ax.plot(x[best], cells[metric].iloc[best], marker="*", **star)
    decay_axis.label(ax, page)
    ax.set_ylabel(unit(metric), fontsize=style.FONT)
    outside = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)} if len(page) > WITHIN else {}
    ax.legend(frameon=False, fontsize=style.FONT - 1, **outside)
    style.plain(ax)
    return ax


def final_errors(page: Sequence[Measured]) -> Figure:
    """Draw one set of axes for each meaning of wd, side by side on one scale of the error.

    The scale leaves out the highest errors, of decays that are far too strong.
    """
    groups: dict[str, list[Measured]] = {}
    for one in page:
        first = one.panel.runs.iloc[0]
        name = coordinates.label("typed", first["convention"], first["decay"])
        groups.setdefault(name, []).append(one)
    below = max(len(group) for group in groups.values())
    height = 2.4 + (0.14 * below if below > WITHIN else 0)
    figure = Figure(figsize=(3.3 * len(groups), height), layout="constrained")
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for ax, group in zip(axes, groups.values(), strict=True):
        against_decay(group, ax=ax)
    for ax in axes[1:]:
        ax.set_ylabel("")
    metric = page[0].settings.metric
    errors = pd.concat([chosen(one, best_only=False)[metric] for one in page]).dropna()
    if len(errors):
        axes[0].set_ylim(*style.limits(errors, above=0.1))
    return figure


def against_loss(page: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw each cell's test error over its training loss, joined in the order of the loss.

    The lines are what ``equal_loss.compare`` compares; cells far above the best are left out there
    and here.

    Args:
        page: Panels to compare, with training losses.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    metric, by_panel = "test_error", []
    for one in page:
        runs = equal_loss.usable(one.panel.runs).groupby(["lr", "wd"])
        log_loss = runs["train_loss"].agg(lambda losses: np.log(losses).mean())
        by_panel.append((one, np.exp(log_loss).to_numpy(), runs[metric].mean().to_numpy()))
    best = min((errors.min() for *_, errors in by_panel if len(errors)), default=np.inf)
    dashes = style.dashes(one.panel.optim for one in page)
    for (one, losses, errors), dash in zip(by_panel, dashes, strict=True):
        near = errors <= best + equal_loss.WITHIN
        order = losses[near].argsort()
        look = {"color": style.colour(one.panel.optim), "ms": 3.5, "lw": 0.8, "ls": dash}
        x, y = losses[near][order], errors[near][order]
        ax.plot(x, y, marker="o", label=one.panel.name, **look)
    ax.set_xscale("log")
    ax.set_xlabel("training loss (nats)", fontsize=style.FONT)
    ax.set_ylabel(unit(metric), fontsize=style.FONT)
    ax.legend(frameon=False, fontsize=style.FONT - 1)
    style.plain(ax)
    return ax


def scatter(page: Sequence[Measured]) -> Figure:
    """Draw test error against training loss on axes of their own."""
    figure = Figure(figsize=(3.3, 2.5), layout="constrained")
    against_loss(page, ax=figure.subplots())
    return figure
