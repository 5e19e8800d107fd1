"""Heatmaps: panels arranged on a page as the paper arranges them, and how easily they are tuned."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.report.data import coordinates, names
from experiments.report.data.panels import PROTOCOL, grouped
from experiments.report.data.text import MINUS
from experiments.report.data.units import is_loss, unit
from experiments.report.figures import marks, panel_axes, style
from experiments.report.figures.kinds import Page, Part, Picture, kind
from experiments.report.figures.tuning_curves import tuning_curves
from experiments.report.statistics.measure import Measured, measure_one
from experiments.report.statistics.settings import Settings

#: Settings of the protocol that a page spreads over its columns; optimizers go down then.
ACROSS = ("schedule", "epochs", "train_size", "batch_size")
#: Panels share a colour scale, and tuning curves their axes, when they agree in these.
COMPARABLE = ("figure", "task", "epochs", "train_size")
PANEL_WIDTH, PANEL_HEIGHT = 2.45, 1.95
#: The scale ends this many tolerances above the best.
BASIN = 4.0
BEST = {"ridge": "best decay of each rate", "threshold": "where each rate switches"}
SPLITS = {"test": "test set", "val": "validation split", "train": "training set"}
TWIN = "The same {} runs in the paper's coordinate and in torch's"
Grid = Sequence[Sequence[Measured | None]]
Key = tuple[str, ...]


@kind("heatmap")
def part(page: Page) -> Part:
    """Draw the panels, one of AdamW in two coordinates besides, and the tuning curves."""
    across = [n for n in ACROSS if len({one.panel.key.get(n) for one in page.panels}) > 1]
    by = f" by {across[0].replace('_', ' ')}" if across else ""
    text = f"{page.optimizers}{by}. {caption(page.panels)}"
    own = "" if page.name else "heatmap"
    drawn = {own: Picture(heatmaps(arrange(page.panels), page.note), text)}
    if both := twin(page.panels):
        text = TWIN.format(names.label("adamw"))
        drawn["twin"] = Picture(heatmaps([both], page.note), text)
    groups = grouped(page.panels, lambda one: settings(one, COMPARABLE)).values()
    return Part(drawn | {"tuning": Picture(tuning_curves(list(groups)), "")})


def twin(page: Sequence[Measured]) -> list[Measured]:
    """Measure a page's one AdamW panel in the paper's coordinate and in torch's; else nothing."""
    own = [one for one in page if one.panel.optim == "adamw"]
    if len(own) != 1:
        return []
    views = {"lambda": "the paper's axes", "torch_wd": "torch's axes"}
    label, (one,) = names.label("adamw"), own
    return [
        measure_one(
            replace(one.panel, name=f"{label}, {view}"),
            one.noise,
            replace(one.settings, axis=axis),
            only=[one.settings.slope],
        )
        for axis, view in views.items()
    ]


def beside(ours: Sequence[Measured], theirs: Sequence[Measured], note: str = "") -> Figure:
    """Draw the paper's panels above ours of the same optimizers, each side on its own scale."""
    rows: list[list[Measured | None]] = []
    for side, who in ((theirs, "the paper"), (ours, "ours")):
        named = [
            replace(one, panel=replace(one.panel, name=f"{one.panel.name}, {who}")) for one in side
        ]
        rows += [list(named)] if len(named) <= 4 else [list(row) for row in arrange(named)]
    return heatmaps(rows, note)


@dataclass(frozen=True)
class Quantity:
    """What heatmaps colour by, where it is not a metric at the end of a run.

    Attributes:
        value: Column of the panels' cells.
        norm: Colour scale of all panels.
        label: Of the colour bar.
        above: What the colour above the scale means.
        caption: What a cell is.
    """

    value: str
    norm: Normalize
    label: str
    above: str
    caption: str


def arrange(measured: Sequence[Measured]) -> Grid:
    """Return the panels in rows: the schedule or budget across, all else down.

    Panels that differ in neither fill rows of at most three, or two by two when there are four.
    Where every row has budgets of its own, these are lined up by rank.
    """
    across = [name for name in ACROSS if len({m.panel.key.get(name) for m in measured}) > 1]
    if not across:
        width = 2 if len(measured) == 4 else 3
        return [measured[i : i + width] for i in range(0, len(measured), width)]
    rest = [name for name in measured[0].panel.key if name not in across]
    down = [name for name in rest if not _follows(measured, name, across)]
    ordered = sorted(measured, key=lambda one: _across_order(one.panel.key))
    rows: dict[Key, dict[Key, Measured]] = {settings(one, down): {} for one in measured}
    for one in ordered:
        rows[settings(one, down)][settings(one, across)] = one
    columns = list(dict.fromkeys(settings(one, across) for one in ordered))
    if len(columns) > 2 * max(map(len, rows.values())) - 1:
        return [list(row.values()) for row in rows.values()]
    return [[row.get(column) for column in columns] for row in rows.values()]


