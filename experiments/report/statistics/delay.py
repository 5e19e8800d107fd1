r"""The delay law of grokking: steps from fitting the training set to generalizing.

The law is a power of both hyperparameters, with a constant for each seed:

.. math:: \text{delay} \propto \lambda^a \alpha^b

It is fitted to each seed by itself, and the interval of an exponent is Student's t over the seeds;
a bootstrap would have too few of them to draw from. A run that has not generalized when its budget
ends has a delay of at least what was left of it (right-censored), and every other delay is known up
to the distance of two evaluations on both sides (``censored``).

The law is about networks that fit their training set first. Left out are therefore runs that never
do, and runs that decay keeps from it: those that need more than ``SLOWED`` times the steps of the
quickest run of their learning rate and seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from experiments.record.schema import FINISHED
from experiments.report.data import coordinates
from experiments.report.data.panels import Panel
from experiments.report.statistics.censored import Fit, fit
from experiments.report.statistics.estimate import Estimate, over_seeds, unidentified
from experiments.report.statistics.grokking import LEARNED, STEPS, reached
from experiments.report.statistics.judge import HOLDS, Claim, Ruling, judge
from experiments.report.statistics.measure import Measured
from experiments.report.statistics.paper_claims import STILL
from experiments.report.statistics.resample import generator
from experiments.report.statistics.rivals import by_protocol, labels, twins

#: Times the steps of the quickest fit above which decay counts as what keeps a network from it.
SLOWED = 2.0
#: Names of the exponents, and what each is on.
EXPONENTS = {"on_lambda": "λ", "on_lr": "α"}
#: AdamW's delay is log(V_mem / V*) / (2 kappa alpha w) with V the squared norm of the weights and
#: torch's w = lambda / alpha, hence lambda^-1 alpha^0: https://arxiv.org/abs/2605.18845, and up to
#: constants https://arxiv.org/abs/2603.13331. On each side counts what is no movement elsewhere.
LAW = (-1.0, 0.0)
TEXTS = ("the delay is inverse to λ", "at equal λ it does not depend on α")
CLAIMS = tuple(
    Claim(text, f"exponent of the delay on {on}", "adamw", name, at - STILL, at + STILL)
    for (name, on), at, text in zip(EXPONENTS.items(), LAW, TEXTS, strict=True)
)
#: Simulations of a design, and numbers of seeds that it is simulated with besides its own.
SIMULATED, MORE_SEEDS = 200, (4, 8)


@dataclass(frozen=True)
class Delays:
    """The delays of a panel's runs, and the law that was fitted to them.

    Attributes:
        measured: The panel.
        runs: Its runs with decay that have fitted their training set, one row each: seed, lr,
            lambda; low and high, between which the delay lies, high infinite where the run never
            generalizes; left, what was left of the budget; apart, the distance of two evaluations,
            all in steps; and slowed, whether decay keeps the run from fitting.
        unfitted: How many runs with decay never fit their training set.
        fits: By seed, the law's exponents on lambda and on alpha, and its constant.
    """

    measured: Measured
    runs: pd.DataFrame
    unfitted: int
    fits: dict[float, Fit]

    @property
    def panel(self) -> Panel:
        return self.measured.panel

    @property
    def used(self) -> pd.DataFrame:
        """The runs that the law is fitted to."""
        return self.runs[~self.runs["slowed"]]

    @property
    def never(self) -> int:
        """How many of these never generalize."""
        return int(np.isinf(self.used["high"]).sum())

    @property
    def exponents(self) -> dict[str, Estimate]:
        """The law's exponents by name."""
        return _over(self.fits, len(self.used))

    @property
    def others(self) -> dict[str, dict[str, Estimate]]:
        """The exponents as other choices give them, by what was chosen."""
        seen = self.used[np.isfinite(self.used["high"])]
        return {
            "without censored runs": _over(_by_seed(seen), len(seen)),
            "with slowed runs": _over(_by_seed(self.runs), len(self.runs)),
            "runs as independent": pooled(self.used),
        }

    @property
    def line(self) -> np.ndarray:
        """The mean over seeds of the law's exponents and constant, shape (3,); NaN without one."""
        own = [one.coefficients[0] for one in self.fits.values()]
        return np.mean(own, axis=0) if own else np.full(len(EXPONENTS) + 1, np.nan)

    @property
    def scatter(self) -> float:
        """Standard deviation of the log of a delay about its seed's law.

        Each seed's estimate loses three of as many degrees of freedom as it has delays.
        """
        seen = self.used[np.isfinite(self.used["high"])].groupby("seed").size()
        squares = [seen.get(seed, 0) * one.scatter[0] ** 2 for seed, one in self.fits.items()]
        freedom = (seen - len(self.line)).sum()
        return float(np.sqrt(np.sum(squares) / freedom)) if freedom > 0 else np.nan


