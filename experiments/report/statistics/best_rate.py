r"""The best learning rate at one decay, for several widths: does it stay as the network grows?

The best rate of a width is the vertex of the parabola in log2 lr through the lowest cell and its
two neighbours on each side, by least squares. Decay that is fixed in the paper's units (lambda) is
said to let it stay as the network grows, decay fixed in torch's not (Wortsman et al., 2023,
https://arxiv.org/abs/2309.14322; Kosson et al., 2025, https://arxiv.org/abs/2510.19093).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.errors import UserError
from experiments.report.data.surface import Surface
from experiments.report.statistics.estimate import Estimate, from_draws
from experiments.report.statistics.measure import Measured, contrast

WIDTH = "model.width"
#: Cells on each side of the lowest that the parabola is fitted to.
SIDE = 2


def best_rate(table: Surface) -> Estimate:
    """Return log2 of the best learning rate at the table's one decay."""
    errors, x = table.known[:, :, 0], table.log_lr
    found = np.full(len(errors), np.nan)
    for i, line in enumerate(errors):
        if not np.isfinite(line).any():
            continue
        at = int(line.argmin())
        near = slice(max(0, at - SIDE), at + SIDE + 1)
        near_x, near_y = x[near], line[near]
        if 0 < at < len(line) - 1 and np.isfinite(near_y).all():
            bend, tilt, _ = np.polyfit(near_x - x[at], near_y, 2)
            vertex = x[at] - tilt / (2 * bend) if bend > 0 else np.nan
            found[i] = vertex if near_x[0] <= vertex <= near_x[-1] else np.nan
    return from_draws(found, "the best lr is at the edge of the grid, or the fit has none")


def sensitivity(table: Surface) -> Estimate:
    """Return the mean over learning rates of the loss above the lowest."""
    errors = table.pessimistic[:, :, 0]
    with np.errstate(invalid="ignore"):  # infinite where all diverged
        return from_draws(errors.mean(1) - errors.min(1))


@dataclass(frozen=True)
class Curve:
    """Loss over learning rate: one optimizer and width.

    Attributes:
        measured: Its panel, decay as it was typed.
        width: Of the network.
        rate: Log2 of the best learning rate.
        excess: The sensitivity.
    """

    measured: Measured
    width: float
    rate: Estimate
    excess: Estimate

    @property
    def optim(self) -> str:
        return self.measured.panel.optim


def curves(page: Sequence[Measured]) -> list[Curve]:
    """Return the curves of panels by optimizer, narrow ones first.

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
        width = float(one.panel.setting(WIDTH))
        own = replace(one, settings=replace(one.settings, axis="typed"))
        found.append(Curve(own, width, contrast([own], best_rate), contrast([own], sensitivity)))
    order = list(dict.fromkeys(one.optim for one in found))
    return sorted(found, key=lambda one: (order.index(one.optim), one.width))


def shifts(found: Sequence[Curve]) -> list[tuple[Curve, Curve, Estimate]]:
    """Return each optimizer's shift of the best rate from a width to the next, in doublings."""
    return [
        (narrow, wide, contrast([narrow.measured, wide.measured], best_rate, lambda a, b: b - a))
        for narrow, wide in zip(found, found[1:], strict=False)
        if narrow.optim == wide.optim
    ]
