import shutil
from pathlib import Path

import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.record import files, tables
from experiments.report.pages import verdict
from experiments.report.statistics.estimate import Estimate, unidentified
from tests.report.report_data import run

RESULTS = Path(__file__).parents[3] / "results"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.2, 0.2, verdict.REPRODUCED),
        (-0.25, 0.2, verdict.NOT_RESOLVED),
        (0.1, 0.3, verdict.NOT_RESOLVED),
        (-0.3, 0.3, verdict.NOT_RESOLVED),
        (0.25, 0.3, verdict.NOT_REPRODUCED),
        (-0.9, -0.3, verdict.NOT_REPRODUCED),
        (float("nan"), float("nan"), verdict.NOT_RESOLVED),
    ],
)
def test_the_whole_interval_decides(low, high, expected):
    assert verdict.judge(Estimate(0.0, low, high, 5), -0.25, 0.25) == expected


def test_a_one_sided_claim_is_strict_and_what_is_not_identified_is_not_resolved():
    inf = float("inf")
    assert verdict.judge(Estimate(0.9, 0.8, 0.99), -inf, 1) == verdict.REPRODUCED
    assert verdict.judge(Estimate(1.0, 1.0, 1.0), -inf, 1) == verdict.NOT_REPRODUCED
    assert verdict.judge(unidentified("why"), -inf, 1) == verdict.NOT_RESOLVED


@pytest.fixture
def results(tmp_path):
    """The paper's tables, and small ones of two of our experiments."""
    shutil.copytree(RESULTS / "paper", tmp_path / "results" / "paper")
    slopes = {"sgd": (-0.8, -0.9, -0.7), "sgdw": (0.5, 0.4, 0.6), "adam": (-0.3, -0.5, 0.1)}
    rows = [
        {"optim": optim, "statistic": "ridge_slope", "value": v, "low": low, "high": high,
         "reason": "", "note": "5 of 8 rows"}
        for optim, (v, low, high) in slopes.items()
    ]  # fmt: skip
    folder = tmp_path / "results" / "figure2_cpu"
    files.write(folder / "decoupling.csv", pd.DataFrame(rows).to_csv(index=False))
    runs = [run(optim=optim, seed=seed) for optim in slopes for seed in (0, 1)]
    files.write(folder / "runs.csv", tables.render(tables.merge([], runs)))
    finding = {"kind": "gain", "of": verdict.ADAMS, "where": "constant", "value": 1.0,
               "low": -2.0, "high": 3.0, "n": 144, "reason": "", "note": ""}  # fmt: skip
    found = pd.DataFrame([finding, finding | {"where": "cosine", "low": 9.0, "high": 11.0}])
    files.write(tmp_path / "results" / "figure1_cpu" / "findings.csv", found.to_csv(index=False))
    return tmp_path / "results"


def ruling(results, text):
    (one,) = [one for one in verdict.rule(results) if text in one.claim.text]
    return one


def test_claims_are_judged_from_the_tables(results):
    assert ruling(results, "SGD + L2").verdict == verdict.REPRODUCED
    assert ruling(results, "SGDW").verdict == verdict.NOT_REPRODUCED
    assert ruling(results, "under Adam + L2").verdict == verdict.NOT_RESOLVED
    assert ruling(results, "SGD + L2").ours.n == 2
    fixed = ruling(results, "fixed rate")
    assert (fixed.verdict, fixed.ours.n) == (verdict.REPRODUCED, 144)
    assert ruling(results, "restarts").verdict == verdict.NOT_RUN


def test_a_statistic_that_the_table_lacks_is_not_resolved_and_the_reason_told(results):
    missing = ruling(results, "under AdamW")
    assert missing.verdict == verdict.NOT_RESOLVED
    assert missing.ours.reason == "0 rows of decoupling.csv are about it"


def test_the_papers_own_numbers_hold_what_they_are_said_to():
    for one in verdict.rule(RESULTS):
        assert bool(one.claim.printed) != bool(one.paper), one.claim.text
        if one.paper and one.claim.where != "constant" and one.claim.where != "raw wd":
            assert verdict.judge(one.paper, one.claim.low, one.claim.high) == verdict.REPRODUCED


def test_the_page_has_every_claim_and_says_what_is_not_run(results):
    text = verdict.report(results)
    page = (results / "README.md").read_text()
    for claim in verdict.CLAIMS:
        assert f"| {claim.text} |" in page
    assert "not run yet: `python train.py -m experiment=figure4_cpu`" in page
    assert "-0.80 [-0.90, -0.70] | 2 | reproduced | below -0.25 |" in page
    assert str(results / "README.md") in text
    before = page
    verdict.report(results)
    assert (results / "README.md").read_text() == before


def test_the_table_lands_between_the_markers_of_the_readme_and_nowhere_else(results):
    readme = results.parent / "README.md"
    readme.write_text("no markers\n")
    verdict.report(results)
    assert readme.read_text() == "no markers\n"
    readme.write_text(f"above\n{verdict.BEGIN}\nold\n{verdict.END}\nbelow\n")
    for _ in "ab":
        verdict.report(results)
        lines = readme.read_text().splitlines()
        assert lines[:2] == ["above", verdict.BEGIN]
        assert lines[-2:] == [verdict.END, "below"]
        assert "old" not in lines
        assert len(lines) == 4 + 2 + len(verdict.CLAIMS)


@pytest.mark.parametrize(
    "text",
    [verdict.BEGIN, verdict.END, verdict.END + verdict.BEGIN, 2 * verdict.BEGIN + verdict.END],
)
def test_markers_that_do_not_pair_are_refused_and_nothing_is_written(results, text):
    (results.parent / "README.md").write_text(text)
    with pytest.raises(UserError, match=r"README\.md needs one <!-- verdict"):
        verdict.report(results)
    assert not (results / "README.md").exists()
