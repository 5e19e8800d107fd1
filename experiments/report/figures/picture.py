"""Pictures: panels arranged on a page as the paper arranges them, captioned, and saved."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.report.data import coordinates, names
from experiments.report.data.panels import PROTOCOL
from experiments.report.data.units import unit
from experiments.report.figures import heatmap, style
from experiments.report.statistics.measure import Measured

#: Settings of the protocol that a page spreads over its columns; optimizers go down then.
ACROSS = ("schedule", "epochs", "train_size", "batch_size")
PANEL_WIDTH, PANEL_HEIGHT = 1.85, 1.65
SPLITS = {"test": "test set", "val": "validation split", "train": "training set"}
Grid = list[list[Measured | None]]


@dataclass(frozen=True)
class Shown:
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
        return [list(measured[i : i + width]) for i in range(0, len(measured), width)]
    names = [name for name in measured[0].panel.key if name not in across]
    down = [name for name in names if not _follows(measured, name, across)]
    ordered = sorted(measured, key=lambda one: _across_order(one.panel.key))
    rows: dict[tuple, dict[tuple, Measured]] = {key(one, down): {} for one in measured}
    for one in ordered:
        rows[key(one, down)][key(one, across)] = one
    columns = list(dict.fromkeys(key(one, across) for one in ordered))
    if len(columns) > 2 * max(map(len, rows.values())) - 1:
        return [list(row.values()) for row in rows.values()]
    return [[row.get(column) for column in columns] for row in rows.values()]


def _follows(measured: Sequence[Measured], name: str, across: Sequence[str]) -> bool:
    """Whether a swept setting is fixed by those across, as a schedule's factor by the schedule."""
    seen: dict[tuple, set[tuple]] = {}
    for one in measured:
        seen.setdefault(key(one, across), set()).add(key(one, [name]))
    return name not in PROTOCOL and all(len(values) == 1 for values in seen.values())


def _across_order(panel_key: dict) -> tuple:
    return names.order({"optim": ""} | {k: v for k, v in panel_key.items() if k in ACROSS})


def key(one: Measured, names: Sequence[str]) -> tuple:
    """Return the panel's settings of these names, as text, to group by."""
    return tuple(str(one.panel.key.get(name)) for name in names)


def scale_key(one: Measured) -> tuple:
    """Panels share a colour scale when they are of one figure, task and budget."""
    return key(one, ("figure", "task", "epochs", "train_size"))


def heatmaps(grid: Grid, note: str = "", shown: Shown | None = None) -> Figure:
    """Draw a page of heatmaps with one colour scale for all panels of one task and budget.

    Args:
        grid: Panels with their statistics, in rows; None leaves a place empty.
        note: What the caption says beyond the metric, its split and the number of seeds.
        shown: What to colour by; None is the metric.

    Returns:
        The figure, which is not saved.
    """
    measured = [one for row in grid for one in row if one is not None]
    norms = {k: shown.norm if shown else _norm(measured, k) for k in map(scale_key, measured)}
    shared = shown is not None or len(norms) == 1
    value = shown.value if shown else measured[0].settings.metric
    height, width = len(grid), max(map(len, grid))
    lines = max(len(_title(one)) for one in measured)
    size = (0.75 + width * (PANEL_WIDTH + 0.4), 0.75 + height * (PANEL_HEIGHT + 0.5 + 0.13 * lines))
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.05)
    axes = figure.subplots(height, width, squeeze=False)
    for ax in axes.flat:
        ax.set_visible(False)
    for row, line in zip(grid, axes, strict=True):
        for one, ax in zip(row, line, strict=False):
            if one is None:
                continue
            ax.set_visible(True)
            _panel(ax, one, value, norms[scale_key(one)])
            if one is row[0]:
                ax.set_ylabel(r"learning rate $\alpha$", fontsize=style.FONT)
            elif row[0] and set(row[0].panel.cells["lr"]) == set(one.panel.cells["lr"]):
                ax.tick_params(labelleft=False)
            if not shared:
                _bar(figure, ax, ax, "")
    if shared:
        drawn = [ax for ax in axes.flat if ax.get_visible()]
        _bar(figure, drawn, drawn[0], shown.label if shown else unit(value))
    _legend(figure, measured, note, width, shown)
    return figure


def _title(one: Measured) -> list[str]:
    """The panel's name, in two lines where it is long."""
    name = one.panel.name
    return [name] if len(name) < 27 else name.split(", ", 1)


