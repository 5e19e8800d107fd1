import pytest

from experiments.report.statistics import judge
from experiments.report.statistics.estimate import Estimate, unidentified


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
