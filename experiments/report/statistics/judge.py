"""What the interval of a number means: for a claim, and for the sentence that says it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from experiments.report.statistics.estimate import Estimate, student_t

HOLDS, FAILS, NOT_RESOLVED = "holds", "does not hold", "not resolved"
NOT_RUN = "not run yet"
#: Of a claim that follows from an algorithm's definition, and that no run could refute.
BY_DEFINITION = "holds by definition"
#: Instead of NOT_RESOLVED, where the power is below ENOUGH: more runs are needed to tell.
UNDECIDABLE = "the design cannot decide"
#: Power from which on a design can decide, as is customary.
ENOUGH = 0.8
INF = math.inf
#: Standard errors on either side of a 95 % interval.
Z = 1.96


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


def power(sd: float, n: int, low: float, high: float, truth: float) -> float:
    r"""Return how often n seeds lead to the right verdict on a claim, were the truth known.

    Of a truth between ``low`` and ``high`` that is ``HOLDS``, of any other ``FAILS``. Seeds are
    normal about the truth and the interval is Student's, as in ``estimate.over_seeds``. Let a and b
    be the distances of the ends from the truth in standard errors, and :math:`x = s / \sigma` the
    standard deviation that n seeds show, over the true one. The interval lies inside with
    probability :math:`E_x [\Phi(b - t x) - \Phi(a + t x)]_+`, outside with
    :math:`E_x [\Phi(a - t x) + \Phi(-b - t x)]`; of a range with one end that is the noncentral t
    distribution.

    Args:
        sd: Standard deviation between seeds, in the unit of the number.
        n: Seeds.
        low: Lower end of the claimed range, perhaps infinite.
        high: Upper end.
        truth: The number that would come out with infinitely many seeds.

    Returns:
        A probability; NaN where there is no interval: of one seed, or without an ``sd``.
    """
    if n < 2 or not math.isfinite(sd) or not math.isfinite(truth):
        return math.nan
    if sd == 0:
        return 1.0
    freedom, error = n - 1, sd / math.sqrt(n)
    x = (np.arange(2000) + 0.5) / 2000 * (1 + 6 / math.sqrt(freedom))
    density = np.exp((freedom - 1) * np.log(x) - freedom * (x * x - 1) / 2)  # of chi / sqrt(n - 1)
    a, b, t = (low - truth) / error, (high - truth) / error, student_t(n)
    if low < truth < high:
        right = np.maximum(ndtr(b - t * x) - ndtr(a + t * x), 0)
    else:
        right = ndtr(a - t * x) + ndtr(-b - t * x)
    return float((density * right).sum() / density.sum())


def power_of(estimate: Estimate, low: float, high: float, truth: float) -> float:
    """Return how often a design whose intervals are as wide as this one leads to the right verdict.

    As :func:`power`, for a number whose interval is not Student's: estimates are normal about the
    truth, with the standard error that the width says. ``benchmarks.calibration`` sets it beside
    the share that simulated surfaces give.
    """
    error = (estimate.high - estimate.low) / 2 / Z
    if estimate.reason or not math.isfinite(error) or not math.isfinite(truth):
        return math.nan
    if error == 0:
        return 1.0
    a, b = (low - truth) / error, (high - truth) / error
    if low < truth < high:
        right = max(ndtr(b - Z) - ndtr(a + Z), 0.0)
    else:
        right = ndtr(a - Z) + ndtr(-b - Z)
    return float(right)


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
        exact: The one value that is claimed, about which the range leaves some room; None if the
            claim is the range itself.
        opposite: A value that would refute it; None for one as far outside the range's end as the
            truth is inside.
        source: Who says it, where that is not the paper.
        printed: The paper's number with its source, where its cells do not give it.
        read: That number, if there is one.
        by_definition: Whether it follows from the algorithm's definition, so that it cannot fail.
        form: How to print the number.
    """

    text: str
    number: str
    of: str
    statistic: str
    low: float = -INF
    high: float = INF
    figure: str = ""
    where: str = ""
    exact: float | None = None
    opposite: float | None = None
    by_definition: bool = False
    source: str = ""
    printed: str = ""
    read: float | None = None
    form: str = ".2f"

    @property
    def range(self) -> str:
        """The range in words, one of its ends perhaps infinite."""
        if math.isinf(self.low):
            return f"below {self.high:.3g}"
        if math.isinf(self.high):
            return f"above {self.low:.3g}"
        return f"{self.low:.3g} to {self.high:.3g}"

    def mirrored(self, truth: float) -> float:
        """Return the value as far outside the nearest end of the range as ``truth`` is inside."""
        end = min((end for end in (self.low, self.high) if math.isfinite(end)),
                  key=lambda end: abs(end - truth))  # fmt: skip
        return 2 * end - truth


@dataclass(frozen=True)
class Ruling:
    """A claim, and what was found of it.

    Attributes:
        claim: What is claimed.
        found: Our number; None before anything was run.
        task: On which task, where there are several.
        theirs: The paper's own number.
        lr: The learning rate at which it is judged, or the two between which, as text.
        power: How often the design would decide rightly, see :func:`power`; NaN if not known.
        against: How often it would decide rightly were the opposite true; NaN if not known.
        by_seeds: The power of designs with so many seeds.
    """

    claim: Claim
    found: Estimate | None
    task: str = ""
    theirs: Estimate | None = None
    lr: str = ""
    power: float = math.nan
    against: float = math.nan
    by_seeds: Mapping[int, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """One of the words above, from ``HOLDS`` to ``UNDECIDABLE``."""
        if self.found is None:
            return NOT_RUN
        verdict = judge(self.found, self.claim.low, self.claim.high)
        if self.claim.by_definition and verdict == HOLDS:
            return BY_DEFINITION
        return UNDECIDABLE if verdict == NOT_RESOLVED and self.power < ENOUGH else verdict


def ruled(
    claim: Claim,
    found: Estimate,
    task: str = "",
    *,
    theirs: Estimate | None = None,
    chance: Callable[[float], float] | None = None,
) -> Ruling:
    """Judge a claim by a number, with both powers of the design.

    They suppose that the truth is what is claimed: the one value that the claim names, else the
    paper's number, else ours, if in the range; and that it is the opposite: the value that the
    claim names, else as far on the other side of the range's end.

    Args:
        claim: What is claimed.
        found: Our number.
        task: On which task, where there are several.
        theirs: The paper's own number.
        chance: How often the design would decide rightly of a truth; by default by the width of
            the interval, :func:`power_of`.
    """
    decides = chance or (lambda truth: power_of(found, claim.low, claim.high, truth))
    values = [claim.exact, claim.read, *(one.value for one in (theirs, found) if one)]
    inside = (x for x in values if x is not None and claim.low < x < claim.high)
    true = next(inside, math.nan)
    false = claim.opposite if claim.opposite is not None else claim.mirrored(true)
    return Ruling(claim, found, task, theirs=theirs, power=decides(true), against=decides(false))
