"""Error over decay, a line a learning rate, in two coordinates: in which do the minima meet?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator
from matplotlib.typing import ColorType

from experiments.report.data import coordinates, names
from experiments.report.data.text import MINUS, short
from experiments.report.data.units import unit
from experiments.report.figures import marks, style
from experiments.report.figures.kinds import Page, Part, Picture, Section, kind
from experiments.report.statistics.collapse import AXES, Collapse, collapse, located
from experiments.report.statistics.judge import FAILS, HOLDS, NOT_RESOLVED, by_sign, judge
from experiments.report.statistics.measure import Measured
from experiments.report.statistics.paper_claims import STILL
from experiments.report.statistics.settings import Settings
from experiments.report.statistics.smooth import JITTER

#: Errors are shown up to so many tolerances above the best.
SHOWN = 2.5
#: Octaves that are shown beyond the outermost minima, at least.
MARGIN = 1.5
#: More panels than this stand two in a row.
FEW = 4
#: Most numbers beneath an axis.
TICKS = 6
GREY = "0.8"
BAR: dict[str, Any] = {"color": "0.25", "solid_capstyle": "butt", "zorder": 4}
DOT: dict[str, Any] = {"marker": "o", "ms": 5, "mec": "black", "mew": 0.7}
#: Names of the coordinates in sentences: of a decay, and of an L2 coefficient.
NAMES = {
    "step_shrink": ("the paper's lambda", "lr times the L2 coefficient"),
    "torch_wd": ("torch's weight_decay", "the L2 coefficient"),
}
#: Ends of an interval, as names of columns have them.
ENDS = {"value": "", "low": "_low", "high": "_high"}
SHORT = {"step_shrink": "shrink per step", "torch_wd": "torch's weight_decay"}
TITLE = "In which coordinate the {} of all learning rates fall together"
CAPTION = (
    "{}: {} over weight decay, one line per learning rate, on the left over the shrink per step "
    "(the paper's lambda; lr times an L2 coefficient), on the right over torch's weight_decay. "
    "Decay is decoupled from the learning rate in the coordinate in which the dots, the {}, stand "
    "above one another"
)
EXPLAINED = """\
The spread is the standard deviation, over the learning rates that count for the slope, of log2 of
their {what}, in octaves: 0 if all share one. The shrink per step is the paper's lambda, or lr times
an L2 coefficient (what SGD without momentum shrinks); torch's weight_decay is lambda / lr, or the
L2 coefficient itself. The shrink of the whole run is the shrink per step times the sum of the
schedule's factors, the same for all cells of a panel, and so are its spread and slope. The
difference is the spread over the shrink per step minus that over torch's weight_decay; it is at
most the spread of the learning rates themselves. Noise adds to both spreads alike, so it can hide a
difference but not make one; the column noise has the spread that it alone would give to
learning rates that share one {one}. Brackets are 95 % intervals, as those of the slope, but
without the {jitter:g} octaves by which a slope lets the {what} lie off a straight line: these would
add to every spread. Of a slope within ±{still:g} it is said that they stay. `collapse.csv` has
every number, `collapse.py` of `experiments/report/statistics` the formulas."""


@kind("collapse")
def part(page: Page) -> Part | None:
    """Draw the panels in which two learning rates have a best decay, and compare coordinates."""
    found = [collapse(one) for one in page.panels]
    known = [one for one in found if not one.difference.reason]
    if not known:
        return None
    what = _what(page.settings, "best decays")
    text = CAPTION.format(page.optimizers, page.settings.metric.replace("_", " "), what)
    return Part({"collapse": Picture(figure(known), text)}, section(found, page.name))


def _what(settings: Settings, best: str) -> str:
    """Return what is marked on a line, given the words for best decays."""
    return best if settings.level is None else best.replace("best decay", "threshold")


def _slope(settings: Settings) -> str:
    return settings.slope.replace("_", " ")


def section(found: Sequence[Collapse], figure: str = "") -> Section:
    """Return both spreads of each panel, their difference, and what follows, in a sentence."""
    settings = found[0].measured.settings
    heads = [f"{number}, {SHORT[axis]}" for number in ("spread", _slope(settings)) for axis in AXES]
    rows = [["", *heads[:2], "difference", "noise", *heads[2:], "rests on"]]
    lines, data = [], []
    for one in found:
        name, gap = one.measured.panel.name, one.difference
        spreads, slopes = ([each[axis].text() for axis in AXES] for each in (one.spread, one.slope))
        noise = f"{one.floor:.2f}" if np.isfinite(one.floor) else "-"
        rows.append([name, *spreads, gap.text(), noise, *slopes, gap.support])
        lines += [f"{name}: spread not identified: {gap.reason}"] if gap.reason else []
        key = ({"figure": figure} if figure else {}) | {"panel": name}
        for axis in AXES:
            slope = {f"slope{end}": getattr(one.slope[axis], of) for of, end in ENDS.items()}
            data.append(key | {"coordinate": axis} | one.spread[axis].row() | slope)
            data[-1]["noise"] = one.floor
        data.append(key | {"coordinate": "difference"} | gap.row())
    verdicts = [verdict(one) for one in found if not one.difference.reason]
    what = _what(settings, "best decay")
    text = EXPLAINED.format(what=f"{what}s", one=what, jitter=JITTER, still=STILL)
    title = TITLE.format(f"{what}s") + (f" ({names.setting('figure', figure)})" if figure else "")
    return Section(title, [rows], text, lines, verdicts, {"collapse": pd.DataFrame(data)})


def verdict(one: Collapse) -> str:
    """Say in one sentence over which coordinate the best decays lie closer together."""
    panel = one.measured.panel
    is_l2 = panel.setting("convention") == coordinates.L2
    over = [f"{NAMES[axis][is_l2]} (spread {one.spread[axis].text()} octaves)" for axis in AXES]
    what = _what(one.measured.settings, "best decays")
    closer = "{}: the {} lie closer together over {} than over {}, {}"
    first, second = (
        closer.format(panel.name, what, *pair, _stays(one, axis))
        for pair, axis in zip((over, over[::-1]), AXES, strict=True)
    )
    unsure = (
        f"{panel.name}: it is not resolved whether the {what} lie closer together over "
        f"{over[0]} or over {over[1]}"
    )
    return f"{by_sign(one.difference, first, second, unsure)}; {one.difference.support}"


def _stays(one: Collapse, axis: str) -> str:
    """Say whether the best decays stay in a coordinate as the learning rate moves."""
    words = {
        HOLDS: "and stay there as lr moves",
        FAILS: "but move with lr there too",
        NOT_RESOLVED: "and it is not resolved whether they stay there as lr moves",
    }
    slope = one.slope[axis]
    name = _slope(one.measured.settings)
    return f"{words[judge(slope, -STILL, STILL)]} ({name} {slope.text()})"


def figure(found: Sequence[Collapse]) -> Figure:
    """Draw each panel in both coordinates side by side, and explain the marks beneath."""
    columns = 1 if len(found) <= FEW else 2
    rows = -(-len(found) // columns)
    heights = [2.5] * rows + [0.75]
    drawn = style.figure(6.4 * columns, sum(heights))
    *parts, beneath = drawn.subfigures(rows + 1, 1, height_ratios=heights, squeeze=False).flat
    places = [place for row in parts for place in row.subfigures(1, columns, squeeze=False).flat]
    for one, place in zip(found, places, strict=False):
        panel(one, place)
    _legend(beneath, found, columns)
    return drawn


def panel(one: Collapse, place: SubFigure) -> None:
    """Draw one panel in both coordinates, octaves as wide in the one as in the other."""
    key, own = one.measured.panel, colours(one)
    place.suptitle(key.name, color=style.colour(key.optim), fontsize=style.FONT + 1, weight="bold")
    axes = place.subplots(1, len(AXES), sharey=True)
    at = {axis: located(one.measured, axis, one.log_x)[one.used] for axis in AXES}
    width = max(np.ptp(x) for x in at.values()) / 2 + MARGIN
    for (axis, x), ax in zip(at.items(), axes, strict=True):
        draw(one, axis, own, ax=ax)
        middle = (x.min() + x.max()) / 2
        ax.set_xlim(2.0 ** (middle - width), 2.0 ** (middle + width))
        _ticks(ax)
        marks.mark_beyond(ax)
        label = coordinates.label(axis, key.setting("convention"))
        ax.set_xlabel(label, fontsize=style.FONT - 0.5)
    axes[0].set_ylabel(unit(one.measured.settings.metric), fontsize=style.FONT)
    _bar(one, own, place, list(axes))


def draw(one: Collapse, axis: str, colours: Sequence[ColorType], *, ax: Axes) -> Axes:
    """Draw a panel in one coordinate: error over decay, a line a learning rate.

    Lines are the mean of the posterior with its 95 % band, points the cells; without a posterior
    lines join the cells. A dot is the best decay of a line that counts, wd = 0 a dash at the left.
    The bar beneath reaches one spread to either side of the mean of the dots.

    Args:
        one: The panel.
        axis: One of ``AXES``; the title of the one with the smaller spread is bold.
        colours: One a learning rate.
        ax: Axes to draw on.
    """
    measured, metric = one.measured, one.measured.settings.metric
    s, cells, shown = measured.surface, measured.panel.cells, _shown(measured)
    cells = cells[(cells["status"] == "finished") & (cells["bound"] == "")]
    grid = np.broadcast_to(s.log_x[:, None], (len(s.x), len(s.lr)))
    x, at = 2.0 ** located(measured, axis, grid).T, located(measured, axis, one.log_x)
    for i, colour in enumerate(colours):
        used = bool(one.used[i])
        look: dict[str, Any] = {"color": colour, "zorder": 3 if used else 2}
        own = ~s.zero & np.isfinite(s.error[0, i])
        curve = s.error[0, i, own]
        ax.plot(x[i, own], curve, lw=1.3 if used else 0.8, gid="line", **look)
        if used and s.posterior and len(s.error) > 1:
            band = np.percentile(s.error[1:, i, own], [2.5, 97.5], axis=0)
            ax.fill_between(x[i, own], *band, color=colour, alpha=0.15, lw=0, zorder=1)
        row = cells[cells["lr"] == s.lr[i]]
        decayed = row[row["wd"] > 0]
        places = coordinates.convert(decayed, axis)
        inside = decayed[metric] <= shown[1]
        look_cell = look | {"ls": "", "marker": ".", "ms": 3}
        ax.plot(places[inside], decayed[metric][inside], gid="cells", **look_cell)
        for value in row.loc[(row["wd"] == 0) & (row[metric] <= shown[1]), metric]:
            ax.plot([0, 0.03], [value] * 2, transform=ax.get_yaxis_transform(), lw=1.3, **look)
        if used:
            y = np.interp(at[i], *_ascending(np.log2(x[i, own]), curve))
            faces = {"mfc": "white", "mec": colour} if one.edge[i] else {"mfc": colour}
            ax.plot(2.0 ** at[i], y, zorder=5, gid="minimum", **DOT | faces)
    ax.set_xscale("log")
    ax.set_ylim(*shown)
    if level := measured.settings.level:
        ax.axhline(level, color="0.4", lw=0.7, ls=":", zorder=1)
    ends = 2.0 ** (at[one.used].mean() + one.spread[axis].value * np.array([-1, 1]))
    ax.plot(ends, [0.03] * 2, transform=ax.get_xaxis_transform(), lw=3, gid="spread", **BAR)
    _title(one, axis, ax)
    style.plain(ax)
    return ax


def _ascending(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x)
    return x[order], y[order]


def _shown(one: Measured) -> tuple[float, float]:
    """Return the errors that are shown: of a switch all, else those near the best."""
    s, cells = one.surface, one.panel.cells[one.settings.metric]
    error = s.error[0][np.isfinite(s.error[0])]
    low, high = float(min(error.min(), cells.min())), float(min(error.max(), cells.max()))
    if one.settings.level is None:
        high = min(high, low + SHOWN * one.settings.tolerance)
    return low - 0.08 * (high - low), high + 0.02 * (high - low)


def _ticks(ax: Axes) -> None:
    """Write a few round numbers beneath a logarithmic axis."""
    low, high = ax.get_xlim()
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(decades, digits).ravel()
        ticks = ticks[(low <= ticks) & (ticks <= high)]
        if len(ticks) <= TICKS:
            break
    ticks = ticks[:: -(-len(ticks) // TICKS)]
    ax.set_xticks(ticks, [short(tick) for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _title(one: Collapse, axis: str, ax: Axes) -> None:
    """Write both numbers above the axes, in bold where the spread is resolvably the smaller."""
    smaller = by_sign(one.difference, *AXES, "") == axis
    spread = f"spread {one.spread[axis].text()} octaves"
    slope = f"{_slope(one.measured.settings)} {one.slope[axis].text('+.2f')}"
    for text, above, bold in ((spread, 12, smaller), (slope, 3, False)):
        ax.annotate(
            text.replace("-", MINUS), (0.5, 1), (0, above), "axes fraction", "offset points",
            fontsize=style.FONT - 0.5, ha="center", va="bottom",
            weight="bold" if bold else "normal", gid="number",
        )  # fmt: skip


def colours(one: Collapse) -> list[ColorType]:
    """Return a colour for each learning rate: dark to bright those that count, grey the others."""
    counted = iter(colormaps["plasma"](np.linspace(0, 0.88, int(one.used.sum()))))
    return [tuple(next(counted)) if used else GREY for used in one.used]


def _bar(
    one: Collapse, colours: Sequence[ColorType], place: SubFigure, axes: Sequence[Axes]
) -> None:
    """Name the learning rates beside the axes."""
    count = len(colours)
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    named = ScalarMappable(norm, ListedColormap(list(colours)))
    bar = place.colorbar(named, ax=list(axes), aspect=15, pad=0.02)
    bar.set_ticks(list(range(count)), labels=[short(lr) for lr in one.measured.surface.lr])
    bar.ax.tick_params(length=0, labelsize=style.FONT - 1)
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label(r"learning rate $\alpha$", fontsize=style.FONT)


def _legend(place: SubFigure, found: Sequence[Collapse], columns: int) -> None:
    """Explain the marks that are in use."""
    settings = found[0].measured.settings
    best, grey = _what(settings, "best decay"), "lowest error far from the best"
    grey = grey if settings.level is None else "no threshold in the grid"
    dot = {"ls": "", "color": "0.6"} | DOT
    handles: list[Artist] = [
        Line2D([], [], label=f"{best} of a learning rate", **dot),
        Line2D([], [], label="mean of these ± spread", lw=3, **BAR),
        Line2D([], [], label="no decay", color="0.3", marker="_", ms=6, ls="", mew=1.3),
        Line2D([], [], label=f"cells, {marks.averaged([one.measured for one in found])}",
               color="0.4", marker=".", ms=4, ls=""),
        Line2D([], [], label=marks.GOES_ON, color="0.4", marker="^", ms=4, ls=""),
    ]  # fmt: skip
    if found[0].measured.surface.posterior:
        handles.append(Patch(label="95 % interval", facecolor="0.4", alpha=0.2))
    if not all(one.used.all() for one in found):
        handles.append(Line2D([], [], label=grey, color=GREY, lw=1.5))
    if any(one.edge.any() for one in found):
        edge = dot | {"mfc": "white", "mec": "0.4"}
        handles.append(Line2D([], [], label=f"{best} at the edge of the grid", **edge))
    place.legend(
        handles=handles, loc="center", ncols=3 * columns, frameon=False,
        fontsize=style.FONT - 0.5, title_fontsize=style.FONT - 0.5,
        title=f"In bold: the coordinate in which the {best}s lie resolvably closer together",
    )  # fmt: skip