def _follows(measured: Sequence[Measured], name: str, across: Sequence[str]) -> bool:
    """Whether a swept setting is fixed by those across, as a schedule's factor by the schedule."""
    seen: dict[Key, set[Key]] = {}
    for one in measured:
        seen.setdefault(settings(one, across), set()).add(settings(one, [name]))
    return name not in PROTOCOL and all(len(values) == 1 for values in seen.values())


def _across_order(key: Mapping[str, Any]) -> tuple[Any, ...]:
    return names.order({"optim": ""} | {k: v for k, v in key.items() if k in ACROSS})


def settings(one: Measured, which: Sequence[str]) -> Key:
    """Return some of a panel's settings as text, to group by."""
    return tuple(str(one.panel.key.get(name)) for name in which)


def heatmaps(grid: Grid, note: str = "", shown: Quantity | None = None) -> Figure:
    """Draw a page of heatmaps with one colour scale for all panels of one task and budget.

    Args:
        grid: Panels with their statistics, in rows; None leaves a place empty.
        note: What the caption says beyond the metric, its split and the number of seeds.
        shown: What to colour by; None is the metric.

    Returns:
        The figure, which is not saved.
    """
    measured = [one for row in grid for one in row if one is not None]
    groups = {settings(one, COMPARABLE) for one in measured}
    norms = {group: shown.norm if shown else _norm(measured, group) for group in groups}
    shared = shown is not None or len(norms) == 1
    value = shown.value if shown else measured[0].settings.metric
    height, width = len(grid), max(map(len, grid))
    lines = max(len(_title(one)) for one in measured)
    size = (0.75 + width * (PANEL_WIDTH + 0.4), 0.75 + height * (PANEL_HEIGHT + 0.5 + 0.13 * lines))
    figure = style.figure(*size)
    figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.05)
    axes = figure.subplots(height, width, squeeze=False)
    for ax in axes.flat:
        ax.set_visible(False)
    for row, line in zip(grid, axes, strict=True):
        for one, ax in zip(row, line, strict=False):
            if one is None:
                continue
            ax.set_visible(True)
            _panel(ax, one, value, norms[settings(one, COMPARABLE)])
            if one is row[0]:
                ax.set_ylabel(r"learning rate $\alpha$", fontsize=style.FONT)
            elif row[0] and set(row[0].panel.cells["lr"]) == set(one.panel.cells["lr"]):
                ax.tick_params(labelleft=False)
        own = {settings(one, COMPARABLE) for one in row if one is not None}
        drawn = [ax for ax in line if ax.get_visible()]
        if not shared:
            for axes_of_bar in [drawn] if len(own) == 1 else [[ax] for ax in drawn]:
                _bar(figure, axes_of_bar, unit(value))
    if shared:
        drawn = [ax for ax in axes.flat if ax.get_visible()]
        _bar(figure, drawn, shown.label if shown else unit(value))
    _legend(figure, measured, note, width, shown)
    return figure


def _title(one: Measured) -> list[str]:
    """The panel's name, in two lines where it is long."""
    name = one.panel.name
    return [name] if len(name) < 30 else name.split(", ", 1)


def _panel(ax: Axes, one: Measured, value: str, norm: Normalize) -> None:
    panel, axis, colour = one.panel, one.settings.axis, style.colour(one.panel.optim)
    line = None if one.slope.reason else one.line
    is_metric = value == one.settings.metric
    form = cell_form(panel.cells, value) if is_metric else ""
    longest = max((f"{x:{form}}" for x in panel.cells[value].dropna()), key=len, default="")
    shown = one.settings.numbers
    if shown is None:
        boxes = panel_axes.layout(panel.cells, axis)
        size = 72 * PANEL_WIDTH, 72 * PANEL_HEIGHT
        shown = panel_axes.fits(boxes, size, longest)
    panel_axes.heatmap(
        panel.cells, value=value, axis=axis, norm=norm, line=line, colour=colour, ax=ax,
        form=form if shown else "",
    )  # fmt: skip
    label = coordinates.label(axis, panel.setting("convention"), panel.setting("decay"))
    ax.set_xlabel(label, fontsize=style.FONT - 1, labelpad=2)
    number = one.slope.text("+.2f").replace("-", MINUS)
    name, *rest = _title(one)
    _above(ax, f"{one.settings.slope.replace('_', ' ')} {number}", 3, "black").set_gid("slope")
    for other in rest:
        _above(ax, other, 12, colour)
    pad = 13 + 9 * len(rest)
    ax.set_title(name, color=colour, fontsize=style.FONT + 0.5, weight="bold", pad=pad)


