"""The best decay over a quantity: with intervals, what is predicted, the surfaces beneath."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.panels import seeds
from experiments.report.data.text import short
from experiments.report.data.units import unit
from experiments.report.figures import marks, panel_axes, style
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.statistics.laws import (
    LAWS,
    QUANTITIES,
    Family,
    Law,
    predicted,
    rule_of,
    split,
)

#: Dashes of the predictions, one a rule.
DASHES = ((0, (1, 1.5)), (0, (5, 2)), (0, (4, 1.5, 1, 1.5)))
WORDS = {
    "point": "best λ",
    "interval": "its 95 % interval",
    "best": "best cell",
    "ridge": "ridge: best λ at each lr",
    "band": "its 95 % interval",
}
CAPTION = (
    "{}: the best weight decay λ of AdamW over the {}, with 95 % intervals; lines: what each rule "
    "predicts, through the middle of the points; beneath, the surfaces with their ridge"
)
#: Inches: width of the figure, heights of the points and of the surfaces.
WIDTH, POINTS, SURFACES = 7.2, 2.3, 1.5


@kind("law")
def part(page: Page) -> Part | None:
    """Draw how the best decay moves with the quantity that the experiment is a preset on."""
    preset = str(page.runs["experiment"].iloc[0])
    law = next((one for one in LAWS if one.preset == preset and one.quantity), None)
    found = split([one for one in page.panels if one.panel.optim == "adamw"], law) if law else []
    if law is None or not found:
        return None
    return Part({"law": Picture(figure(law, found), caption(law, found))})


def caption(law: Law, found: Sequence[Family]) -> str:
    """Say what the picture of a law shows."""
    return CAPTION.format("; ".join(one.label for one in found), QUANTITIES[law.quantity][0])


def figure(law: Law, found: Sequence[Family]) -> Figure:
    """Draw each family: its points, and under them the surfaces that they were read off."""
    drawn = style.figure(WIDTH, len(found) * (POINTS + SURFACES) + 0.5)
    heights = [POINTS, SURFACES] * len(found)
    parts: Any = drawn.subfigures(2 * len(found), 1, height_ratios=heights)
    for family, above, below in zip(found, parts[::2], parts[1::2], strict=True):
        draw(law, family, ax=above.subplots())
        _surfaces(law, family, below.subplots(1, len(family.panels), squeeze=False)[0])
    style.legend_below(drawn, (), 5, marks=marks.key(drawn.axes, WORDS))
    return drawn


def _surfaces(law: Law, family: Family, axes: Sequence[Axes]) -> None:
    """Draw the cells of each panel with the ridge, each on a colour scale of its own."""
    name = QUANTITIES[law.quantity][1]
    for one, ax in zip(family.panels, axes, strict=True):
        cells, metric = one.panel.cells, one.settings.metric
        norm = panel_axes.scale([cells], metric, basin=4 * one.settings.tolerance)
        panel_axes.heatmap(
            cells, value=metric, axis="lambda", norm=norm, line=one.line,
            colour=style.colour("adamw"), ax=ax,
        )  # fmt: skip
        text = f"{name} {short(float(one.panel.setting(law.quantity)))}"
        style.title(ax, text, size=style.FONT - 1)
        ax.set_xlabel("λ per step", fontsize=style.FONT - 1)
        ax.tick_params(labelsize=style.FONT - 2.5)
    axes[0].set_ylabel("learning rate", fontsize=style.FONT - 1)
    panels = [one.panel for one in family.panels]
    said = f"{unit(family.panels[0].settings.metric)}, {marks.mean_over(seeds(panels))}"
    axes[-1].annotate(
        said, (1.02, 0.5), xycoords="axes fraction", rotation=90, va="center",
        fontsize=style.FONT - 2,
    )  # fmt: skip


def draw(law: Law, family: Family, *, ax: Axes) -> Axes:
    """Draw the best decay of each panel, the rules, and the power that fits the points."""
    x, best = np.array(family.at), family.best
    known = [(at, one) for at, one in zip(x, best, strict=True) if not one.reason]
    for at, one in known:
        if math.isfinite(one.low):
            ax.plot([at, at], [one.low, one.high], color="black", lw=1.2, gid="interval")
        ax.plot(at, one.value, "o", color="black", ms=5, gid="point")
    if known:
        middle, height = (
            math.exp(np.mean(np.log(v)))
            for v in ([at for at, _ in known], [one.value for _, one in known])
        )
        ends = np.array([x.min(), x.max()])
        for claim, dash in zip(predicted(law, family), DASHES, strict=False):
            if claim.exact is None:
                continue
            label = f"q = {claim.exact:.2g}: {rule_of(claim)} ({claim.source.split(',')[0]})"
            ax.plot(ends, height * (ends / middle) ** claim.exact, color=style.colour("sgd"),
                    ls=dash, lw=1.3, label=label, gid="predicted")  # fmt: skip
        own = family.exponent
        if not own.reason:
            name = QUANTITIES[law.quantity][1]
            ax.plot(ends, height * (ends / middle) ** own.value, color=style.colour("adamw"),
                    lw=1.2, label=f"these rows: {name}^q, q = {own.text()}", gid="fit")  # fmt: skip
    ax.set(xscale="log", yscale="log")
    ax.minorticks_off()
    ax.set_xticks(x, [short(at) for at in x])
    low, high = _span(family)
    ticks = [digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    ax.set_ylim(low, high)
    ax.set_yticks(ticks, [short(tick) for tick in ticks])
    ax.set_xlabel(QUANTITIES[law.quantity][0], fontsize=style.FONT)
    ax.set_ylabel("best λ per step", fontsize=style.FONT)
    style.title(ax, family.label.replace("_", " "), "adamw", style.FONT)
    style.legend_beside(ax, "")
    style.plain(ax)
    return ax


def _span(family: Family) -> tuple[float, float]:
    """Return what the axis shows: the points with their intervals, and an octave on each side."""
    values = [v for one in family.best for v in (one.value, one.low, one.high) if math.isfinite(v)]
    return (min(values) / 2, max(values) * 2) if values else (1e-4, 1e-1)
