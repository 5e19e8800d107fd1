"""Grokking: how many steps until a network generalizes, over lr x wd (Power et al., 2022).

A run is there at the first evaluation at which its error is at most the report's ``level`` (5 %:
95 % accuracy), on the test set for generalizing, on the training set for knowing it by heart. One
that is not there when its budget ends counts as twice the budget, so that a cell's mean of log2
steps is within the budget if and only if its seeds are, in the geometric mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data import curves
from experiments.report.data.panels import Panel, average
from experiments.report.data.text import short
from experiments.report.figures import picture
from experiments.report.figures.section import Section, row
from experiments.report.pages import summary
from experiments.report.statistics import decoupling, findings
from experiments.report.statistics.bootstrap import Noise, seed_noise
from experiments.report.statistics.estimate import Estimate, draws, estimate, together
from experiments.report.statistics.measure import Measured, Settings, measure_one

LOG_STEPS, STEPS = "log2_steps", "steps_to"
TINY = 1e-6
EXPLAINED = """\
A run is there at the first evaluation with at most {level:g} % test error; it knows the training
set by heart at the first with at most {level:g} % training error. The threshold is the smallest wd
whose runs are there within the budget of {budget} steps, the geometric mean over seeds, a run that
never gets there counted as twice the budget; its slope is d log2 wd / d log2 lr, 0 if decoupled,
-1 if fully coupled. Brackets are 95 % bootstrap intervals over seeds ({samples} samples); the
spacing of the grid is not in them."""


@dataclass(frozen=True)
class Timed:
    """A panel in steps until it generalizes.

    Attributes:
        measured: Its threshold slope. Of its cells, ``steps_to`` has the geometric mean of steps;
            one of which a seed never gets there is a bound.
        runs: Its runs with ``steps_to`` and ``by_heart``, infinite where never.
        draws: The slope and its bootstrap samples, shape (1 + S,).
        level: Percent of error at which a run is there.
    """

    measured: Measured
    runs: pd.DataFrame
    draws: np.ndarray
    level: float

    @property
    def panel(self) -> Panel:
        return self.measured.panel

    @property
    def slope(self) -> pd.Series:
        return self.measured.row("threshold_slope")

    @property
    def budget(self) -> float:
        """Steps of its runs."""
        return float(self.runs["steps"].max())

    @property
    def there(self) -> pd.DataFrame:
        """Its cells of which every seed generalizes."""
        cells = self.panel.cells
        return cells[(cells["status"] == FINISHED) & (cells["bound"] == "")]


def timed(one: Measured, points: pd.DataFrame) -> Timed:
    """Measure when the runs of a panel generalize.

    Args:
        one: A panel; its settings name the ``level``.
        points: Typed learning curves; a finished run without any is left out.
    """
    level = one.settings.level
    runs = one.panel.runs
    runs = runs[(runs["status"] != FINISHED) | runs["id"].isin(points["id"])]
    for name, metric in ((STEPS, "test_error"), ("by_heart", "train_error")):
        reached = curves.steps_to(points, level, metric).set_index("id")["steps"]
        runs = runs.assign(**{name: runs["id"].map(reached).astype("float64").fillna(np.inf)})
    late = np.log2(runs[STEPS].clip(upper=2 * runs["steps"]))
    runs = runs.assign(**{LOG_STEPS: late.where(runs["status"] == FINISHED)})
    within = np.log2(float(runs["steps"].max())) + TINY
    settings = replace(one.settings, metric=LOG_STEPS, level=within)
    panel = replace(one.panel, runs=runs, cells=average(runs, LOG_STEPS))
    noise = seed_noise(panel, LOG_STEPS)
    found = measure_one(panel, noise, settings, only=["threshold_slope"])
    shown = replace(found, panel=replace(panel, cells=_marked(panel)))
    return Timed(shown, runs, _slopes(panel, settings, noise), level)


def _marked(panel: Panel) -> pd.DataFrame:
    """Return the cells with their steps; those of which a run never got there as bounds."""
    ended = panel.runs[panel.runs["status"] == FINISHED]
    never = ended.groupby(["lr", "wd"])[STEPS].max() == np.inf
    cells = panel.cells.set_index(["lr", "wd"])
    late = (cells["status"] == FINISHED) & never.reindex(cells.index, fill_value=False)
    cells["bound"] = np.where(late, "high", cells["bound"])
    return cells.assign(**{STEPS: 2.0 ** cells[LOG_STEPS]}).reset_index()


def _slopes(panel: Panel, settings: Settings, noise: Noise | None) -> np.ndarray:
    def slope(table):
        return decoupling.threshold_slope(table, settings.level).values

    return draws(panel, slope, settings, noise)


def heatmaps(found: Sequence[Timed], note: str = "") -> Figure:
    """Draw steps until a network generalizes, a row a task, on one logarithmic scale."""
    budget = max(one.budget for one in found)
    low = min((one.there[STEPS].min() for one in found if len(one.there)), default=budget / 2)
    shown = picture.Shown(
        STEPS,
        LogNorm(low, budget),
        "steps until it generalizes",
        f"a seed never does in {budget:g} steps",
        caption(found),
    )
    rows: dict[str, list[Measured]] = {}
    for one in found:
        rows.setdefault(str(one.runs["task"].iloc[0]), []).append(one.measured)
    return picture.heatmaps(list(rows.values()), note, shown)


def caption(found: Sequence[Timed]) -> str:
    """Say what a cell of the heatmap is."""
    seeds = max(one.panel.cells["n"].max() for one in found)
    accuracy = f"{100 - found[0].level:g} %"
    mean = "one seed" if seeds == 1 else f"geometric mean over {seeds:g} seeds"
    return f"Steps until the test accuracy is {accuracy}; {mean}."


def section(found: Sequence[Timed]) -> Section:
    """Return how soon each panel generalizes, and compare the thresholds of rivals."""
    head = ["", "cells there", "fewest steps", "at lr", "wd", "by heart after", "threshold slope"]
    rows, data = [head], []
    for one in found:
        counts = f"{len(one.there)} of {(one.panel.cells['n'] > 0).sum()}"
        rows.append([one.panel.name, counts, *_fastest(one), summary.estimate(one.slope)])
        key = {"panel": one.panel.name, "statistic": "threshold_slope"}
        names = ("value", "low", "high", "reason", "note")
        data.append(key | {"n": len(one.runs)} | {name: one.slope[name] for name in names})
    verdicts = []
    for name, difference in rivals(found):
        verdicts.append(f"{name}: {_verdict(difference)}")
        data.append(row({"panel": name, "statistic": "slope_difference"}, difference))
    first = found[0]
    known = {"level": first.level, "budget": f"{first.budget:g}"}
    text = EXPLAINED.format(**known, samples=first.measured.settings.samples)
    table = pd.DataFrame(data)
    return Section("Steps until it generalizes", rows, text, verdicts, "grokking", table)


def _fastest(one: Timed) -> list[str]:
    """Return the fewest steps of a panel's cells, where, and after how many all is by heart."""
    if not len(one.there):
        return ["-"] * 4
    best = one.there.loc[one.there[STEPS].idxmin()]
    own = one.runs[one.runs["status"] == FINISHED]
    own = own[(own["lr"] == best["lr"]) & (own["wd"] == best["wd"])]
    by_heart = 2.0 ** np.log2(own["by_heart"]).mean()
    return [f"{best[STEPS]:.0f}", short(best["lr"]), short(best["wd"]), f"{by_heart:.0f}"]


