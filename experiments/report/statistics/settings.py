"""How panels are measured."""

from dataclasses import dataclass

import numpy as np

from experiments.errors import UserError
from experiments.report.data import coordinates

#: More samples would need memory in proportion, and move no interval that is printed.
MOST_SAMPLES = 20_000
#: How the best decay of a learning rate is found: on draws of a Gaussian process over all cells, or
#: as the lowest cell, with a bootstrap over seeds.
ESTIMATORS = ("gp", "argmin")


@dataclass(frozen=True)
class Settings:
    """How panels are measured; ``configs/analyze`` explains the keys."""

    metric: str = "test_error"
    axis: str = "typed"
    tolerance: float = 2.0
    near: float = 0.5
    level: float | None = None
    samples: int = 2000
    noise: str | None = None
    estimator: str = "gp"

    def __post_init__(self) -> None:
        coordinates.check(self.axis)
        for name in ("tolerance", "near", "level"):
            value = getattr(self, name)
            if value is None and name == "level":
                continue
            if not isinstance(value, (int, float)) or not 0 < value < np.inf:
                raise UserError(f"{name}={value} must be a positive number")
        if self.estimator not in ESTIMATORS:
            raise UserError(f"estimator={self.estimator} must be one of {', '.join(ESTIMATORS)}")
        if not isinstance(self.samples, int) or not 0 <= self.samples <= MOST_SAMPLES:
            raise UserError(f"samples={self.samples} must be a whole number in 0..{MOST_SAMPLES}")

    @property
    def scale(self) -> float:
        """Errors above the best that count as large: the tolerance, or the level of a switch."""
        return self.tolerance if self.level is None else max(self.tolerance, self.level)

    @property
    def slope(self) -> str:
        """Name of the slope that this report is about."""
        return "ridge_slope" if self.level is None else "threshold_slope"
