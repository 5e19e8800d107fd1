"""What marks mean: means, their ranges and what leaves the frame, drawn under a name (``gid``).

A legend that is made of these names explains what is drawn, and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist, getp
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

from experiments.report.data.panels import seeds
from experiments.report.figures.style import FONT, GREY
from experiments.report.statistics.measure import Measured

#: MEAN: a point or line of means. BAND and BAR: its range. BEYOND: where a line leaves the frame.
MEAN, BAND, BAR, BEST, BEYOND = "mean", "band", "bar", "best", "beyond"
GOES_ON = "goes on beyond the frame"
SD = "± standard deviation over seeds"


def averaged(page: Iterable[Measured]) -> str:
    """Say over how many seeds a cell of panels is a mean."""
    return mean_over(seeds(one.panel for one in page))


def mean_over(seeds: str) -> str:
    """Say over how many seeds a mean is, as :func:`panels.seeds` counts them."""
    return "one seed" if seeds == "1 seed" else f"mean over {seeds}"


def subject(figure: Figure, page: Iterable[Measured]) -> None:
    """Say above a figure what all panels were trained on, which network and how long."""
    panels = [one.panel for one in page]
    words = ({panel.named(name) for panel in panels} for name in ("task", "model", "epochs"))
    text = ", ".join(word for found in words if len(found) == 1 for word in found)
    figure.suptitle(text, fontsize=FONT, color=GREY)


def errorbars(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    *,
    xerr: ArrayLike | None = None,
    yerr: ArrayLike | None = None,
    **looks: Any,
) -> ErrorbarContainer:
    """Draw means with bars, as ``Axes.errorbar`` does; a bar that is NaN is not there."""
    xerr, yerr = (
        err if err is not None and np.isfinite(np.asarray(err, float)).any() else None
        for err in (xerr, yerr)
    )
    looks = looks | {"marker": "o", "ms": 3.5, "lw": 1.2, "capsize": 1.5}
    drawn = ax.errorbar(x, y, xerr=xerr, yerr=yerr, **looks)
    line, caps, bars = drawn.lines
    line.set_gid(MEAN)
    for artist in (*caps, *bars):
        artist.set_gid(BAR)
    return drawn


def band(ax: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: ColorType) -> None:
    """Draw the range of a line."""
    ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0, gid=BAND)


def mark_beyond(ax: Axes) -> None:
    """Set a triangle on the edge of the frame wherever a line leaves it, upwards or downwards.

    Call it last, when the limits of the axes are what they shall be.
    """
    ax.get_xlim(), ax.get_ylim()  # what is still to be scaled, now
    for line in list(ax.lines):
        if line.get_transform() != ax.transData or line.get_gid() == BAR:
            continue
        at = (ax.transScale + ax.transLimits).transform(line.get_xydata())
        x, y = at[np.isfinite(at).all(axis=1)].T
        for edge, marker in ((1.0, "^"), (0.0, "v")):
            beyond = y > edge + 1e-6 if edge else y < -1e-6
            leaves = np.flatnonzero(beyond[1:] != beyond[:-1])
            if line.get_linestyle() == "None":
                left = x[beyond]
            elif beyond.all():
                left = x[-1:]
            else:
                share = (edge - y[leaves]) / (y[leaves + 1] - y[leaves])
                left = x[leaves] + share * (x[leaves + 1] - x[leaves])
            left = left[(left >= 0) & (left <= 1)]
            if len(left):
                ax.plot(
                    left, np.full(len(left), edge), ls="", marker=marker, ms=4, mew=0.3,
                    mec="white", color=line.get_color(), transform=ax.transAxes, clip_on=False,
                    zorder=4, gid=BEYOND,
                )  # fmt: skip


def key(axes: Iterable[Axes], words: Mapping[str, str]) -> list[Artist]:
    """Return a legend's entries for marks by their ``gid``, for those that are drawn only.

    An entry has the colour of its marks if they have one in common, else it is grey.
    """
    children = [artist for ax in axes for artist in ax.get_children()]
    entries: list[Artist] = []
    for gid, text in words.items():
        drawn = [one for one in children if one.get_gid() == gid and _is_there(one)]
        if drawn:
            entries.append(_entry(drawn, text))
    return entries


def _is_there(artist: Artist) -> bool:
    return not isinstance(artist, Line2D) or len(np.atleast_1d(artist.get_xdata())) > 0


def _entry(drawn: Sequence[Artist], text: str) -> Artist:
    """Return a legend's entry that looks like marks of one name."""
    gid, lines = drawn[0].get_gid(), [one for one in drawn if isinstance(one, Line2D)]
    if gid == BAR:
        return Line2D([], [], ls="", marker="|", ms=8, mew=1.2, color=GREY, label=text, gid=gid)
    if not lines:
        faces = {to_hex(tuple(np.ravel(getp(one, "facecolor"))[:3])) for one in drawn}
        return Patch(
            facecolor=_common(faces), alpha=drawn[0].get_alpha(), lw=0, label=text, gid=gid
        )
    colour = _common({to_hex(one.get_color()) for one in lines})
    first = next((one for one in lines if one.get_linestyle() == "-"), lines[0])
    return Line2D(
        [], [], color=colour, label=text, gid=gid, ls=first.get_linestyle(),
        lw=first.get_linewidth(), marker=first.get_marker(), ms=first.get_markersize(),
    )  # fmt: skip


def _common(colours: set[str]) -> str:
    return colours.pop() if len(colours) == 1 else GREY
