"""Pictures: panels arranged on a page as the paper arranges them, captioned, and saved."""

import io
import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.report import coordinates, heatmap, style
from experiments.report.cells import Panel
from experiments.report.measure import Measured, Settings

#: Settings of the protocol that a page spreads over its columns; optimizers go down then.
ACROSS = ("schedule", "epochs", "train_size", "batch_size")
PANEL_WIDTH, PANEL_HEIGHT = 1.85, 1.65
SPLITS = {"test": "test set", "val": "validation split", "train": "training set"}


def arrange(panels: Sequence[Panel]) -> list[list[Panel | None]]:
    """Return the panels in rows: the schedule or budget across, all else down.

    Panels that differ in neither fill rows of at most three, or two by two when there are four.
    """
    across = [name for name in ACROSS if len({p.key.get(name) for p in panels}) > 1]
    if not across:
        width = 2 if len(panels) == 4 else 3
        return [list(panels[i : i + width]) for i in range(0, len(panels), width)]
    down = [name for name in panels[0].key if name not in across]
    rows: dict[tuple, dict[tuple, Panel]] = {}
    for panel in sorted(panels, key=_across_order):
        rows.setdefault(_key(panel, down), {})[_key(panel, across)] = panel
    rows = {key: rows[key] for key in dict.fromkeys(_key(p, down) for p in panels)}
    columns = list(dict.fromkeys(_key(p, across) for p in sorted(panels, key=_across_order)))
    if len(columns) > 2 * max(map(len, rows.values())) - 1:  # budgets of their own in every row
        return [list(row.values()) for row in rows.values()]
    return [[row.get(column) for column in columns] for row in rows.values()]


def _across_order(panel: Panel) -> tuple:
    return style.order({"optim": ""} | {k: v for k, v in panel.key.items() if k in ACROSS})


def _key(panel: Panel, names: Sequence[str]) -> tuple:
    return tuple(str(panel.key.get(name)) for name in names)


def heatmaps(measured: Sequence[Measured], settings: Settings) -> Figure:
    """Draw a page of heatmaps with one colour scale for all panels of one task and budget.

    Args:
        measured: Panels with their statistics, in the order of reading.
        settings: Metric and axis; the caption names the split of the metric.

    Returns:
        The figure, which is not saved.
    """
    by_panel = {id(m.panel): m for m in measured}
    grid = arrange([m.panel for m in measured])
    norms = {k: _norm(measured, k, settings.metric) for k in {_scale_key(m) for m in measured}}
    height, width = len(grid), max(map(len, grid))
    size = (0.75 + width * (PANEL_WIDTH + 0.45), 0.75 + height * (PANEL_HEIGHT + 0.75))
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.05)
    axes = figure.subplots(height, width, squeeze=False)
    for i, row in enumerate(grid):
        for j, ax in enumerate(axes[i]):
            if j >= len(row) or row[j] is None:
                ax.set_visible(False)
                continue
            one = by_panel[id(row[j])]
            _panel(ax, one, settings, norms[_scale_key(one)])
            if j == 0:
                ax.set_ylabel(r"learning rate $\alpha$", fontsize=style.FONT)
            elif row[0] is not None and set(row[0].cells["lr"]) == set(row[j].cells["lr"]):
                ax.tick_params(labelleft=False)
            if len(norms) > 1:
                _bar(figure, ax, settings.metric, named=False)
    if len(norms) == 1:
        _bar(figure, axes, settings.metric, named=True)
    _legend(figure, measured, settings, width)
    return figure