def delays(one: Measured, points: pd.DataFrame, level: float) -> Delays:
    """Read the delays of a panel's runs off their curves, and fit the law.

    Args:
        one: A panel.
        points: Typed learning curves, of runs that were evaluated at even distances.
        level: Percent of error at which a run has fitted a set, or generalizes.
    """
    runs = one.panel.runs
    runs = reached(runs[runs["status"] == FINISHED], points, level)
    quickest = runs.groupby(["lr", "seed"])[LEARNED].transform("min")
    runs = runs.assign(
        slowed=runs[LEARNED] > SLOWED * quickest, **{"lambda": coordinates.convert(runs, "lambda")}
    )
    runs = runs[runs["lambda"] > 0]
    fitted = runs[np.isfinite(runs[LEARNED])]
    steps = points.sort_values(["id", "step"]).groupby("id")["step"]
    apart = fitted["id"].map(steps.agg(lambda own: own.diff().min())).astype(float)
    left = fitted["id"].map(steps.max()).astype(float) - fitted[LEARNED]
    low, high = _limits(fitted[STEPS] - fitted[LEARNED], left, apart)
    fitted = fitted.assign(left=left, apart=apart, low=low, high=high)
    fits = _by_seed(fitted[~fitted["slowed"]])
    return Delays(one, fitted, len(runs) - len(fitted), fits)


