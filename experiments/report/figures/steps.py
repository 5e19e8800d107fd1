"""Heatmaps of how many steps it takes until a network generalizes (``statistics.grokking``)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from experiments.record.schema import FINISHED
from experiments.report.data.panels import grouped
from experiments.report.data.text import short
from experiments.report.figures import heatmap
from experiments.report.figures.kinds import Page, Part, Picture, Section, kind
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.grokking import LEARNED, STEPS, StepsPanel, in_steps, rivals
from experiments.report.statistics.judge import by_sign

EXPLAINED = """\
A run generalizes at the first evaluation with at most {level:g} % test error; it has learned its
training set at the first with at most {level:g} % training error. The threshold is the smallest wd
at which runs generalize within the budget of {budget} steps, in the geometric mean over seeds; a
run that never does counts as twice the budget. Its slope is d log2 wd / d log2 lr, 0 if decoupled,
-1 if fully coupled. Brackets are 95 % intervals over surfaces drawn from a Gaussian process that is
fitted to all cells."""


@kind("steps")
def part(page: Page) -> Part | None:
    """Draw the steps and compare their thresholds, if there are curves, and a level to reach."""
    level = page.settings.level
    if level is None or not page.has_points:
        return None
    found = [in_steps(one, page.points, level) for one in page.panels]
    text = f"{page.optimizers}. {caption(found)}"
    return Part({"steps": Picture(heatmaps(found, page.note), text)}, section(found))


def heatmaps(found: Sequence[StepsPanel], note: str = "") -> Figure:
    """Draw steps until a network generalizes, a row a task, on one logarithmic scale."""
    budget = max(one.budget for one in found)
    low = min(
        (one.generalizing[STEPS].min() for one in found if len(one.generalizing)),
        default=budget / 2,
    )
    shown = heatmap.Quantity(
        STEPS,
        LogNorm(low, budget),
        "steps until it generalizes",
        f"a seed never does in {budget:g} steps",
        caption(found),
    )
    rows = grouped([one.shown for one in found], lambda one: one.panel.setting("task"))
    return heatmap.heatmaps(list(rows.values()), note, shown)


def caption(found: Sequence[StepsPanel]) -> str:
    """Say what a cell of the heatmap is."""
    seeds = max(one.panel.cells["n"].max() for one in found)
    mean = "one seed" if seeds == 1 else f"geometric mean over {seeds:g} seeds"
    return f"Steps until the test accuracy is {100 - found[0].level:g} %; {mean}."


def section(found: Sequence[StepsPanel]) -> Section:
    """Return how soon each panel generalizes, and compare the thresholds of rivals."""
    head = ["", "cells that generalize", "fewest steps", "at lr", "wd"]
    head += ["training set learned after", "threshold slope"]
    rows, data, verdicts = [head], [], []
    for one in found:
        name, slope = one.panel.name, one.measured.slope
        counts = f"{len(one.generalizing)} of {(one.panel.cells['n'] > 0).sum()}"
        rows.append([name, counts, *_fastest(one), slope.text()])
        data.append({"panel": name, "statistic": "threshold_slope"} | slope.row())
    for name, difference in rivals(found):
        verdicts.append(f"{name}: {_verdict(difference)}")
        data.append({"panel": name, "statistic": "slope_difference"} | difference.row())
    text = EXPLAINED.format(level=found[0].level, budget=f"{found[0].budget:g}")
    table = pd.DataFrame(data)
    return Section(
        "Steps until it generalizes", [rows], text, verdicts=verdicts, data={"grokking": table}
    )


def _fastest(one: StepsPanel) -> list[str]:
    """Return a panel's fewest steps, where, and after how many the training set is learned."""
    if not len(one.generalizing):
        return ["-"] * 4
    best = one.generalizing.sort_values(STEPS, kind="stable").iloc[0]
    own = one.panel.runs
    own = own[(own["status"] == FINISHED) & (own["lr"] == best["lr"]) & (own["wd"] == best["wd"])]
    learned = 2.0 ** np.log2(own[LEARNED]).mean()
    return [f"{best[STEPS]:.0f}", short(best["lr"]), short(best["wd"]), f"{learned:.0f}"]


def _verdict(difference: Estimate) -> str:
    """Say whose threshold moves less with the learning rate, if the interval says so."""
    if difference.reason:
        return f"the slopes of their thresholds do not compare ({difference.reason})"
    moves = by_sign(
        difference,
        "the threshold moves more under decoupled decay",
        "the threshold moves less under decoupled decay",
        "whose threshold moves less is not resolved",
    )
    return f"{moves}: the size of the slope, L2 minus decoupled, is {difference.text()}"
