r"""Loss over learning rate at one decay, for several widths: does the best rate stay?

The best rate of a width is the vertex of the parabola in log2 lr through the lowest cell and its
two neighbours on each side, by least squares. Decay that is fixed in the paper's units (lambda) is
said to let it stay as the network grows, decay fixed in torch's not (Wortsman et al., 2023,
https://arxiv.org/abs/2309.14322; Kosson et al., 2025, https://arxiv.org/abs/2510.19093).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.errors import UserError
from experiments.report.data import names, units
from experiments.report.data.surface import Surface
from experiments.report.data.text import short
from experiments.report.figures import style
from experiments.report.figures.section import Section, row
from experiments.report.pages.verdict import NOT_REPRODUCED, NOT_RESOLVED, REPRODUCED, judge
from experiments.report.statistics.estimate import Estimate, draws, estimate, together
from experiments.report.statistics.measure import Measured

WIDTH = "model.width"
#: Cells on each side of the lowest that the parabola is fitted to.
SIDE = 2
#: Doublings of lr within which a best rate counts as having stayed.
STAYS = 0.5
WORDS = {
    REPRODUCED: "stays",
    NOT_REPRODUCED: "moves",
    NOT_RESOLVED: "may stay or move (not resolved)",
}
CONVENTIONS = {"decoupled": "the paper's units", "lr_coupled": "torch's units", "l2": "L2"}
DASHES = ("-", "--", ":", "-.")
EXPLAINED = """\
The best lr is the vertex of a parabola in log2 lr through the lowest cell and up to two neighbours
on each side; the shift is log2 of the wider network's best lr over the narrower's: 0 stays, -1
halves. It counts as staying when its interval lies within {stays:g} either way, a factor of
{factor:.3g}, and as moving when it lies wholly beyond. The sensitivity is the mean over all
learning rates of the loss above the lowest (Wortsman et al., 2023).
Brackets are 95 % bootstrap intervals over seeds ({samples} samples)."""


def best_rate(table: Surface) -> np.ndarray:
    """Return log2 of the best learning rate of each sample at the table's one decay, (S,).

    NaN where the lowest cell is at the edge, or the fitted parabola has no minimum among its cells.
    """
    errors, x = table.known[:, :, 0], table.log_lr
    found = np.full(len(errors), np.nan)
    for i, line in enumerate(errors):
        if not np.isfinite(line).any():
            continue
        at = int(np.nanargmin(line))
        near = slice(max(0, at - SIDE), at + SIDE + 1)
        near_x, near_y = x[near], line[near]
        if 0 < at < len(line) - 1 and np.isfinite(near_y).all():
            bend, tilt, _ = np.polyfit(near_x - x[at], near_y, 2)
            vertex = x[at] - tilt / (2 * bend) if bend > 0 else np.nan
            found[i] = vertex if near_x[0] <= vertex <= near_x[-1] else np.nan
    return found


def sensitivity(table: Surface) -> np.ndarray:
    """Return the mean over learning rates of the loss above the lowest, of each sample, (S,)."""
    errors = table.pessimistic[:, :, 0]
    with np.errstate(invalid="ignore"):  # infinite where all diverged
        return errors.mean(1) - errors.min(1)


@dataclass(frozen=True)
class Curve:
    """Loss over learning rate: one optimizer and width.

    Attributes:
        measured: Its panel.
        width: Of the network.
        rate: Log2 of the best learning rate and its bootstrap samples, (1 + S,).
        excess: The sensitivity, likewise.
    """

    measured: Measured
    width: float
    rate: np.ndarray
    excess: np.ndarray

    @property
    def optim(self) -> str:
        return self.measured.panel.optim

    @property
    def runs(self) -> int:
        return len(self.measured.panel.runs)


def curves(page: Sequence[Measured]) -> list[Curve]:
    """Return the curves of panels by optimizer, narrow ones first, decay as it was typed.

    Raises:
        UserError: A panel has several decays, or the network has no width.
    """
    found = []
    for one in page:
        wds = one.panel.cells["wd"].nunique()
        if wds > 1 or WIDTH not in one.panel.runs:
            lack = f"{wds} of wd" if wds > 1 else f"no {WIDTH}"
            raise UserError(
                "figures=sensitivity is for runs of one wd and of several widths, "
                f"{one.panel.name} has {lack}"
            )
        width = float(one.panel.runs[WIDTH].iloc[0])
        settings = replace(one.settings, axis="typed")
        drawn = [draws(one.panel, f, settings, one.noise) for f in (best_rate, sensitivity)]
        found.append(Curve(one, width, *drawn))
    order = list(dict.fromkeys(one.optim for one in found))
    return sorted(found, key=lambda one: (order.index(one.optim), one.width))


def shifts(found: Sequence[Curve]) -> list[tuple[str, str, Estimate]]:
    """Return each optimizer's shift of the best rate from a width to the next: name, step, number.

    The number is in doublings of lr.
    """
    rows = []
    for narrow, wide in zip(found, found[1:], strict=False):
        if narrow.optim == wide.optim:
            both = together([narrow.rate, wide.rate])
            edge = "a best lr is at the edge of the grid, or the fit has none"
            shift = estimate(both[1] - both[0], narrow.runs + wide.runs, edge)
            rows.append((wide.optim, f"{narrow.width:g} to {wide.width:g}", shift))
    return rows


def _convention(one: Measured) -> str:
    convention = str(one.panel.runs["convention"].iloc[0])
    wd = short(one.panel.cells["wd"].iloc[0])
    return f"{names.label(one.panel.optim)}: wd {wd} in {CONVENTIONS[convention]}"


def section(page: Sequence[Measured]) -> Section:
    """Return each curve's best rate and sensitivity, the shifts, and the verdict."""
    found, settings = curves(page), page[0].settings
    moved = shifts(found)
    places = units.decimals(settings.metric)
    head = ["", "width", "best lr", f"lowest {units.unit(settings.metric)}", "sensitivity"]
    rows, data = [[*head, "shift to the next width"]], []
    for one in found:
        lowest = one.measured.panel.cells[settings.metric].min()
        shown = f"{lowest:.{places}f}" if np.isfinite(lowest) else "-"
        log, excess = estimate(one.rate, one.runs), estimate(one.excess, one.runs)
        onward = [s.text() for o, step, s in moved if (o, step.split(" ")[0]) == _name(one)]
        texts = [_rate(log), shown, excess.text(places), *(onward or ["-"])]
        rows.append([_convention(one.measured), f"{one.width:g}", *texts])
        key = {"optim": one.optim, "width": f"{one.width:g}"}
        data += [row(key | {"statistic": "log2_best_lr"}, log)]
        data += [row(key | {"statistic": "sensitivity"}, excess)]
    data += [row({"optim": o, "width": step, "statistic": "shift"}, s) for o, step, s in moved]
    known = {"stays": STAYS, "factor": 2**STAYS, "samples": settings.samples}
    text, table = EXPLAINED.format(**known), pd.DataFrame(data)
    title = "Where the best learning rate lies"
    return Section(title, rows, text, [verdict(page, moved)], "sensitivity", table)


