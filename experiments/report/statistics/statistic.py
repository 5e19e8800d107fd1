"""The statistics of a panel, each with its formula, its range and the words that name it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.report.data.surface import Surface
from experiments.report.statistics import decoupling, tuning
from experiments.report.statistics.estimate import ANY, Estimate
from experiments.report.statistics.settings import Settings

DECOUPLING, TUNING = "decoupling", "tuning"


@dataclass(frozen=True)
class Statistic:
    """One number of a panel.

    Attributes:
        name: As tables have it.
        head: As a reader sees it.
        meaning: What it says, in one line.
        table: The table of a report in which it stands, ``DECOUPLING`` or ``TUNING``.
        formula: From a surface and the settings of the report to the estimate.
        limits: Its range, at which intervals are cut.
        of_surface: Whether it is one of the surface, computed on draws from the Gaussian process,
            and not of its cells.
        in_units: Whether it is in the unit of the metric, which has decimals of its own.
    """

    name: str
    head: str
    meaning: str
    table: str
    formula: Callable[[Surface, Settings], Estimate]
    limits: tuple[float, float] = ANY
    of_surface: bool = False
    in_units: bool = False


def _threshold_slope(surface: Surface, settings: Settings) -> Estimate:
    assert settings.level is not None  # else the report has no such statistic
    return decoupling.threshold_slope(surface, level=settings.level)


ALL = (
    Statistic(
        "ridge_slope",
        "ridge slope",
        "how the best decay moves as the learning rate doubles, in doublings: 0 is decoupled, -1 "
        "fully coupled",
        DECOUPLING,
        lambda surface, own: decoupling.ridge_slope(surface, tolerance=own.tolerance),
        of_surface=True,
    ),
    Statistic(
        "threshold_slope",
        "threshold slope",
        "likewise of the smallest decay at which the task is learned",
        DECOUPLING,
        _threshold_slope,
        of_surface=True,
    ),
    Statistic(
        "top10_correlation",
        "top-10 correlation",
        "how log lr and log wd go together among the ten best cells: 0 if they can be chosen apart",
        DECOUPLING,
        lambda surface, own: decoupling.top_correlation(surface),
        limits=(-1.0, 1.0),
    ),
    Statistic(
        "freezing_cost",
        "cost of freezing",
        "how much higher the metric is on average if the best cell's decay is kept while the "
        "learning rate moves",
        DECOUPLING,
        lambda surface, own: decoupling.freezing_cost(surface, tolerance=own.tolerance),
        limits=(0.0, np.inf),
        of_surface=True,
        in_units=True,
    ),
    Statistic(
        "near_share",
        "share near the best",
        "the share of all cells that are nearly as good as the best",
        TUNING,
        lambda surface, own: tuning.near_share(surface, near=own.near),
        limits=(0.0, 1.0),
    ),
    Statistic(
        "one_pass_regret",
        "one-pass regret",
        "what is lost by tuning the learning rate once, then the decay once",
        TUNING,
        lambda surface, own: tuning.one_pass_regret(surface),
        limits=(0.0, np.inf),
        in_units=True,
    ),
    Statistic(
        "best_of_10",
        "best of 10 draws",
        "the lowest error to expect of ten cells drawn at random",
        TUNING,
        lambda surface, own: tuning.best_of(surface),
        limits=(0.0, np.inf),
        in_units=True,
    ),
    Statistic(
        "interaction_share",
        "interaction share",
        "how much of the differences near the best no sum of an effect of lr and one of wd "
        "explains: 0 if they can be tuned apart",
        TUNING,
        lambda surface, own: tuning.interaction_share(surface, tolerance=own.tolerance),
        limits=(0.0, 1.0),
    ),
)
#: All statistics by name, in the order of the tables.
STATISTICS = {one.name: one for one in ALL}


def statistics(settings: Settings) -> list[Statistic]:
    """Return the statistics that a report with these settings has."""
    return [one for one in ALL if one.name != "threshold_slope" or settings.level is not None]


def in_table(table: str) -> list[str]:
    """Return the names of the statistics of a table, in its order."""
    return [one.name for one in ALL if one.table == table]
