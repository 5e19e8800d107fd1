"""Forest plot: claims as ranges, with the numbers and intervals that were found of them."""

import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.report.data.panels import grouped
from experiments.report.data.text import MINUS
from experiments.report.figures import style
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.judge import FAILS, HOLDS, UNDECIDABLE, Ruling

RANGE = "#d5ead9"
OURS = {HOLDS: "#117733", FAILS: "#cc3311"}
UNSURE, THEIRS = "#555555", "#0072b2"
#: Letters of a claim in a line.
LONGEST = 56
#: Inches that a claim takes, and that the axis of a unit takes beside its claims.
ROW, AXIS = 0.36, 0.42


def forest(found: Sequence[Ruling], words: Mapping[str, str], theirs: str = "the paper") -> Figure:
    """Draw every claim that has a number: its range shaded, the number of each side with interval.

    Claims about one kind of number share an axis. A number without an interval is a mark alone; one
    whose interval leaves the axis ends in an arrow.

    Args:
        found: Rulings; those without any number are left out.
        words: What each verdict is called.
        theirs: Whose other number it is.
    """
    shown = [one for one in found if known(one.found) or known(one.theirs)]
    groups = grouped(shown, lambda one: one.claim.number)
    heights = [len(own) * ROW + AXIS for own in groups.values()] or [AXIS]
    drawn = style.figure(8.2, sum(heights) + 0.5)
    axes = drawn.subplots(max(len(groups), 1), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (number, own) in zip(axes, groups.items(), strict=False):
        _unit(ax, number, own, words)
    handles = [
        Patch(facecolor=RANGE, label="claimed range"),
        *(
            [Line2D([], [], color=THEIRS, marker="D", mfc="white", ms=4, lw=1, label=theirs)]
            if any(known(one.theirs) for one in shown)
            else []
        ),
        *(
            Line2D([], [], color=colour, marker="o", ms=4, lw=1.5, label=f"ours: {words[verdict]}")
            for verdict, colour in OURS.items()
        ),
        Line2D([], [], color=UNSURE, marker="o", ms=4, lw=1.5, label="ours: not resolved"),
        Line2D([], [], color=UNSURE, marker="o", mfc="white", ms=4, lw=1.5,
               label="ours: the design cannot decide"),
    ]  # fmt: skip
    drawn.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False,
        fontsize=style.FONT, title_fontsize=style.FONT, columnspacing=1.2,
        title="Lines are 95 % intervals. Power: how often such runs lead to the right verdict "
              "if the claim is true / if its opposite is.",
    )  # fmt: skip
    return drawn


def known(one: Estimate | None) -> bool:
    """Whether there is a number."""
    return one is not None and math.isfinite(one.value)


def _unit(ax: Axes, number: str, own: Sequence[Ruling], words: Mapping[str, str]) -> None:
    low, high = _limits(own)
    for y, ruling in enumerate(own):
        ends = max(ruling.claim.low, low), min(ruling.claim.high, high)
        ax.fill_betweenx([y - 0.42, y + 0.42], *ends, color=RANGE, lw=0, gid="range")
        _mark(ax, ruling.theirs, y - 0.16, THEIRS, "D", (low, high), hollow=True)
        _mark(
            ax, ruling.found, y + 0.16, OURS.get(ruling.verdict, UNSURE), "o", (low, high),
            hollow=ruling.verdict == UNDECIDABLE,
        )  # fmt: skip
        ax.annotate(
            said(ruling, words), (1.015, y), xycoords=("axes fraction", "data"), va="center",
            fontsize=style.FONT - 0.5,
        )  # fmt: skip
    ax.set(xlim=(low, high), ylim=(len(own) - 0.5, -0.5))
    names = [textwrap.fill(f"{one.claim.text}{_where(one)}", LONGEST) for one in own]
    ax.set_yticks(range(len(own)), names)
    ax.set_xlabel(number, fontsize=style.FONT, labelpad=1)
    style.plain(ax)
    ax.tick_params(axis="y", length=0, labelsize=style.FONT)
    ax.spines["left"].set_visible(False)
    if low < 0 < high:
        ax.axvline(0, color="0.6", lw=0.6, zorder=0)


def _where(ruling: Ruling) -> str:
    return f" ({ruling.task})" if ruling.task else ""


def said(ruling: Ruling, words: Mapping[str, str]) -> str:
    """Say our number, the verdict and its power in two short lines."""
    if ruling.found is None:
        return words.get(ruling.verdict, ruling.verdict)
    number = ruling.found.text(ruling.claim.form).replace("-", MINUS)
    known = [one for one in (ruling.power, ruling.against) if math.isfinite(one)]
    power = ", power " + " / ".join(f"{100 * one:.0f} %" for one in known) if known else ""
    return f"{number}\n{words.get(ruling.verdict, ruling.verdict)}{power}"


def _limits(own: Sequence[Ruling]) -> tuple[float, float]:
    """Return the range of an axis: all numbers, the ends of claims, intervals as far as useful."""
    values = [one.value for r in own for one in (r.found, r.theirs) if one and known(one)]
    ends = [end for r in own for end in (r.claim.low, r.claim.high) if math.isfinite(end)]
    low, high = min(values + ends), max(values + ends)
    wide = (high - low) or 1.0
    reach = [x for r in own for one in (r.found, r.theirs) if one and known(one)
             for x in (one.low, one.high) if math.isfinite(x)]  # fmt: skip
    low = max(min([low, *reach]), low - wide)
    high = min(max([high, *reach]), high + wide)
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _mark(
    ax: Axes, one: Estimate | None, y: float, colour: str, marker: str, ends: tuple[float, float],
    *, hollow: bool,
) -> None:  # fmt: skip
    if one is None or not known(one):
        return
    if math.isfinite(one.low):
        low, high = max(one.low, ends[0]), min(one.high, ends[1])
        ax.plot([low, high], [y, y], color=colour, lw=1.5, solid_capstyle="butt", gid="interval")
        for end, value, arrow in ((low, one.low, "<"), (high, one.high, ">")):
            if end != value:
                ax.plot(end, y, arrow, color=colour, ms=4, clip_on=False, gid="beyond")
    face = "white" if hollow else colour
    ax.plot(one.value, y, marker, color=colour, mfc=face, ms=4.5, gid="value")
