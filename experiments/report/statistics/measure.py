"""Measurements: the statistics of panels, and numbers made of those of several panels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from experiments.report.data.panels import MISSING, Panel, seeds
from experiments.report.data.surface import Surface
from experiments.report.statistics import decoupling, tuning
from experiments.report.statistics.estimate import ANY, Estimate, from_draws
from experiments.report.statistics.noise import Noise, mean_noise, replicate_noise, seed_noise
from experiments.report.statistics.pairing import offsets
from experiments.report.statistics.resample import panel_surface
from experiments.report.statistics.settings import Settings
from experiments.report.statistics.smooth import smooth
from experiments.report.statistics.statistic import statistics

#: Percent: levels of the error at which the slope of the threshold is given besides the report's.
LEVELS = (1.0, 5.0, 10.0, 20.0, 40.0)
#: How many times the report's tolerance, for which the slope of the ridge is given besides.
TOLERANCES = (0.5, 1.5, 2.0)


@dataclass(frozen=True)
class Measured:
    """A panel with its statistics.

    Attributes:
        panel: What was measured.
        settings: How: the metric, the coordinate of the decay, the tolerances.
        noise: Standard deviation of a run; None without any replicate.
        surface: Draws of the surface between its cells, or with ``estimator=argmin`` of its cells.
        estimates: Each statistic by name, see ``statistic.STATISTICS``.
        choices: The slope under other choices of what is not measured: that of the ridge over the
            rows within other tolerances, of the threshold at other levels of the error.
        tuning: Expected best error of k random draws: k, value, low, high.
    """

    panel: Panel
    settings: Settings
    noise: Noise | None
    surface: Surface
    estimates: dict[str, Estimate]
    choices: dict[float, Estimate]
    tuning: pd.DataFrame

    @property
    def slope(self) -> Estimate:
        """The slope that the report is about."""
        return self.estimates[self.settings.slope]

    @property
    def line(self) -> pd.DataFrame:
        """The points that the slope was fitted to: lr, x, low and high."""
        if self.settings.level is None:
            return decoupling.ridge(self.surface, self.settings.tolerance)
        return decoupling.threshold(self.surface, self.settings.level)


def measure(
    panels: Sequence[Panel], settings: Settings, lenders: Sequence[Panel] = ()
) -> list[Measured]:
    """Compute every statistic of every panel, with intervals where there are replicates.

    A panel with neither several seeds nor replicates borrows the noise of a run from ``lenders``,
    the panels of another experiment, ``settings.noise``.
    """
    replicates = replicate_noise(panels, settings.metric)
    noise = [
        seed_noise(panel, settings.metric) or shared or _lent(panel, settings, lenders)
        for panel, shared in zip(panels, replicates, strict=True)
    ]
    return [measure_one(*pair, settings) for pair in zip(panels, noise, strict=True)]


def _lent(panel: Panel, settings: Settings, lenders: Sequence[Panel]) -> Noise | None:
    """Return the noise of the lenders of a panel's task and optimizer, if possible its schedule.

    That of several is the mean of their variances.
    """
    alike = [one for one in lenders if _same(one, panel, "task") and one.optim == panel.optim]
    alike = [one for one in alike if _same(one, panel, "schedule")] or alike
    found = [noise for one in alike if (noise := seed_noise(one, settings.metric))]
    return mean_noise(found, f"lent by {settings.noise}: {', '.join(one.basis for one in found)}")


def _same(first: Panel, second: Panel, column: str) -> bool:
    return bool(first.setting(column) == second.setting(column))


def measure_one(
    panel: Panel, noise: Noise | None, settings: Settings, only: Sequence[str] = ()
) -> Measured:
    """Compute the statistics of one panel, whose runs have this noise; all, or ``only`` some."""
    grid = panel.grid
    cells = panel_surface(grid, settings, noise)
    fitted = smooth(panel, settings, noise) if settings.estimator == "gp" else None
    between, whole = (cells, grid) if fitted is None else (fitted, panel)
    estimates = {}
    for one in statistics(settings):
        if one.name in only or not only:
            own, of = (between, whole) if one.of_surface else (cells, grid)
            found = one.formula(own, settings)
            estimates[one.name] = _finished(found, [of], own.posterior, one.limits)
    formula, values = _choices(settings)
    choices = {
        value: _finished(formula(between, value), [whole], between.posterior)
        for value in (() if only else values)
    }
    best = [
        from_draws(column).with_interval(0, (0.0, np.inf))
        for column in tuning.expected_best(cells).T
    ]
    curve = pd.DataFrame([one.row() for one in best])[["value", "low", "high"]]
    curve.insert(0, "k", tuning.DRAWS)
    return Measured(
        panel, settings, noise, between, estimates, choices, curve[curve["value"].notna()]
    )


def _choices(
    settings: Settings,
) -> tuple[Callable[[Surface, float], Estimate], tuple[float, ...]]:
    """Return the slope that the report is about, and for which tolerances or levels to give it."""
    if settings.level is None:
        return decoupling.ridge_slope, tuple(times * settings.tolerance for times in TOLERANCES)
    return decoupling.threshold_slope, LEVELS if settings.metric.endswith("_error") else ()


def _finished(
    found: Estimate,
    panels: Sequence[Panel],
    posterior: bool,
    limits: tuple[float, float] = ANY,
) -> Estimate:
    """Give a statistic its interval, as its samples ask for it, and say what it rests on."""
    n = sum(one.done for one in panels)
    cells = f"{sum((one.cells['status'] != MISSING).sum() for one in panels)} cells"
    found = replace(found, basis=f"{found.basis or cells} x {seeds(panels)}")
    return found.credible(n, limits) if posterior else found.with_interval(n, limits)


def contrast(
    panels: Sequence[Measured],
    statistic: Callable[[Surface], Estimate],
    combine: Callable[..., np.ndarray] = lambda values: values,
    note: str = "",
    *,
    is_error: bool = False,
) -> Estimate:
    """Estimate a number made of one statistic of each of several panels, such as a difference.

    It has no interval if one of the panels has no noise: a difference is as unsure as its unsurest
    part.

    Args:
        panels: In the order of the arguments of ``combine``.
        statistic: From a surface to its estimate.
        combine: From arrays of samples (1 + S,), one a panel, to such an array.
        note: What must be known of the number.
        is_error: Whether the statistic is an error, to which a seed may add something in all cells
            of a panel: see ``pairing.offsets``.
    """
    found = [statistic(one.surface) for one in panels]
    count = min(len(one.draws) for one in found)
    values = np.stack([np.append(one.value, one.draws[:count]) for one in found], 1)
    if is_error and count:
        own = panels[0].settings
        added, how = offsets([one.panel for one in panels], own.metric, own.scale, count)
        values[1:] += added
        note = "; ".join(filter(None, [note, how]))
    reasons = [
        f"{one.panel.name}: {estimate.reason}"
        for one, estimate in zip(panels, found, strict=True)
        if estimate.reason
    ]
    made = from_draws(combine(*values.T), "; ".join(reasons), note)
    posterior = all(one.surface.posterior for one in panels)
    return _finished(made, [one.panel for one in panels], posterior)