def _name(one: Curve) -> tuple[str, str]:
    return one.optim, f"{one.width:g}"


def _rate(log: Estimate) -> str:
    """Return a rate with its interval from its logarithm."""
    if log.reason:
        return "not identified"
    value, low, high = (f"{2**x:.2g}" for x in (log.value, log.low, log.high))
    return value + (f" [{low}, {high}]" if np.isfinite(log.low) else "")


def verdict(page: Sequence[Measured], moved: Sequence[tuple[str, str, Estimate]]) -> str:
    """Say in one sentence under which convention the best learning rate stays."""
    names = {
        one.panel.optim: CONVENTIONS[str(one.panel.runs["convention"].iloc[0])] for one in page
    }
    parts = []
    for optim, step, shift in moved:
        word = WORDS[judge(shift, -STAYS, STAYS)]
        number = shift.reason or f"{shift.text()} doublings"
        parts.append(f"{word} with decay fixed in {names[optim]} ({step}: {number})")
    if not parts:
        return "there is one width only, so that nothing can be said of the best learning rate"
    return f"as the network widens, the best learning rate {', and '.join(parts)}"


def draw(found: Sequence[Curve], *, ax: Axes) -> Axes:
    """Draw a line a width, the mean over seeds with its sd, the best rate marked beneath.

    Args:
        found: Curves of one optimizer.
        ax: Axes to draw on. Nothing is saved or shown.
    """
    shades = style.shades(found[0].optim, len(found) + 1)[1:]
    metric = found[0].measured.settings.metric
    for one, shade, dash in zip(found, shades, DASHES, strict=False):
        cells = one.measured.panel.cells.dropna(subset=[metric]).sort_values("lr")
        bars = {"yerr": cells["sd"]} if cells["sd"].notna().any() else {}
        look = {"color": shade, "ls": dash, "marker": "o", "ms": 3, "lw": 1.2, "capsize": 1.5}
        ax.errorbar(cells["lr"], cells[metric], label=f"width {one.width:g}", **bars, **look)
        if np.isfinite(one.rate[0]):
            ax.axvline(2 ** one.rate[0], color=shade, ls=dash, lw=0.8, gid="best")
    ax.set_xscale("log")
    title = _convention(found[0].measured)
    ax.set_title(title, fontsize=style.FONT, color=style.colour(found[0].optim), weight="bold")
    ax.set_xlabel(r"learning rate $\alpha$", fontsize=style.FONT)
    ax.legend(frameon=False, fontsize=style.FONT - 0.5)
    style.plain(ax)
    return ax


def figure(page: Sequence[Measured]) -> Figure:
    """Draw a panel a convention, on one scale of the loss without its highest cells."""
    groups: dict[str, list[Curve]] = {}
    for one in curves(page):
        groups.setdefault(one.optim, []).append(one)
    drawn = Figure(figsize=(0.4 + 3.1 * len(groups), 2.6), layout="constrained")
    axes = drawn.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for ax, group in zip(axes, groups.values(), strict=True):
        draw(group, ax=ax)
    metric = page[0].settings.metric
    losses = pd.concat([one.panel.cells[metric] for one in page]).dropna()
    if len(losses):
        axes[0].set_ylim(*style.limits(losses, above=0.1))
    axes[0].set_ylabel(units.unit(metric), fontsize=style.FONT)
    return drawn
