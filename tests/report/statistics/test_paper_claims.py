import pytest

from experiments.report.statistics.judge import FAILS, HOLDS, NOT_RESOLVED, NOT_RUN, judge
from experiments.report.statistics.paper_claims import rulings
from tests.report import results_data


@pytest.fixture
def results(tmp_path):
    return results_data.make(tmp_path)


def ruling(results, text):
    (one,) = [one for one in rulings(results) if text in one.claim.text]
    return one


def test_claims_are_judged_from_the_tables(results):
    assert ruling(results, "SGD + L2").verdict == HOLDS
    assert ruling(results, "SGDW").verdict == FAILS
    assert ruling(results, "under Adam + L2").verdict == NOT_RESOLVED
    assert ruling(results, "SGD + L2").found.n == 2
    fixed = ruling(results, "fixed rate")
    assert (fixed.verdict, fixed.found.n) == (HOLDS, 144)
    assert ruling(results, "restarts").verdict == NOT_RUN


def test_a_statistic_that_the_table_lacks_is_not_resolved_and_the_reason_told(results):
    missing = ruling(results, "under AdamW")
    assert missing.verdict == NOT_RESOLVED
    assert missing.found.reason == "0 rows of decoupling.csv are about it"


def test_the_papers_own_numbers_hold_what_they_are_said_to():
    """A rule that the paper's own cells fail is a bad rule; they may leave it open."""
    for one in rulings(results_data.RESULTS):
        assert bool(one.claim.printed) != bool(one.theirs), one.claim.text
        if one.theirs:
            found = judge(one.theirs, one.claim.low, one.claim.high)
            assert found != FAILS, one.claim.text
            assert found == HOLDS or one.claim.where, one.claim.text
