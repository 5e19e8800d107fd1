"""One panel as a heatmap over learning rate and weight decay, on axes that the caller owns."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.patheffects import Normal, Stroke

from experiments.record.schema import DIVERGED
from experiments.report.data import coordinates
from experiments.report.data.panels import between, ranked
from experiments.report.data.text import short
from experiments.report.figures import style
from experiments.report.statistics.decoupling import TIE

#: Points: size of the numbers in cells.
NUMBER = 4.6
#: Distance of the wd = 0 column from the others, in columns.
GAP = 0.4
LOG = np.log10(2)


def heatmap(
    cells: pd.DataFrame,
    *,
    value: str = "test_error",
    axis: str = "typed",
    norm: Normalize | None = None,
    best: int = 10,
    line: pd.DataFrame | None = None,
    colour: str = "black",
    form: str = "",
    ax: Axes,
) -> Axes:
    """Draw ``value`` over log2 lr and log2 of the decay's coordinate, as in Figures 1 and 2.

    Cells at wd = 0 stand apart at the end of no decay. The ``best`` lowest cells are framed, unless
    they are an arbitrary choice among equal ones or nearly all of the table; the lowest has a star
    (equal errors: the lower loss). Grey with a cross: all seeds diverged; pale grey with a slash:
    some did. Hatched: planned but not run. Blank: run, but without this number. A cell that is only
    a bound, or beyond the scale, has the colour of ``norm``'s upper end.

    Args:
        cells: One row a cell, from ``panels.average``.
        value: Column to colour by, in percent or nats.
        axis: Coordinate of the decay, one of ``coordinates.AXES``.
        norm: Colour scale, shared by panels that are to be compared.
        best: How many of the lowest cells to frame.
        line: Points (lr, x) of the ridge or threshold, drawn over the cells in ``colour``, with the
            band (low, high) where it has one, and lines of slope 0 and -1 through its middle.
        colour: Colour of the optimizer.
        form: How the number in each cell is printed; '' prints none.
        ax: Axes to draw on.

    Returns:
        ``ax``; its mappable for a colour bar is ``ax.collections[0]``.

    Raises:
        UserError: ``axis`` is unknown.
        ValueError: A cell occurs twice, so the frame was not averaged.
    """
    if cells.duplicated(["lr", "wd"]).any():
        raise ValueError("several rows share one (lr, wd) cell; average over seeds first")
    boxes, middle = layout(cells, axis), centres(cells, axis)
    norm = norm or scale([cells], value)
    size = _marker(ax, boxes)
    status = cells["status"].to_numpy()
    _fill(ax, boxes, cells, value, norm, status == "finished")
    marks: dict[str, tuple[str, Any]] = {
        DIVERGED: (style.DIVERGED, "x"),
        "partial": (style.PARTIAL, (2, 0, -45)),
        "hidden": (style.HIDDEN, ""),
    }
    for state, (grey, mark) in marks.items():
        at = status == state
        ax.add_collection(_boxes(boxes[at], grey))
        x, y = middle[at].T
        ax.plot(x, y, ls="", marker=mark, ms=size * 0.8, mec="0.25", mew=0.8, gid=state)
    gone = _boxes(boxes[status == "missing"], "white", edge="0.6", hatch="//////")
    gone.set(gid="missing", hatch_linewidth=0.4)
    ax.add_collection(gone)
    _frames(ax, boxes, middle, cells, value, best, size)
    if line is not None and len(line):
        _line(ax, line, colour)
        _slopes(ax, boxes, line)
    if form:
        _numbers(ax, middle, cells, value, norm, form)
    _ticks(ax, boxes, middle[:, 0], cells, axis)
    return ax


def _line(ax: Axes, line: pd.DataFrame, colour: str) -> None:
    """Draw the ridge or threshold with its band."""
    halo = [Stroke(linewidth=2.6, foreground="white"), Normal()]
    x, y = np.log2(line["x"].to_numpy()), np.log2(line["lr"].to_numpy())
    if line["low"].notna().all():
        ends = np.log2(line[["low", "high"]].to_numpy(float)).T
        ax.fill_betweenx(y, *ends, color="white", alpha=0.45, lw=0, zorder=2.5, gid="band")
        for end in ends:
            ax.plot(end, y, color=colour, lw=0.7, ls=(0, (2, 1.5)), zorder=2.6, gid="band")
    ax.plot(
        x, y, color=colour, path_effects=halo, marker=".", ms=3.5, lw=1.2, gid="ridge", zorder=3
    )


def _slopes(ax: Axes, boxes: np.ndarray, line: pd.DataFrame) -> None:
    """Draw lines of slope 0 and -1 through the middle of the ridge or threshold."""
    x, y = np.log2(line[["x", "lr"]]).mean()
    halo = [Stroke(linewidth=1.6, foreground="0.85"), Normal()]
    low, high = boxes[:, [0, 2]].min(0), boxes[:, [1, 3]].max(0)
    for slope, dash in ((0, (0, (1, 1.5))), (-1, (0, (4, 1.5, 1, 1.5)))):
        below, above = low[1] - y, high[1] - y  # how far down and up the line stays in the frame
        if slope:
            below, above = max(below, (high[0] - x) / slope), min(above, (low[0] - x) / slope)
        reach = np.array([below, above])
        ax.plot(
            x + slope * reach, y + reach, color="0.15", lw=0.7, ls=dash, zorder=2.2,
            gid=f"slope {slope}", path_effects=halo,
        )  # fmt: skip


def _numbers(
    ax: Axes, middle: np.ndarray, cells: pd.DataFrame, value: str, norm: Normalize, form: str
) -> None:
    """Print each cell's value in black or white, whichever stands out."""
    shown = (cells["status"] == "finished").to_numpy()
    for (x, y), number, bound in zip(
        middle[shown], cells[value][shown], cells["bound"][shown], strict=True
    ):
        over = bound == "high" or number > (norm.vmax or 0)
        face = style.colour_map()(1.5 if over else norm(number))
        red, green, blue, _ = face
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        text = {"high": ">", "low": "<"}.get(bound, "") + f"{number:{form}}"
        ax.text(
            x, y, text, ha="center", va="center", fontsize=NUMBER, zorder=6, gid="number",
            color="white" if dark else "black",
            path_effects=[Stroke(linewidth=1.2, foreground=face), Normal()],
        )  # fmt: skip


