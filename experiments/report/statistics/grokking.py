"""Grokking: how many steps until a network generalizes, over lr x wd (Power et al., 2022).

A run generalizes at the first evaluation at which its test error is at most the report's ``level``
(5 %: 95 % accuracy); it has learned its training set when the training error is. One that never
generalizes counts as twice its budget, so that a cell's mean of log2 steps is within the budget if
and only if its seeds are, in the geometric mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from experiments.record.schema import FINISHED
from experiments.report.data import curves
from experiments.report.data.panels import Panel, average
from experiments.report.statistics.decoupling import threshold_slope
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.measure import Measured, contrast, measure_one
from experiments.report.statistics.noise import seed_noise
from experiments.report.statistics.rivals import by_protocol, labels, twins

LOG_STEPS, STEPS, LEARNED = "log2_steps", "steps_to", "learned"
TINY = 1e-6


@dataclass(frozen=True)
class StepsPanel:
    """A panel in steps until it generalizes.

    Attributes:
        measured: Its threshold slope, from the mean log2 of steps in each cell.
        level: Percent of error at which a run generalizes.
    """

    measured: Measured
    level: float

    @property
    def panel(self) -> Panel:
        """Its runs have ``steps_to`` and ``learned``, infinite where never."""
        return self.measured.panel

    @property
    def budget(self) -> float:
        """Steps of its runs."""
        return float(self.panel.runs["steps"].max())

    @property
    def cells(self) -> pd.DataFrame:
        """Its cells with ``steps_to``, the geometric mean; a bound where a seed never does."""
        runs = self.panel.runs
        ended = runs[runs["status"] == FINISHED]
        never = ended.groupby(["lr", "wd"])[STEPS].max() == np.inf
        cells = self.panel.cells.set_index(["lr", "wd"])
        late = (cells["status"] == FINISHED) & never.reindex(cells.index, fill_value=False)
        cells["bound"] = np.where(late, "high", cells["bound"])
        return cells.assign(**{STEPS: 2.0 ** cells[LOG_STEPS]}).reset_index()

    @property
    def generalizing(self) -> pd.DataFrame:
        """Its cells of which every seed generalizes."""
        cells = self.cells
        return cells[(cells["status"] == FINISHED) & (cells["bound"] == "")]

    @property
    def shown(self) -> Measured:
        """What a heatmap of the steps shows."""
        return replace(self.measured, panel=replace(self.panel, cells=self.cells))


def reached(runs: pd.DataFrame, points: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return runs with when they generalize and have learned their training set.

    Args:
        runs: Of a panel.
        points: Typed learning curves; a finished run without any is left out.
        level: Percent of error at which a run generalizes.

    Returns:
        The runs with ``steps_to`` and ``learned``, infinite where never.
    """
    runs = runs[(runs["status"] != FINISHED) | runs["id"].isin(points["id"])]
    for name, metric in ((STEPS, "test_error"), (LEARNED, "train_error")):
        steps = curves.steps_to(points, level, metric).set_index("id")["steps"]
        runs = runs.assign(**{name: runs["id"].map(steps).astype("float64").fillna(np.inf)})
    return runs


def in_steps(one: Measured, points: pd.DataFrame, level: float) -> StepsPanel:
    """Measure when the runs of a panel generalize.

    Args:
        one: A panel.
        points: Typed learning curves; a finished run without any is left out.
        level: Percent of error at which a run generalizes.
    """
    runs = reached(one.panel.runs, points, level)
    late = np.log2(runs[STEPS].clip(upper=2 * runs["steps"]))
    runs = runs.assign(**{LOG_STEPS: late.where(runs["status"] == FINISHED)})
    within = np.log2(float(runs["steps"].max())) + TINY
    settings = replace(one.settings, metric=LOG_STEPS, level=within)
    panel = replace(one.panel, runs=runs, cells=average(runs, LOG_STEPS))
    noise = seed_noise(panel, LOG_STEPS)
    return StepsPanel(measure_one(panel, noise, settings, only=["threshold_slope"]), level)


def rivals(found: Sequence[StepsPanel]) -> Iterator[tuple[str, Estimate]]:
    """Yield by how much less the threshold of decoupled decay moves than that of its L2 twin."""
    for where, panels in by_protocol([one.measured for one in found]):
        for pair in twins(panels):
            level = pair[0].settings.level
            assert level is not None  # see in_steps
            slope = partial(threshold_slope, level=level)
            difference = contrast(pair, slope, lambda own, twin: np.abs(own) - np.abs(twin))
            yield ", ".join(filter(None, [*labels(*pair), where])), difference
