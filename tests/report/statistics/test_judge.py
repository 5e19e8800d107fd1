import math

import numpy as np
import pytest

from experiments.report.statistics import judge
from experiments.report.statistics.estimate import Estimate, over_seeds, unidentified


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.2, 0.2, judge.HOLDS),
        (-0.25, 0.2, judge.NOT_RESOLVED),
        (0.1, 0.3, judge.NOT_RESOLVED),
        (-0.3, 0.3, judge.NOT_RESOLVED),
        (0.25, 0.3, judge.FAILS),
        (-0.9, -0.3, judge.FAILS),
        (float("nan"), float("nan"), judge.NOT_RESOLVED),
    ],
)
def test_the_whole_interval_decides(low, high, expected):
    assert judge.judge(Estimate(0.0, low, high, 5), -0.25, 0.25) == expected


def test_a_one_sided_claim_is_strict_and_what_is_not_identified_is_not_resolved():
    inf = float("inf")
    assert judge.judge(Estimate(0.9, 0.8, 0.99), -inf, 1) == judge.HOLDS
    assert judge.judge(Estimate(1.0, 1.0, 1.0), -inf, 1) == judge.FAILS
    assert judge.judge(unidentified("why"), -inf, 1) == judge.NOT_RESOLVED


@pytest.mark.parametrize("n", [2, 3, 10, 11, 40])
def test_at_the_end_of_the_range_a_verdict_is_as_rare_as_the_interval_says(n):
    # the end belongs to the outside, where one half of the missing 5 % lies
    assert judge.power(2.0, n, 7, math.inf, 7) == pytest.approx(0.025, abs=2e-4)


@pytest.mark.parametrize(
    ("low", "high", "truth", "right"),
    [(-1, 1, 0, judge.HOLDS), (-1, 1, 1.6, judge.FAILS), (-math.inf, 1, 0.2, judge.HOLDS)],
)
def test_the_power_is_how_often_seeds_lead_to_the_right_verdict(low, high, truth, right):
    seeds = np.random.default_rng(1).normal(truth, 0.35, (3000, 3))
    said = [judge.judge(over_seeds(own), low, high) for own in seeds]
    expected = said.count(right) / len(said)
    assert 0.1 < expected < 0.9
    assert judge.power(0.35, 3, low, high, truth) == pytest.approx(expected, abs=0.03)


def test_without_spread_the_power_is_one_and_one_seed_has_none():
    assert judge.power(0.0, 3, -1, 1, 0.5) == judge.power(0.0, 3, -1, 1, 2.0) == 1
    assert math.isnan(judge.power(math.nan, 1, -1, 1, 0.5))
    assert math.isnan(judge.power(0.1, 1, -1, 1, 0.5))


def test_what_is_not_resolved_with_little_power_the_design_cannot_decide():
    def verdict(low, high, power, **claimed):
        claim = judge.Claim("it stays", "slope", "adamw", "slope", -0.25, 0.25, **claimed)
        return judge.Ruling(claim, Estimate(0.0, low, high, 3), power=power).verdict

    assert verdict(-0.3, 0.3, 0.79) == judge.UNDECIDABLE
    assert verdict(-0.3, 0.3, 0.81) == verdict(-0.3, 0.3, math.nan) == judge.NOT_RESOLVED
    assert verdict(-0.1, 0.1, 0.1) == judge.HOLDS
    assert verdict(-0.1, 0.1, 1.0, by_definition=True) == judge.BY_DEFINITION
    # what is said to be true by definition and is not shows a mistake of ours
    assert verdict(0.3, 0.4, 1.0, by_definition=True) == judge.FAILS


def test_an_effect_is_said_by_the_sign_of_its_interval():
    def said(low, high):
        change = Estimate((low + high) / 2, low, high)
        return judge.effect("decay", "test loss", change, ".1f", "nats")

    assert said(-2.0, -1.0) == "decay lowers the test loss: -1.5 [-2.0, -1.0] nats"
    assert said(1.0, 2.0).startswith("decay raises the test loss: 1.5")
    assert said(-1.0, 2.0).startswith("decay does not resolvably change the test loss: 0.5")
    alone = judge.effect("decay", "test loss", Estimate(-1.0), ".1f", "nats")
    assert alone == "decay does not resolvably change the test loss: -1.0 nats"
    lost = judge.effect("decay", "test loss", unidentified("no runs"), ".1f", "nats")
    assert lost == "decay: nothing is known of the test loss (no runs)"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(-judge.INF, 1.0, "below 1"), (0.5, judge.INF, "above 0.5"), (-0.25, 0.25, "-0.25 to 0.25")],
)
def test_a_range_is_said_in_words(low, high, text):
    assert judge.Claim("it stays", "slope", "adamw", "ridge_slope", low, high).range == text


def test_power_supposes_the_papers_number_where_one_was_read_off_a_figure():
    found = Estimate(-2.5, -5.0, 0.5, 36)
    read = judge.ruled(
        judge.Claim("better", "points", "both", "best_difference", high=0.0, read=-0.4), found
    )
    assert read.power == judge.power_of(found, -np.inf, 0.0, -0.4) < 0.1
    assert read.against == judge.power_of(found, -np.inf, 0.0, 0.4)
    without = judge.ruled(
        judge.Claim("better", "points", "both", "best_difference", high=0.0), found
    )
    assert without.power == judge.power_of(found, -np.inf, 0.0, -2.5)