def fits(boxes: np.ndarray, size: tuple[float, float], text: str) -> bool:
    """Whether a number fits into every cell of axes of a size in points."""
    width, height = _smallest(boxes, *size)
    return width > 0.6 * NUMBER * len(text) and height > 1.5 * NUMBER


def layout(cells: pd.DataFrame, axis: str) -> np.ndarray:
    """Return each cell's box in log2 units, shape (cells, 4): left, right, bottom, top.

    A box reaches half way to the neighbouring decays of the table and to the neighbouring learning
    rates that its own decay has, but no further than half of the table's widest step: where some
    rates have fewer decays than others, the cells above and below close the gap. A row whose
    coordinate depends on lr is shifted as a whole, so other conventions shear the picture; there
    nothing stands above a cell but the table's next learning rate.
    """
    x = coordinates.convert(cells, axis).astype(float).to_numpy()
    wd, lr = cells["wd"].to_numpy(float), cells["lr"].to_numpy(float)
    positive = wd > 0
    sign = -1.0 if axis == "timescale" else 1.0
    boxes = np.empty((len(cells), 4))
    rate = np.log2(lr)
    boxes[:, 2:] = _edges(rate)
    shift = np.log2(x[positive]) - sign * np.log2(wd[positive])
    reach = np.diff(np.unique(rate)).max(initial=0) / 2 or 0.5
    if not len(shift) or np.ptp(shift) < 1e-6:
        for own in (wd == column for column in np.unique(wd)):
            boxes[own, 2:] = _edges(rate[own], reach)
    if positive.any():
        native = np.log2(wd[positive])
        boxes[positive, :2] = np.sort(sign * _edges(native) + shift[:, None], axis=1)
    width = np.median(np.diff(boxes[positive, :2])) if positive.any() else 1.0
    if sign > 0:
        start = (boxes[positive, 0].min() if positive.any() else 0) - (1 + GAP) * width
    else:
        start = (boxes[positive, 1].max() if positive.any() else 0) + GAP * width
    boxes[~positive, :2] = start, start + width
    return boxes


def centres(cells: pd.DataFrame, axis: str) -> np.ndarray:
    """Return where each cell's mark goes, shape (cells, 2): log2 of its coordinate and its lr."""
    with np.errstate(divide="ignore"):
        x = np.log2(coordinates.convert(cells, axis).astype(float).to_numpy())
    x = np.where(cells["wd"] > 0, x, layout(cells, axis)[:, :2].mean(1))
    return np.stack([x, np.log2(cells["lr"])], axis=1)


def _edges(values: np.ndarray, reach: float = np.inf) -> np.ndarray:
    """Lower and upper edge of each value, half way to its neighbours, at most ``reach`` away.

    Returns:
        Shape (n, 2).
    """
    unique, at = np.unique(np.round(values, 9), return_inverse=True)
    if len(unique) == 1:
        reach = 0.5 if np.isinf(reach) else reach
        return np.stack([values - reach, values + reach], axis=1)
    middle = (unique[1:] + unique[:-1]) / 2
    first, last = 2 * unique[0] - middle[0], 2 * unique[-1] - middle[-1]
    low, high = np.r_[first, middle][at], np.r_[middle, last][at]
    return np.stack([np.maximum(low, values - reach), np.minimum(high, values + reach)], axis=1)