def _above(ax: Axes, text: str, points: float, colour: str) -> Artist:
    return ax.annotate(
        text, (0.5, 1), (0, points), "axes fraction", "offset points",
        color=colour, fontsize=style.FONT - 1, ha="center", va="bottom",
    )  # fmt: skip


def scale(tables: list[pd.DataFrame], metric: str, how: Settings) -> Normalize:
    """Return the colour scale of comparable panels, given the cells of each."""
    return panel_axes.scale(
        tables, metric, basin=BASIN * how.tolerance, switches=how.level is not None
    )


def _norm(measured: Sequence[Measured], of: Key) -> Normalize:
    cells = [one.panel.cells for one in measured if settings(one, COMPARABLE) == of]
    return scale(cells, measured[0].settings.metric, measured[0].settings)


def _bar(figure: Figure, axes: list[Axes], label: str) -> None:
    aspect = 40 if len(axes) > 3 else 20
    bar = figure.colorbar(
        axes[0].collections[0], ax=axes, aspect=aspect,
        extend="max", extendfrac=0.03, pad=0.02, fraction=0.06,
    )  # fmt: skip
    bar.ax.tick_params(which="both", labelsize=style.FONT - 1, length=2, pad=1.5)
    if isinstance(bar.norm, LogNorm):
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_formatter("{x:g}")
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=style.FONT)


def _legend(
    figure: Figure, measured: Sequence[Measured], note: str, width: int, shown: Quantity | None
) -> None:
    """Explain the marks that are in use, and say what a cell is, beneath the panels."""
    states = {state for one in measured for state in one.panel.cells["status"]}
    slope = measured[0].settings.slope.split("_")[0]
    drawn = {str(artist.get_gid()) for ax in figure.axes for artist in ax.get_children()}
    known: dict[str, Artist] = {
        "best": Line2D([], [], ls="", marker="*", color="black", ms=7, label="best cell"),
        "top": Patch(facecolor="none", edgecolor="black", label="ten best"),
        "ridge": Line2D([], [], color="0.3", marker=".", lw=1.4, label=BEST[slope]),
        "band": Line2D([], [], color="0.3", lw=0.7, ls=(0, (2, 1.5)), label="its 95 % interval"),
        "slope 0": Line2D([], [], color="0.25", lw=0.7, ls=(0, (1, 1.5)), label="slope 0"),
        "slope -1": Line2D(
            [], [], color="0.25", lw=0.7, ls=(0, (4, 1.5, 1, 1.5)), label=f"slope {MINUS}1"
        ),
    }
    handles = [handle for mark, handle in known.items() if mark in drawn]
    states_shown = {
        "diverged": (style.DIVERGED, "", r"$\times$ diverged"),
        "partial": (style.PARTIAL, "", "/ some seeds diverged"),
        "missing": ("white", "//////", "not run yet"),
        "hidden": (style.HIDDEN, "", "no number"),
    }
    patches = [mark for state, mark in states_shown.items() if state in states]
    if shown or "above" in drawn:
        patches.append((style.ABOVE, "", shown.above if shown else "above the scale"))
    for face, hatch, label in patches:
        patch = Patch(
            facecolor=face, hatch=hatch or None, label=label, edgecolor="0.6", linewidth=0.4
        )
        handles.append(patch)
    text = (shown.caption if shown else caption(measured)) + (f" {note}" if note else "")
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 2 if width == 1 else 3 * (width - 1)),
        title="\n".join(textwrap.wrap(text, 36 * width + 8)),
        title_fontsize=style.FONT - 0.5,
        fontsize=style.FONT - 0.5,
        frameon=False,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.2,
        handlelength=1.4,
    )


def cell_form(cells: pd.DataFrame, value: str) -> str:
    """Return how the numbers in cells are printed: with the decimals that tell them apart."""
    if is_loss(value):
        return ".2f"
    return ".1f" if cells[value].max() < 100 else ".0f"


def caption(measured: Sequence[Measured]) -> str:
    """Say what a cell is: the metric, its split, and over how many seeds it is a mean."""
    metric = measured[0].settings.metric
    words = metric.replace("_", " ").capitalize()
    where = SPLITS[metric.split("_")[0]]
    text = f"{words} at the end of training, on the {where}; {marks.averaged(measured)}"
    missing = int(sum((one.panel.cells["status"] == "missing").sum() for one in measured))
    text += f"; {missing} planned cells not run yet" if missing else ""
    if any((one.panel.cells["bound"] != "").any() for one in measured):
        text += "; of the digitised cells above the scale only a bound is known"
    return text + "."