def rivals(found: Sequence[Timed]) -> Iterator[tuple[str, Estimate]]:
    """Yield by how much less the threshold of decoupled decay moves than that of its L2 twin."""
    by_name = {one.panel.name: one for one in found}
    for where, panels in findings.groups([one.measured for one in found]):
        for name, *pair in findings.pairs(panels):
            own, twin = (by_name[one.panel.name] for one in pair)
            n = len(own.runs) + len(twin.runs)
            reasons = [f"{one.panel.name}: {one.slope['reason']}" for one in (own, twin)
                       if one.slope["reason"]]  # fmt: skip
            both = together([np.abs(own.draws), np.abs(twin.draws)])
            difference = estimate(both[0] - both[1], n, "; ".join(reasons))
            yield ", ".join(filter(None, [name, where])), difference


def _verdict(difference: Estimate) -> str:
    """Say whose threshold moves less with the learning rate, if the interval says so."""
    if difference.reason:
        return f"the slopes of their thresholds do not compare ({difference.reason})"
    sizes = f"the size of the slope, L2 minus decoupled, is {difference.text()}"
    if difference.low > 0:
        return f"the threshold moves less under decoupled decay: {sizes}"
    if difference.high < 0:
        return f"the threshold moves more under decoupled decay: {sizes}"
    return f"whose threshold moves less is not resolved: {sizes}"
