"""What the interval of a number means: for a claim, and for the sentence that says it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.report.statistics.estimate import Estimate

HOLDS, FAILS, NOT_RESOLVED = "holds", "does not hold", "not resolved"
NOT_RUN = "not run yet"
INF = math.inf


def judge(estimate: Estimate, low: float, high: float) -> str:
    """Say what an estimate means for the claim that the number lies between low and high.

    The claim holds when the whole interval lies in the range, it does not when all of it lies
    outside; else, and without an interval, it is not resolved. The ends belong to the outside: a
    ratio of exactly 1 is no speed-up.
    """
    if estimate.reason or not math.isfinite(estimate.low):
        return NOT_RESOLVED
    if low < estimate.low and estimate.high < high:
        return HOLDS
    if estimate.high <= low or high <= estimate.low:
        return FAILS
    return NOT_RESOLVED


def by_sign(estimate: Estimate, below: str, above: str, unsure: str) -> str:
    """Return the words for a number below zero, above it, or of which the interval has both."""
    if estimate.high < 0:
        return below
    return above if estimate.low > 0 else unsure


def effect(cause: str, what: str, change: Estimate, form: str, unit: str) -> str:
    """Say in one sentence what a cause does to a quantity.

    Args:
        cause: The subject of the sentence.
        what: The quantity.
        change: What the cause adds to it.
        form: How to print the number.
        unit: Its unit.
    """
    if change.reason:
        return f"{cause}: nothing is known of the {what} ({change.reason})"
    verb = by_sign(change, "lowers", "raises", "does not resolvably change")
    return f"{cause} {verb} the {what}: {change.text(form)} {unit}"


@dataclass(frozen=True)
class Claim:
    """A statement as the range of a number.

    Attributes:
        text: What is claimed.
        number: What the number is, with its unit.
        of: The optimizer, or whom a finding compares.
        statistic: Name of the number in the table that has it.
        low: Lower end of the range.
        high: Upper end.
        figure: The figure of the paper that shows it; '' if the paper does not.
        where: Of a finding, its protocol.
    """

    text: str
    number: str
    of: str
    statistic: str
    low: float = -INF
    high: float = INF
    figure: str = ""
    where: str = ""

    @property
    def range(self) -> str:
        """The range in words, one of its ends perhaps infinite."""
        if math.isinf(self.low):
            return f"below {self.high:.3g}"
        if math.isinf(self.high):
            return f"above {self.low:.3g}"
        return f"{self.low:.3g} to {self.high:.3g}"


@dataclass(frozen=True)
class Ruling:
    """A claim, and what was found of it.

    Attributes:
        claim: What is claimed.
        found: Our number; None before anything was run.
        task: On which task, where there are several.
        theirs: The paper's own number.
        power: How often a design as ours, with so many seeds, says that the claim holds when it
            is exactly true; by the number of seeds, from simulation.
    """

    claim: Claim
    found: Estimate | None
    task: str = ""
    theirs: Estimate | None = None
    power: Mapping[int, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """``HOLDS``, ``FAILS``, ``NOT_RESOLVED`` or ``NOT_RUN``."""
        return judge(self.found, self.claim.low, self.claim.high) if self.found else NOT_RUN
