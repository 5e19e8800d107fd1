"""Measurements: every statistic of every panel, as one tidy table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from experiments.errors import UserError
from experiments.report.data import coordinates
from experiments.report.data.panels import Panel
from experiments.report.data.surface import Surface, surface
from experiments.report.statistics import decoupling, tuning
from experiments.report.statistics.bootstrap import (
    Noise,
    interval,
    mean_noise,
    replicate_noise,
    samples,
    seed_noise,
)

#: Kinds of pictures; ``experiments.report.pages.pages`` draws them.
FIGURES = (
    *("heatmap", "curves", "final", "scatter"),
    *("losses", "steps", "accuracy", "ablation", "sensitivity"),
)


@dataclass(frozen=True)
class Settings:
    """What a report is asked for; ``configs/analyze.yaml`` explains the keys.

    ``look`` is what the file names of a passing look end in, one that differs from the usual report
    of an experiment; '' for the usual.
    """

    look: str = ""
    metric: str = "test_error"
    axis: str = "typed"
    tolerance: float = 2.0
    near: float = 0.5
    level: float | None = None
    paper: str | None = None
    samples: int = 2000
    panels: tuple[str, ...] = ()
    curves: bool = False
    noise: str | None = None
    figures: tuple[str, ...] = ("heatmap",)

    def __post_init__(self):
        coordinates.check(self.axis)
        for name in ("tolerance", "near", "level"):
            value = getattr(self, name)
            if value is None and name == "level":
                continue
            if not isinstance(value, (int, float)) or not 0 < value < np.inf:
                raise UserError(f"{name}={value} must be a positive number")
        if unknown := set(self.figures) - set(FIGURES):
            known = ", ".join(FIGURES)
            raise UserError(f"figures={sorted(unknown)[0]} is not one of {known}")
        if not isinstance(self.curves, bool):
            raise UserError(f"curves={self.curves} must be true or false")
        if not isinstance(self.samples, int) or not 0 <= self.samples <= 100_000:
            raise UserError(f"samples={self.samples} must be a whole number in 0..100000")

    @property
    def is_grid(self) -> bool:
        """Whether the runs fill a grid of lr and wd, which heatmaps and their statistics need."""
        return "heatmap" in self.figures

    @property
    def slope(self) -> str:
        """Name of the slope that this report is about."""
        return "ridge_slope" if self.level is None else "threshold_slope"


@dataclass(frozen=True)
class Measured:
    """A panel with its statistics.

    Attributes:
        panel: What was measured.
        settings: How: the metric, the coordinate of the decay, the tolerances.
        table: One row a statistic: statistic, value, low, high (95 % interval; NaN without one),
            reason (why there is no value) and note (what it rests on).
        line: The points (lr, x) that the slope of the report was fitted to.
        curve: Expected best error of k random draws: k, value, low, high.
        noise: Standard deviation of a run; None without any replicate.
    """

    panel: Panel
    settings: Settings
    table: pd.DataFrame
    line: pd.DataFrame
    curve: pd.DataFrame
    noise: Noise | None = None

    def row(self, statistic: str) -> pd.Series:
        return self.table.set_index("statistic").loc[statistic]


#: Range of each statistic that has one: intervals are cut there.
LIMITS = {
    "top10_correlation": (-1.0, 1.0),
    "freezing_cost": (0.0, np.inf),
    "near_share": (0.0, 1.0),
    "one_pass_regret": (0.0, np.inf),
    "interaction_share": (0.0, 1.0),
    "best_of_10": (0.0, np.inf),
}


def statistics(settings: Settings) -> dict[str, Callable[[Surface], decoupling.Result]]:
    """Return the statistics of a report by name, with its settings bound."""
    chosen = {"ridge_slope": partial(decoupling.ridge_slope, tolerance=settings.tolerance)}
    if settings.level is not None:
        chosen["threshold_slope"] = partial(decoupling.threshold_slope, level=settings.level)
    return chosen | {
        "top10_correlation": decoupling.top_correlation,
        "freezing_cost": partial(decoupling.freezing_cost, tolerance=settings.tolerance),
        "near_share": partial(tuning.near_share, near=settings.near),
        "one_pass_regret": tuning.one_pass_regret,
        "best_of_10": tuning.best_of,
        "interaction_share": partial(tuning.interaction_share, tolerance=settings.tolerance),
    }


def measure(
    panels: Sequence[Panel], settings: Settings, lenders: Sequence[Panel] = ()
) -> list[Measured]:
    """Compute every statistic of every panel, with intervals where there are replicates.

    A panel with neither several seeds nor replicates borrows the noise of a run from ``lenders``,
    the panels of another experiment, ``settings.noise``.
    """
    replicates = replicate_noise(panels, settings.metric)
    pairs = zip(panels, replicates, strict=True)
    noise = [
        seed_noise(panel, settings.metric) or shared or _lent(panel, settings, lenders)
        for panel, shared in pairs
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
    return first.runs[column].iloc[0] == second.runs[column].iloc[0]


def measure_one(
    panel: Panel, noise: Noise | None, settings: Settings, only: Sequence[str] = ()
) -> Measured:
    """Compute the statistics of one panel, whose runs have this noise; all, or ``only`` some."""
    table = surface(panel.cells, settings.metric, settings.axis)
    chosen = {k: v for k, v in statistics(settings).items() if k in only or not only}
    results = {name: statistic(table) for name, statistic in chosen.items()}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
    curves = [tuning.expected_best(table)]
    for chunk in samples(panel, settings.metric, settings.axis, settings.samples, noise):
        sampled = table.sampled(np.concatenate([table.error, chunk]))
        for name, statistic in chosen.items():
            drawn[name].append(statistic(sampled).values[1:])
        curves.append(tuning.expected_best(sampled)[1:])
    rows = [_row(name, result, drawn[name]) for name, result in results.items()]
    line = results[settings.slope].line
    curve = _curve(np.concatenate(curves))
    return Measured(panel, settings, pd.DataFrame(rows), line, curve, noise)


def _row(name: str, result: decoupling.Result, drawn: list[np.ndarray]) -> dict[str, object]:
    low = high = np.nan
    note = result.note
    if drawn:
        values = np.concatenate(drawn)
        low, high = interval(values, result.value, LIMITS.get(name, (-np.inf, np.inf)))
        lost = 1 - np.isfinite(values).mean()
        if not result.reason and lost > 0.05:
            note += f"; not identified in {lost:.0%} of the bootstrap samples"
    estimate = {"statistic": name, "value": result.value, "low": low, "high": high}
    return estimate | {"reason": result.reason, "note": note}


def _curve(values: np.ndarray) -> pd.DataFrame:
    ends = [interval(column[1:], column[0], (0.0, np.inf)) for column in values.T]
    low, high = zip(*ends, strict=True)
    curve = pd.DataFrame({"k": tuning.DRAWS, "value": values[0], "low": low, "high": high})
    return curve[curve["value"].notna()]
