"""One number with its interval, what it rests on, and the reason if it is not there."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from experiments.report.data.text import formatted

#: Of an estimate, what a CSV file holds.
COLUMNS = ("value", "low", "high", "n", "basis", "reason", "note")
#: Student's t at 97.5 % for 1, 2, ... degrees of freedom.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
ANY = (-math.inf, math.inf)


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated from runs.

    Attributes:
        value: In the unit of the statistic; NaN where not identified.
        low: Lower end of the 95 % interval; NaN without one.
        high: Upper end.
        n: Runs, or seeds, that went into it.
        basis: What it rests on where that is less than its runs, such as '5 of 8 rows x 3 seeds'.
        reason: Why it is not identified, else ''.
        note: What must be known of it: what it rests on, or that it is only a bound.
        draws: What resampled runs give, shape (S,), NaN where not identified.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    basis: str = ""
    reason: str = ""
    note: str = ""
    draws: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    def text(self, form: str = ".2f") -> str:
        """Return it with its interval, ``≥`` before a lower bound, or ``not identified``."""
        if self.reason:
            return "not identified"
        value, low, high = (formatted(x, form) for x in (self.value, self.low, self.high))
        bound = "≥ " if "lower bound" in self.note else ""
        return bound + value + (f" [{low}, {high}]" if math.isfinite(self.low) else "")

    def row(self) -> dict[str, Any]:
        """Return it as columns of a CSV file."""
        return {name: getattr(self, name) for name in COLUMNS}

    @property
    def support(self) -> str:
        """What it rests on, in words; else how many runs."""
        return self.basis or str(self.n)

    @property
    def remark(self) -> str:
        """What a reader must know of it."""
        return self.reason or self.note

    def noted(self, note: str) -> "Estimate":
        """Return it with a further note, which may be ''."""
        return replace(self, note="; ".join(filter(None, [self.note, note])))

    def mapped(self, increasing: Callable[[Any], Any]) -> "Estimate":
        """Return the estimate of an increasing function of it."""
        value, low, high = (float(increasing(x)) for x in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high, draws=increasing(self.draws))

    def with_interval(self, n: int, limits: tuple[float, float] = ANY) -> "Estimate":
        """Return it with the interval that its draws give.

        Args:
            n: Runs that it rests on.
            limits: Range of the statistic.
        """
        if self.reason:
            return replace(self, n=n)
        if not len(self.draws):
            return replace(self, n=n).noted("no interval without replicates")
        low, high = interval(self.draws, self.value, limits)
        lost = 1 - np.isfinite(self.draws).mean()
        lack = f"not identified in {lost:.0%} of the bootstrap samples" if lost > 0.05 else ""
        return replace(self, low=low, high=high, n=n).noted(lack)

    def credible(self, n: int, limits: tuple[float, float] = ANY) -> "Estimate":
        """Return the median of its draws from a posterior, with their 95 % interval.

        Args:
            n: Runs that it rests on.
            limits: Range of the statistic.
        """
        usable = self.draws[np.isfinite(self.draws)]
        if not len(self.draws):
            return replace(self, n=n)
        if len(usable) < len(self.draws) / 2:
            lost = 1 - len(usable) / len(self.draws)
            reason = self.reason or f"not identified in {lost:.0%} of the draws"
            return replace(self, value=math.nan, n=n, reason=reason)
        low, value, high = map(float, np.percentile(usable, [2.5, 50, 97.5]))
        ends = max(limits[0], low), min(limits[1], high)
        return replace(self, value=value, low=ends[0], high=ends[1], n=n, reason="")


def unidentified(reason: str, n: int = 0) -> Estimate:
    """Return the estimate of what the data do not determine."""
    return Estimate(math.nan, n=n, reason=reason)


def from_draws(values: np.ndarray, reason: str = "", note: str = "", basis: str = "") -> Estimate:
    """Make an estimate, its interval yet unknown, of a statistic and its draws.

    Args:
        values: Shape (1 + S,): the statistic itself first; NaN where not identified.
        reason: Why the first is not identified, if it is not.
        note: What must be known of it.
        basis: What it rests on.
    """
    identified = bool(np.isfinite(values[0]))
    why = "" if identified else reason or "the cells do not determine it"
    value = float(values[0]) if identified else math.nan
    return Estimate(value, basis=basis, reason=why, note=note, draws=values[1:])


def student_t(n: int) -> float:
    """Return Student's t at 97.5 % for the mean of n >= 2 numbers.

    Beyond the table it is the expansion in 1 / (n - 1) about the normal distribution's 1.96, right
    to 0.003 (Abramowitz and Stegun, 26.7.5).
    """
    freedom = n - 1
    return T[freedom - 1] if freedom <= len(T) else 1.960 + 2.372 / freedom + 2.823 / freedom**2


def over_seeds(values: Iterable[float], n: int | None = None) -> Estimate:
    """Return the mean over seeds with its 95 % interval by Student's t; of one seed without.

    Args:
        values: One number a seed.
        n: Runs, or pairs, that they rest on, if more than one a seed.
    """
    numbers = np.array(list(values), float)
    seeds = len(numbers)
    n = seeds if n is None else n
    if not seeds or not np.isfinite(numbers).all():
        return unidentified("no run, or not defined in one", n)
    mean = float(numbers.mean())
    if seeds == 1:
        return Estimate(mean, n=n, basis="1 seed", note="one seed")
    half = student_t(seeds) * float(numbers.std(ddof=1)) / math.sqrt(seeds)
    return Estimate(mean, mean - half, mean + half, n, f"{seeds} seeds")


def from_row(row: Mapping[Any, Any]) -> Estimate:
    """Read an estimate back from a row of a CSV file."""
    value, low, high = (float(row[name]) for name in COLUMNS[:3])
    n = int(float(row.get("n") or 0))
    return Estimate(value, low, high, n, str(row.get("basis", "")), row["reason"], row["note"])


def interval(
    draws: np.ndarray, value: float, limits: tuple[float, float] = ANY
) -> tuple[float, float]:
    r"""Return the 95 % interval of a statistic from its draws, NaN left out.

    Resampling adds noise to cells that are noisy already, so a statistic built on a minimum is
    biased a second time. The percentile interval is therefore moved by what separates
    the draws' median from the value:

    .. math:: [\hat\theta - (q_{50} - q_{2.5}),\; \hat\theta + (q_{97.5} - q_{50})]

    and cut at ``limits``, the statistic's range. NaN when fewer than half of the draws, or fewer
    than 20, have a value: the statistic is then not stable enough to have an interval.
    """
    usable = draws[np.isfinite(draws)]
    if len(usable) < max(20, len(draws) / 2) or not math.isfinite(value):
        return math.nan, math.nan
    low, middle, high = map(float, np.percentile(usable, [2.5, 50, 97.5]))
    return max(limits[0], value - middle + low), min(limits[1], value + high - middle)
