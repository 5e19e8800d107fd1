"""Measurements: every statistic of every panel, as one tidy table."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from experiments.errors import UserError
from experiments.report import coordinates, stats
from experiments.report.cells import Panel
from experiments.report.surface import Surface, surface


@dataclass(frozen=True)
class Settings:
    """What a report is asked for; ``configs/analyze.yaml`` explains the keys."""

    metric: str = "test_error"
    axis: str = "typed"
    tolerance: float = 2.0
    near: float = 0.5
    level: float | None = None
    samples: int = 2000
    panels: tuple[str, ...] = ()

    def __post_init__(self):
        coordinates.check(self.axis)
        for name in ("tolerance", "near"):
            if not 0 < getattr(self, name) < np.inf:
                raise UserError(f"{name}={getattr(self, name)} must be positive")
        if not 0 <= self.samples <= 100_000:
            raise UserError(f"samples={self.samples} must lie in 0..100000")

    @property
    def slope(self) -> str:
        """Name of the slope that this report is about."""
        return "ridge_slope" if self.level is None else "threshold_slope"


@dataclass(frozen=True)
class Measured:
    """A panel with its statistics: ``table`` has one row a statistic, see ``measure``."""

    panel: Panel
    table: pd.DataFrame
    line: pd.DataFrame

    def row(self, statistic: str) -> pd.Series:
        return self.table.set_index("statistic").loc[statistic]


def statistics(settings: Settings) -> dict[str, Callable[[Surface], stats.Result]]:
    """Return the statistics of a report by name, with its settings bound."""
    chosen = {
        "ridge_slope": partial(stats.ridge_slope, tolerance=settings.tolerance),
        "top10_correlation": stats.top_correlation,
        "freezing_cost": partial(stats.freezing_cost, tolerance=settings.tolerance),
    }
    if settings.level is not None:
        chosen["threshold_slope"] = partial(stats.threshold_slope, level=settings.level)
    return chosen


def measure(panel: Panel, settings: Settings) -> Measured:
    """Compute every statistic of a panel.

    Returns:
        A table with the columns statistic, value, low, high (95 % interval; NaN without one),
        reason (why there is no value) and note (what it rests on).
    """
    table = surface(panel.cells, settings.metric, settings.axis)
    results = {name: statistic(table) for name, statistic in statistics(settings).items()}
    rows = [
        {"statistic": name, "value": r.value, "low": np.nan, "high": np.nan}
        | {"reason": r.reason, "note": r.note}
        for name, r in results.items()
    ]
    return Measured(panel, pd.DataFrame(rows), results[settings.slope].line)