def scale(
    tables: list[pd.DataFrame], value: str, *, basin: float = np.inf, switches: bool = False
) -> Normalize:
    """Return one colour scale for several panels: from the best cell to a robust upper end.

    The upper end is the 90th percentile of the cells, or the lowest bound of a clipped cell: a few
    terrible cells do not flatten the picture, they lie beyond the scale. Nor do many bad ones, as
    the scale ends ``basin`` above the best, and at three times the median's distance from it;
    unless the task ``switches``: there bad cells are half of the matter.
    """
    cells = pd.concat(tables)
    shown = cells[cells["status"] == "finished"]
    values, bounds = shown[value], shown.loc[shown["bound"] == "high", value]
    if not len(values):
        return Normalize(0, 1)
    low, high = float(values.min()), float(values.quantile(0.9))
    middle = float(values.median())
    if not switches and middle > low + 0.05 * (high - low):
        high = min(high, low + 3 * (middle - low))
    if not switches:
        high = min(high, low + basin)
    high = float(bounds.min()) if len(bounds) else high
    return Normalize(low, high if high > low else low + 1)


def _boxes(
    boxes: np.ndarray, face: str | None = None, edge: str = "white", hatch: str | None = None
) -> PolyCollection:
    left, right, bottom, top = boxes.T
    corners = np.array([(left, bottom), (right, bottom), (right, top), (left, top)])
    box = list(corners.transpose(2, 0, 1))
    return PolyCollection(box, linewidths=0.4, facecolors=face, edgecolors=edge, hatch=hatch)


def _fill(
    ax: Axes, boxes: np.ndarray, cells: pd.DataFrame, value: str, norm: Normalize, shown: np.ndarray
) -> None:
    assert norm.vmax is not None
    values = cells[value].to_numpy(float)[shown]
    beyond = (cells["bound"] == "high").to_numpy()[shown]
    values = np.where(beyond, np.maximum(values, np.nextafter(norm.vmax, np.inf)), values)
    filled = _boxes(boxes[shown])
    filled.set(cmap=style.colour_map(), norm=norm, array=values)
    filled.set_gid("above" if (values > norm.vmax).any() else "cells")
    ax.add_collection(filled)


def _frames(
    ax: Axes, boxes: np.ndarray, middle: np.ndarray, cells: pd.DataFrame, value: str, best: int,
    size: float,
) -> None:  # fmt: skip
    """Frame the lowest cells; the lowest of all gets a star."""
    order = ranked(cells, value)
    if not len(order):
        return
    at = cells.index.get_indexer(order[:best].index)
    cut = order[value].iloc[: best + 1]
    if len(order) >= 2 * best and cut.iloc[-1] > cut.iloc[-2] + TIE:
        frames = _boxes(boxes[at], "none", edge="black")
        frames.set(linewidths=0.9, zorder=4, gid="top")
        ax.add_collection(frames)
    corner = boxes[at[0], [1, 3]] - [0.2, 0.2] * (boxes[at[0], [1, 3]] - boxes[at[0], [0, 2]])
    style.star(ax, corner[:1], corner[1:], size=max(1.2 * size, 5.0), zorder=7)


def _smallest(boxes: np.ndarray, width: float, height: float) -> tuple[float, float]:
    """Return width and height of the smallest cell, of axes that are so large."""
    across = width * np.diff(boxes[:, :2]).min() / np.ptp(boxes[:, :2])
    return across, height * np.diff(boxes[:, 2:]).min() / np.ptp(boxes[:, 2:])


def _marker(ax: Axes, boxes: np.ndarray) -> float:
    """Size of a mark, in points, that fits in a cell."""
    extent = ax.get_window_extent()
    smallest = min(_smallest(boxes, extent.width, extent.height))
    return float(np.clip(0.5 * smallest * 72 / ax.figure.dpi, 3.0, 7.0))


def _ticks(ax: Axes, boxes: np.ndarray, middle: np.ndarray, cells: pd.DataFrame, axis: str) -> None:
    zero = (cells["wd"] == 0).to_numpy()
    columns = np.unique(np.round(middle[~zero], 6))
    if len(columns) <= cells["wd"].nunique():
        ticks = list(2.0**columns)
    else:
        low, high = boxes[~zero, 0].min(), boxes[~zero, 1].max()
        ticks = list(10.0 ** np.arange(np.ceil(low * LOG), np.floor(high * LOG) + 1))
    ticks = _thin(ticks[1:] if zero.any() and len(ticks) > 4 else ticks, 4)
    positions, labels = list(np.log2(ticks)), [short(tick) for tick in ticks]
    if zero.any():
        positions.append(middle[zero][0])
        labels.append(r"$\infty$" if axis == "timescale" else "0")
    ax.set_xticks(positions, labels)
    rates = _thin(sorted(set(cells["lr"][~between(cells)])), 6)
    ax.set_yticks(np.log2(rates), [short(rate) for rate in rates])
    ax.tick_params(length=2, pad=1.5, labelsize=style.FONT - 1)
    ax.set_xlim(boxes[:, 0].min(), boxes[:, 1].max())
    ax.set_ylim(boxes[:, 2].min(), boxes[:, 3].max())
    for spine in ax.spines.values():
        spine.set_visible(False)


def _thin(values: list[float], most: int) -> list[float]:
    """Keep at most ``most`` values, evenly, the first among them."""
    return values[:: -(-len(values) // most)]