def _panel(ax, one: Measured, value: str, norm: Normalize) -> None:
    panel, settings = one.panel, one.settings
    row, colour = one.row(settings.slope), style.colour(one.panel.optim)
    line = None if row["reason"] else one.line
    options = {"value": value, "axis": settings.axis, "norm": norm}
    heatmap.heatmap(panel.cells, line=line, colour=colour, ax=ax, **options)
    first = panel.runs.iloc[0]
    label = coordinates.label(settings.axis, first["convention"], first["decay"])
    ax.set_xlabel(label, fontsize=style.FONT - 1, labelpad=2)
    kind = settings.slope.replace("_", " ")
    text = f"{kind} {signed(row)}" if not row["reason"] else f"{kind} not identified"
    name, *rest = _title(one)
    place = {"xy": (0.5, 1), "textcoords": "offset points", "xycoords": "axes fraction"}
    font = {"fontsize": style.FONT - 1, "ha": "center", "va": "bottom"}
    ax.annotate(text, xytext=(0, 3), gid="slope", **place, **font)
    for other in rest:
        ax.annotate(other, xytext=(0, 12), color=colour, **place, **font)
    pad = 13 + 9 * len(rest)
    ax.set_title(name, color=colour, fontsize=style.FONT + 0.5, weight="bold", pad=pad)


def signed(row) -> str:
    """Return an estimate as a title prints it: -0.79, with its interval when it has one."""
    numbers = [row["value"], *(row[k] for k in ("low", "high") if row[k] == row[k])]
    text = [f"{round(n, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}") for n in numbers]
    return text[0] if len(text) == 1 else f"{text[0]} [{text[1]}, {text[2]}]"


def _norm(measured: Sequence[Measured], of: tuple):
    cells = [one.panel.cells for one in measured if scale_key(one) == of]
    settings = measured[0].settings
    return heatmap.scale(cells, settings.metric, switches=settings.level is not None)


def _bar(figure: Figure, axes, owner, label: str) -> None:
    look = {"extend": "max", "extendfrac": 0.03, "pad": 0.02, "fraction": 0.06}
    aspect = 20 * (1 + (len(axes) > 3 if isinstance(axes, list) else 0))
    bar = figure.colorbar(owner.collections[0], ax=axes, aspect=aspect, **look)
    bar.ax.tick_params(which="both", labelsize=style.FONT - 1, length=2, pad=1.5)
    if isinstance(bar.norm, LogNorm):
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_formatter("{x:g}")
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=style.FONT)


def _legend(
    figure: Figure, measured: Sequence[Measured], note: str, width: int, shown: Shown | None
) -> None:
    """Explain the marks that are in use, and say what a cell is, beneath the panels."""
    states = {state for one in measured for state in one.panel.cells["status"]}
    kind = measured[0].settings.slope.split("_")[0]
    ring = {"ls": "", "marker": "o", "mfc": "none", "mec": "black"}
    handles = [
        Line2D([], [], ls="", marker="*", color="black", ms=7, label="best cell"),
        Line2D([], [], ms=5, mew=0.7, label="ten best", **ring),
        Line2D([], [], color="0.3", marker=".", lw=1.4, label=f"{kind} (what the slope fits)"),
    ]
    grey = {"edgecolor": "0.6", "linewidth": 0.4}
    marks = {
        "diverged": Patch(facecolor=style.DIVERGED, label=r"$\times$ diverged", **grey),
        "partial": Patch(facecolor=style.PARTIAL, label="/ some seeds diverged", **grey),
        "missing": Patch(facecolor="white", hatch="//////", label="not run yet", **grey),
        "hidden": Patch(facecolor=style.HIDDEN, label="no number", **grey),
    }
    handles += [patch for state, patch in marks.items() if state in states]
    if shown:
        handles.append(Patch(facecolor=style.ABOVE, label=shown.above, **grey))
    look = {"columnspacing": 1.2, "handletextpad": 0.5, "borderaxespad": 0.2, "handlelength": 1.4}
    text = (shown.caption if shown else caption(measured)) + (f" {note}" if note else "")
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 2 if width == 1 else 3 * (width - 1)),
        title="\n".join(textwrap.wrap(text, 36 * width + 8)),
        title_fontsize=style.FONT - 0.5,
        fontsize=style.FONT - 0.5,
        frameon=False,
        **look,
    )


def caption(measured: Sequence[Measured]) -> str:
    """Say what a cell is: the metric, its split, and over how many seeds it is a mean."""
    metric = measured[0].settings.metric
    words = metric.replace("_", " ").capitalize()
    where = SPLITS[metric.split("_")[0]]
    text = f"{words} at the end of training, on the {where}; {seeds(measured)}"
    missing = int(sum((one.panel.cells["status"] == "missing").sum() for one in measured))
    text += f"; {missing} planned cells not run yet" if missing else ""
    if any((one.panel.cells["bound"] != "").any() for one in measured):
        text += "; cells in the colour above the scale are known only as bounds"
    return text + "."


def seeds(measured: Sequence[Measured]) -> str:
    """Say over how many seeds a cell is a mean."""
    counts = [n for one in measured for n in one.panel.cells["n"] if n > 0]
    low, high = (min(counts), max(counts)) if counts else (0, 0)
    return "one seed" if high == 1 else f"mean over {low}" + f"-{high}" * (low < high) + " seeds"


def render(figure: Figure) -> dict[str, bytes]:
    """Return the figure as png and svg, the same bytes whenever it is drawn again."""
    rendered = {}
    with matplotlib.rc_context({"svg.hashsalt": "decay-lab", "svg.fonttype": "path"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
            rendered[kind] = buffer.getvalue()
    return rendered
