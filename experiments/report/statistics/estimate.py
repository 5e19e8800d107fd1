"""One number with its interval, what it rests on, and the reason if it is not there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.report.data.panels import Panel
from experiments.report.data.surface import Surface, surface
from experiments.report.statistics.bootstrap import Noise, interval, samples
from experiments.report.statistics.measure import Settings

#: Why a number that is there has no interval.
NO_REPLICATES = "no interval without replicates"
UNSTABLE = "no interval: not identified in half of the bootstrap samples"
#: Student's t at 97.5 % for 1, 2, ... degrees of freedom; beyond, the normal distribution's.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True)
class Estimate:
    """A statistic.

    Attributes:
        value: In the unit of the statistic; NaN where not identified.
        low: Lower end of the 95 % interval; NaN without one.
        high: Upper end.
        n: Runs, or pairs, that it rests on.
        reason: Why it is not identified, else ''.
        note: What must be known of it.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    n: int = 0
    reason: str = ""
    note: str = ""

    def text(self, decimals: int = 2) -> str:
        """Return the number with its interval, or ``not identified``."""
        if self.reason:
            return "not identified"
        rounded = (round(x, decimals) + 0.0 for x in (self.value, self.low, self.high))  # no -0.00
        value, low, high = (f"{x:.{decimals}f}" for x in rounded)
        return value + (f" [{low}, {high}]" if np.isfinite(self.low) else "")


def unidentified(reason: str, n: int = 0) -> Estimate:
    """Return the estimate of what the data do not determine."""
    return Estimate(np.nan, n=n, reason=reason)


def estimate(
    values: np.ndarray,
    n: int,
    reason: str = "",
    note: str = "",
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Make an estimate of ``values``: the statistic itself first, then its bootstrap samples.

    Args:
        values: Shape (1 + S,); NaN where not identified.
        n: Runs that it rests on.
        reason: Why the first is not identified, if it is not.
        note: What must be known of it.
        limits: Range of the statistic.
    """
    if not np.isfinite(values[0]):
        return unidentified(reason or "the cells do not determine it", n)
    low, high = interval(values[1:], values[0], limits) if len(values) > 1 else (np.nan, np.nan)
    remarks = [note] if note else []
    if not np.isfinite(low):
        remarks.append(NO_REPLICATES if len(values) == 1 else UNSTABLE)
    return Estimate(float(values[0]), low, high, n, note="; ".join(remarks))


def over_seeds(values: Sequence[float], n: int | None = None) -> Estimate:
    """Return the mean over seeds with its 95 % interval by Student's t; of one seed without.

    Args:
        values: One number a seed.
        n: Runs, or pairs, that they rest on, if more than one a seed.
    """
    values = np.asarray(values, float)
    seeds = len(values)
    n = seeds if n is None else n
    if not seeds or not np.isfinite(values).all():
        return unidentified("no run, or not defined in one", n)
    mean = values.mean()
    if seeds == 1:
        return Estimate(mean, n=n, note="one seed")
    t = T[seeds - 2] if seeds - 2 < len(T) else 1.96
    half = t * values.std(ddof=1) / math.sqrt(seeds)
    return Estimate(mean, mean - half, mean + half, n)


def draws(
    panel: Panel,
    statistic: Callable[[Surface], np.ndarray],
    settings: Settings,
    noise: Noise | None,
) -> np.ndarray:
    """Return a statistic of a panel, then of each of its bootstrapped tables, shape (1 + S,).

    Args:
        panel: The cells.
        statistic: From S tables to an array (S,).
        settings: Metric, coordinate of the decay, and how many samples.
        noise: Of one run; without it there are no samples.
    """
    table = surface(panel.cells, settings.metric, settings.axis)
    chunks = samples(panel, settings.metric, settings.axis, settings.samples, noise)
    return np.concatenate([statistic(table), *(statistic(table.sampled(c)) for c in chunks)])


def together(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Stack draws of several panels, shape (panels, 1 + S), with the samples that all have.

    A panel without samples leaves none for any: a difference is as unsure as its unsurest part.
    """
    shortest = min(map(len, parts))
    return np.stack([part[:shortest] for part in parts])