def _limits(delay: ArrayLike, left: ArrayLike, apart: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return between which steps delays lie that are seen as long as something of the budget is.

    Args:
        delay: Of two evaluations, so that it is off by less than their distance; in steps.
        left: Steps of the budget after the training set was fitted.
        apart: Distance of two evaluations.
    """
    delay, left, apart = (np.asarray(x, float) for x in (delay, left, apart))
    never = delay > left
    low = np.where(never, left, np.maximum(delay - apart, 0))
    return low, np.where(never, np.inf, np.maximum(delay + apart, apart))


def _design(runs: pd.DataFrame) -> np.ndarray:
    """Return log lambda, log lr and 1 of runs, shape (runs, 3)."""
    return np.stack([np.log(runs["lambda"]), np.log(runs["lr"]), np.ones(len(runs))], axis=1)


def _logs(low: ArrayLike, high: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the logs of limits, shapes (S, runs) with S = 1 for those of runs."""
    with np.errstate(divide="ignore"):
        return np.atleast_2d(np.log(low)), np.atleast_2d(np.log(high))


def _by_seed(runs: pd.DataFrame) -> dict[float, Fit]:
    split = {seed: runs[runs["seed"] == seed] for seed in sorted(set(runs["seed"]))}
    return {seed: fit(_design(x), *_logs(x["low"], x["high"])) for seed, x in split.items()}


def _over(fits: dict[float, Fit], n: int) -> dict[str, Estimate]:
    """Return the mean exponents over seeds with Student's interval."""
    values = np.array([one.coefficients[0] for one in fits.values()]).reshape(-1, 3)
    return {name: over_seeds(values[:, i], n) for i, name in enumerate(EXPONENTS)}


def pooled(runs: pd.DataFrame) -> dict[str, Estimate]:
    """Fit one pair of exponents to all seeds, each with a constant of its own.

    The 95 % interval is the likelihood's: it takes every run for an independent one.
    """
    design = np.concatenate([_design(runs)[:, :2], pd.get_dummies(runs["seed"], dtype=float)], 1)
    found = fit(design, *_logs(runs["low"], runs["high"]))
    values, errors = found.coefficients[0], 1.96 * found.errors[0]
    return {
        name: Estimate(value, value - error, value + error, len(runs))
        if np.isfinite(value)
        else unidentified("the runs do not determine it", len(runs))
        for name, value, error in zip(EXPONENTS, values, errors, strict=False)
    }


def rulings(one: Delays) -> list[Ruling]:
    """Judge what the law says of a panel, if it says anything of its optimizer."""
    claims = [claim for claim in CLAIMS if claim.of == one.panel.optim]
    if not claims or not np.isfinite([*one.line, one.scatter]).all():
        return [Ruling(claim, one.exponents[claim.statistic], one.panel.name) for claim in claims]
    counts = [len(one.fits), *(n for n in MORE_SEEDS if n > len(one.fits))]
    drawn = simulated(one, max(counts))
    found = []
    for claim in claims:
        own = drawn[:, :, list(EXPONENTS).index(claim.statistic)]
        power = {n: _decided(own[:, :n], claim) for n in counts}
        estimate = one.exponents[claim.statistic]
        found.append(
            Ruling(claim, estimate, one.panel.name, power=power[counts[0]], by_seeds=power)
        )
    return found


def _decided(values: np.ndarray, claim: Claim) -> float:
    """Return the share of simulations whose seeds, shape (S, seeds), say that a claim holds."""
    said = [judge(over_seeds(own), claim.low, claim.high) for own in values]
    return said.count(HOLDS) / len(said)


def simulated(one: Delays, seeds: int) -> np.ndarray:
    """Return the exponents that seeds give if the law holds exactly, shape (S, seeds, 2).

    Runs, budgets and the distance of evaluations are those of a panel, whose seeds take turns, and
    so is the scatter. That the exponents themselves may differ from seed to seed is not in it.
    """
    own = [runs for _, runs in one.used.groupby("seed")]
    noise = one.scatter * generator(sorted(one.panel.key.items())).standard_normal(
        (SIMULATED, seeds, max(map(len, own)))
    )
    found = np.empty((SIMULATED, seeds, len(LAW)))
    for i in range(seeds):
        runs = own[i % len(own)]
        design, left, apart = _design(runs), runs["left"].to_numpy(), runs["apart"].to_numpy()
        law = design[:, :2] @ LAW
        constant = fit(design[:, 2:], *(x - law for x in _logs(runs["low"], runs["high"])))
        delay = np.exp(law + constant.coefficients[0, 0] + noise[:, i, : len(runs)])
        limits = _limits(np.round(delay / apart) * apart, left, apart)
        found[:, i] = fit(design, *_logs(*limits)).coefficients[:, :2]
    return found


def contrasts(found: Sequence[Delays]) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Yield by how much the exponents of decoupled decay exceed those of its L2 twin.

    Both have the same seeds, which share weights and batches: the difference is taken seed by seed.
    """
    known = {one.panel.name: one for one in found}
    for where, panels in by_protocol([one.measured for one in found]):
        for pair in twins(panels):
            own, twin = (known[one.panel.name] for one in pair[::-1])
            both = [seed for seed in own.fits if seed in twin.fits]
            apart = [own.fits[s].coefficients[0] - twin.fits[s].coefficients[0] for s in both]
            n = len(own.used) + len(twin.used)
            values = np.array(apart).reshape(-1, 3)
            name = ", ".join(filter(None, [*labels(*pair), where]))
            yield name, {x: over_seeds(values[:, i], n) for i, x in enumerate(EXPONENTS)}
