"""Colours, dashes and fonts: the same in every figure."""

import zlib
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb

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
ABOVE, DIVERGED, PARTIAL, HIDDEN = "#1c0b22", "#b9b9b9", "#dadada", "#f4f4f4"
FONT = 7.5


def colour(optim: str) -> str:
    """Return the colour of an optimizer; one that is unknown keeps its own from run to run."""
    return COLOURS.get(optim) or SPARE[zlib.crc32(optim.encode()) % len(SPARE)]


def shades(optim: str, count: int) -> list[tuple[float, float, float]]:
    """Return tints of an optimizer's colour from pale to dark; the colour itself if one is asked.

    The darkest is a quarter black, the palest two thirds white.
    """
    if count == 1:
        return [to_rgb(colour(optim))]
    base = np.array(to_rgb(colour(optim)))
    mix = np.linspace(-0.65, 0.25, count)
    return [tuple((1 - abs(m)) * base + (m < 0) * abs(m)) for m in mix]


def dashes(optims: Iterable[str]) -> list[str]:
    """Return a dash for each line: solid for an optimizer's first, another for each later one."""
    seen: Counter[str] = Counter()
    found = []
    for optim in optims:
        found.append(DASHES[seen[optim] % len(DASHES)])
        seen[optim] += 1
    return found


def tints(optims: Iterable[str]) -> list[tuple[float, float, float]]:
    """Return a colour for each line: an optimizer's own, pale to dark where it has several."""
    optims = list(optims)
    left = {optim: iter(shades(optim, count)) for optim, count in Counter(optims).items()}
    return [next(left[optim]) for optim in optims]


def limits(values: pd.Series, above: float = 0.05) -> tuple[float, float]:
    """Return the range that an axis shows: of the values, without those beyond a robust upper end.

    Args:
        values: What is drawn.
        above: Margin at the upper end, as a share of the range; it is 0.05 at the lower.
    """
    low, middle = values.min(), values.median()
    high = min(values.max(), low + 3 * (middle - low))
    return low - 0.05 * (high - low), high + above * (high - low)


def plain(ax: Axes) -> None:
    """Give axes small ticks and no box."""
    ax.tick_params(which="both", length=2, labelsize=FONT - 1)
    ax.spines[["top", "right"]].set_visible(False)


def colour_map() -> Colormap:
    """Return the map of all heatmaps: bright is good, and what lies above the scale is black."""
    return colormaps["viridis_r"].with_extremes(over=ABOVE)