def _panel(ax, one: Measured, settings: Settings, norm) -> None:
    panel, row = one.panel, one.row(settings.slope)
    colour = style.colour(panel.optim)
    options = {"value": settings.metric, "axis": settings.axis, "norm": norm}
    line = None if row["reason"] else one.line
    heatmap.heatmap(panel.cells, line=line, colour=colour, ax=ax, **options)
    first = panel.runs.iloc[0]
    label = coordinates.label(settings.axis, first["convention"], first["decay"])
    ax.set_xlabel(label, fontsize=style.FONT - 1, labelpad=2)
    kind = settings.slope.replace("_", " ")
    text = f"{kind} {signed(row)}" if not row["reason"] else f"{kind} not identified"
    ax.set_title(panel.name, color=colour, fontsize=style.FONT + 0.5, weight="bold", pad=13)
    place = {"xy": (0.5, 1), "xytext": (0, 3), "textcoords": "offset points"}
    font = {"fontsize": style.FONT - 1, "ha": "center", "va": "bottom"}
    ax.annotate(text, xycoords="axes fraction", gid="slope", **place, **font)


def signed(row) -> str:
    """Return an estimate as a title prints it: -0.79, with its interval when it has one."""
    text = f"{row['value']:+.2f}".replace("-", "\N{MINUS SIGN}")
    if row["low"] == row["low"]:
        low, high = (f"{row[k]:+.2f}".replace("-", "\N{MINUS SIGN}") for k in ("low", "high"))
        text += f" [{low}, {high}]"
    return text


def _scale_key(one: Measured) -> tuple:
    return _key(one.panel, ("figure", "task", "epochs", "train_size"))


def _norm(measured: Sequence[Measured], key: tuple, metric: str):
    return heatmap.scale([m.panel.cells for m in measured if _scale_key(m) == key], metric)


def _bar(figure: Figure, ax, metric: str, *, named: bool) -> None:
    owner = ax if not named else next(a for a in ax.flat if a.get_visible())
    mappable = owner.collections[0]
    bar = figure.colorbar(
        mappable, ax=ax, extend="max", extendfrac=0.03, aspect=25, pad=0.02, fraction=0.06
    )
    bar.ax.tick_params(labelsize=style.FONT - 1, length=2, pad=1.5)
    bar.outline.set_visible(False)
    if named:
        bar.set_label(unit(metric), fontsize=style.FONT)


def unit(metric: str) -> str:
    """Return a metric with its unit: ``test error (%)``."""
    return f"{metric.replace('_', ' ')} ({'%' if metric.endswith('error') else 'nats'})"


def _legend(figure: Figure, measured: Sequence[Measured], settings: Settings, width: int) -> None:
    """Explain the marks that are in use, and say what a cell is, beneath the panels."""
    states = {state for m in measured for state in m.panel.cells["status"]}
    kind = settings.slope.split("_")[0]
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
    chars = int(36 * width + 8)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 2 if width == 1 else 3 if width == 2 else 6),
        title="\n".join(textwrap.wrap(caption(measured, settings), chars)),
        title_fontsize=style.FONT - 0.5,
        fontsize=style.FONT - 0.5,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.2,
        handletextpad=0.5,
        borderaxespad=0.2,
    )


def caption(measured: Sequence[Measured], settings: Settings) -> str:
    """Say what a cell is: the metric, its split, and over how many seeds it is a mean."""
    metric, split = settings.metric, SPLITS[settings.metric.split("_")[0]]
    text = f"{metric.replace('_', ' ').capitalize()} at the end of training, on the {split}; "
    counts = [n for m in measured for n in m.panel.cells["n"] if n > 0]
    low, high = (min(counts), max(counts)) if counts else (0, 0)
    text += "one seed" if high == 1 else f"mean over {low}" + f"-{high}" * (low < high) + " seeds"
    missing = int(sum((m.panel.cells["status"] == "missing").sum() for m in measured))
    text += f"; {missing} planned cells not run yet" if missing else ""
    if any((m.panel.cells["bound"] != "").any() for m in measured):
        text += "; cells in the colour above the scale are known only as bounds"
    return text + "."


def render(figure: Figure) -> dict[str, bytes]:
    """Return the figure as png and svg, the same bytes whenever it is drawn again."""
    rendered = {}
    with matplotlib.rc_context({"svg.hashsalt": "decay-lab", "svg.fonttype": "path"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
            rendered[kind] = buffer.getvalue()
    return rendered
