"""How figures look, and how they are saved: colours, dashes and fonts of all of them."""

import io
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

#: One colour per optimizer. A decoupled optimizer is the cool or deep twin of its warm L2 rival.
COLOURS = {
    "sgd": "#e69f00",
    "sgdw": "#009e73",
    "adam": "#d55e00",
    "adam_l2_m": "#cc79a7",
    "adam_l2_v": "#a6761d",
    "adam_preconditioned": "#56b4e9",
    "adamw": "#0072b2",
    "torch_sgd": "#b8860b",
    "torch_adam": "#a63603",
    "torch_adamw": "#8e44ad",
    "rmsprop": "#c51b7d",
    "rmspropw": "#4d9221",
    "nadam": "#bf5b17",
    "nadamw": "#386cb0",
    "radam": "#ef6548",
    "radamw": "#1d91c0",
    "adagrad": "#dd3497",
    "adagradw": "#41ab5d",
}
#: Lines of one optimizer under its first, second, ... protocol.
DASHES = ("-", "--", ":", "-.")
SPARE = ("#6a3d9a", "#b15928", "#666666", "#e7298a", "#1b9e77")

#: Marks of the heatmaps, in RGB hex. ABOVE is what lies beyond the colour scale.
ABOVE, DIVERGED, PARTIAL, HIDDEN = "#3f3f3f", "#b9b9b9", "#dadada", "#f4f4f4"
FONT = 7.5
GREY = "0.35"


def colour(optim: str) -> str:
    """Return the colour of an optimizer; one that is unknown keeps its own from run to run."""
    return COLOURS.get(optim) or SPARE[zlib.crc32(optim.encode()) % len(SPARE)]


def sequence(count: int) -> list[str]:
    """Return colours of an ordered quantity, orange for little to dark blue for much."""
    palette = colormaps["plasma"]
    return [to_hex(palette(at)) for at in np.linspace(0, 0.85, count)[::-1]]


def dashes(optims: Iterable[str]) -> list[str]:
    """Return a dash for each line: solid for an optimizer's first, another for each later one."""
    seen: Counter[str] = Counter()
    found = []
    for optim in optims:
        found.append(DASHES[seen[optim] % len(DASHES)])
        seen[optim] += 1
    return found


def colours(optims: Iterable[str]) -> list[str]:
    """Return a colour for each line: its optimizer's, one of a sequence where that has several."""
    optims = list(optims)
    several = [optim for optim in optims if optims.count(optim) > 1]
    rest = iter(sequence(len(several)))
    return [next(rest) if optim in several else colour(optim) for optim in optims]


def limits(values: pd.Series, above: float = 0.05) -> tuple[float, float]:
    """Return the range that an axis shows: of the values, without those beyond a robust upper end.

    Args:
        values: What is drawn. Equal ones are in the middle.
        above: Margin at the upper end, as a share of the range; it is 0.05 at the lower.
    """
    low, middle, high = values.min(), values.median(), values.max()
    if middle > low:
        high = min(high, low + 3 * (middle - low))
    span = (high - low) or abs(high) or 1.0
    return low - 0.05 * span, high + above * span


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, which arranges what it holds."""
    return Figure(figsize=(width, height), layout="constrained")


def draw_each(
    items: Collection[Any],
    draw: Callable[..., Axes],
    size: tuple[float, float],
    columns: int | None = None,
    *,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, np.ndarray]:
    """Draw each item on axes of its own, row by row.

    Args:
        items: What to draw.
        draw: Takes an item and ``ax``.
        size: Of the figure, in inches.
        columns: Axes a row; all in one row if None.
        sharex: Whether all have one horizontal axis.
        sharey: Likewise.

    Returns:
        The figure, and its axes row by row; those that are left over are invisible.
    """
    width = columns or len(items)
    drawn = figure(*size)
    height = -(-len(items) // width)
    axes = drawn.subplots(height, width, sharex=sharex, sharey=sharey, squeeze=False).ravel()
    for ax in axes[len(items) :]:
        ax.set_visible(False)
    for item, ax in zip(items, axes, strict=False):
        draw(item, ax=ax)
    return drawn, axes


def star(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    size: float,
    colour: ColorType = "black",
    zorder: float = 3,
) -> None:
    """Mark the best cell with a star of a size in points."""
    ax.plot(
        x, y, ls="", marker="*", color=colour, mec="white", mew=0.5, ms=size, zorder=zorder,
        gid="best",
    )  # fmt: skip


def title(ax: Axes, text: str, optim: str | None = None, size: float = FONT + 0.5) -> None:
    """Write the title of axes, in the colour of the optimizer that they show, if it is one."""
    ax.set_title(text, fontsize=size, weight="bold", color=colour(optim) if optim else "black")


def legend(ax: Axes, size: float = FONT - 1) -> None:
    """Name the lines of axes where there is room among them."""
    ax.legend(frameon=False, fontsize=size)


def legend_below(
    figure: Figure,
    axes: Iterable[Axes],
    columns: int = 2,
    size: float = FONT - 0.5,
    marks: Sequence[Artist] = (),
) -> None:
    """Name the lines of some axes beneath the figure, and then the marks (``marks.key``)."""
    shown = [ax.get_legend_handles_labels() for ax in axes]
    figure.legend(
        [line for lines, _ in shown for line in lines] + list(marks),
        [label for _, labels in shown for label in labels] + [str(m.get_label()) for m in marks],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=size,
    )


def legend_beside(ax: Axes, title: str, size: float = FONT - 1) -> None:
    """Name the lines of axes, if there are any, at their right, under a title."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(
            title=title, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.4,
            frameon=False, fontsize=size, title_fontsize=size,
        )  # fmt: skip


def legend_beneath(ax: Axes, size: float = FONT - 1, columns: int = 1) -> None:
    """Name the lines of axes, if there are any, beneath them."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, frameon=False,
            fontsize=size,
        )  # fmt: skip


def plain(ax: Axes) -> None:
    """Give axes small ticks and no box."""
    ax.tick_params(which="both", length=2, labelsize=FONT - 1)
    ax.spines[["top", "right"]].set_visible(False)


def colour_map() -> Colormap:
    """Return the map of all heatmaps: bright is good, and what lies above the scale is dark grey.

    The darkest part of viridis is left out, so that the scale's end is no grey.
    """
    kept = colormaps["viridis_r"](np.linspace(0, 0.88, 256))
    return ListedColormap(kept, name="decay").with_extremes(over=ABOVE)


def render(figure: Figure) -> dict[str, bytes]:
    """Return a figure as png and svg, the same bytes whenever it is drawn again."""
    rendered = {}
    with rc_context({"svg.hashsalt": "decay-lab", "svg.fonttype": "path"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
            rendered[kind] = buffer.getvalue()
    return rendered
