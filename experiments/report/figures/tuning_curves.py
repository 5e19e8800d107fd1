"""Tuning curves: the error to expect from k random draws of lr and wd, one line an optimizer."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data.units import unit
from experiments.report.figures import style
from experiments.report.figures.picture import scale_key
from experiments.report.statistics.measure import Measured


def tuning_curve(measured: Sequence[Measured], *, ax: Axes) -> Axes:
    """Draw the expected best error of k draws, with its 95 % band where there is one.

    Args:
        measured: Panels to compare: of one task and budget.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    dashes = style.dashes(one.panel.optim for one in measured)
    for one, dash in zip(measured, dashes, strict=True):
        look = {"color": style.colour(one.panel.optim), "lw": 1.4, "ls": dash}
        curve = one.curve
        ax.plot(curve["k"], curve["value"], label=one.panel.name, **look)
        if curve["low"].notna().any():
            shade = {"color": style.colour(one.panel.optim), "alpha": 0.15, "lw": 0}
            ax.fill_between(curve["k"], curve["low"], curve["high"], **shade)
    ax.set_xlabel("random draws of (lr, wd)", fontsize=style.FONT)
    ax.set_ylabel(f"expected best {unit(measured[0].settings.metric)}", fontsize=style.FONT)
    aside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if len(measured) > 4 else {}
    ax.legend(frameon=False, fontsize=style.FONT - 1, **aside)
    style.plain(ax)
    ax.set_xlim(1, None)
    return ax


def tuning_curves(measured: Sequence[Measured]) -> Figure:
    """Draw one set of axes for each task and budget; curves of different ones do not compare."""
    groups: dict[tuple, list[Measured]] = {}
    for one in measured:
        groups.setdefault(scale_key(one), []).append(one)
    width = min(3, len(groups))
    height = -(-len(groups) // width)
    figure = Figure(
        figsize=(3.1 * width + (max(map(len, groups.values())) > 4) * 1.4, 2.3 * height),
        layout="constrained",
    )
    axes = figure.subplots(height, width, squeeze=False)
    for ax in axes.flat[len(groups) :]:
        ax.set_visible(False)
    for ax, group in zip(axes.flat, groups.values(), strict=False):
        tuning_curve(group, ax=ax)
    return figure
