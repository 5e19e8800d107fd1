"""Timing that can be trusted on a noisy machine: warm-up, repeats, medians and their spread."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of one repetition: median, and the quartiles around it."""

    median: float
    low: float
    high: float
    repeats: int

    @property
    def spread(self) -> float:
        """The distance of the quartiles, as a share of the median."""
        return (self.high - self.low) / self.median

    @staticmethod
    def of(seconds: list[float]) -> "Timing":
        """Summarize repeated measurements."""
        if len(seconds) == 1:
            return Timing(seconds[0], seconds[0], seconds[0], 1)
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return Timing(median, low, high, len(seconds))


def time_together(
    actions: dict[str, Callable[[], object]], *, repeats: int, number: int = 1, warm_up: int = 2
) -> dict[str, Timing]:
    """Time rivals in turn, so that what disturbs the machine disturbs all of them alike.

    Args:
        actions: What to time, by name.
        repeats: Rounds; every rival is timed once in each.
        number: Calls that make up one measurement.
        warm_up: Calls of each before anything is timed.
    """
    for action in actions.values():
        for _ in range(warm_up):
            action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            started = time.perf_counter()
            for _ in range(number):
                action()
            seconds[name].append((time.perf_counter() - started) / number)
    return {name: Timing.of(values) for name, values in seconds.items()}
