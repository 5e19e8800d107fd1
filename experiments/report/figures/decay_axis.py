"""The axis of a picture over weight decay: log2 wd, and no decay apart at the left."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.report.data import coordinates
from experiments.report.data.text import short
from experiments.report.figures import style
from experiments.report.statistics.measure import Measured

#: Distance of wd = 0 from the smallest decay, in doublings.
GAP = 1.6


def positions(wds: pd.Series, page: Iterable[Measured]) -> np.ndarray:
    """Return where decays lie on the axis that all panels of ``page`` share."""
    decays = (wd for one in page for wd in one.panel.cells["wd"] if wd > 0)
    start = np.log2(min(decays, default=1.0)) - GAP
    return np.where(wds > 0, np.log2(wds.where(wds > 0, 1)), start)


def meaning(one: Measured) -> str:
    """Return what wd means in a panel, as an axis says it."""
    return coordinates.label("typed", one.panel.setting("convention"), one.panel.setting("decay"))


def name(one: Measured) -> str:
    """Return what stands above the decays of a panel in a legend: wd, or normalized wd."""
    return one.panel.named("decay").removeprefix("raw ")


def label(ax: Axes, page: Sequence[Measured], most: int = 7, size: float = style.FONT) -> None:
    """Write at most so many of the decays beneath the axis, and what they are."""
    wds = pd.Series(sorted({wd for one in page for wd in one.panel.cells["wd"]}))
    at = positions(wds, page)
    thinned = slice(None, None, -(-len(wds) // most) or 1)
    ax.set_xticks(at[thinned], [short(wd) for wd in wds[thinned]])
    ax.set_xlabel(meaning(page[0]), fontsize=size)
