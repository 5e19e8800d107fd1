import pytest

from experiments.report.pages import verdict
from experiments.report.statistics.paper_claims import CLAIMS, rulings, sweep
from tests.report import results_data


@pytest.fixture
def results(tmp_path):
    return results_data.make(tmp_path)


def test_the_page_has_every_claim_and_says_what_is_not_run(results):
    text = verdict.write_verdict(results)
    page = (results / "README.md").read_text()
    for claim in CLAIMS:
        assert f"| {claim.text} |" in page
    assert "not run yet: `python train.py -m experiment=figure4_cpu`" in page
    basis = f"5 of 8 rows x 2 seeds, {sweep('figure2')}"
    assert f"-0.80 [-0.90, -0.70] | {basis} | reproduced | 100 % / 100 % | below -0.25 |" in page
    assert str(results / "README.md") in text
    assert (results / "verdict.png").exists()
    before = page
    verdict.write_verdict(results)
    assert (results / "README.md").read_text() == before


def test_a_verdict_stands_beside_its_power_if_the_claim_and_if_its_opposite_is_true(results):
    head, *rows = verdict.table(rulings(results))
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    sure = found["under SGD + L2 the best wd falls as lr grows"]
    assert sure["verdict"] == "reproduced"
    assert sure["power"] == "100 % / 100 %"
    vague = found["under Adam + L2 the best wd falls as lr grows"]
    assert vague["verdict"] == "not resolved"
    gain = found[
        "with a fixed rate AdamW gains nothing (so its cells show; its text says that it wins)"
    ]
    assert gain["power"] == "95 % / 100 %"


def test_a_verdict_that_the_design_could_not_reach_says_so(results):
    file = results / sweep("figure2") / "decoupling.csv"
    file.write_text(file.read_text().replace("-0.5,0.1", "-2.5,2.1"))
    head, *rows = verdict.table(rulings(results))
    (row,) = [row for row in rows if row[0].startswith("under Adam + L2")]
    assert dict(zip(head, row, strict=True))["verdict"] == "the design cannot decide"


def test_the_papers_own_cells_are_judged_by_the_same_rule(results):
    head, *rows = verdict.table(rulings(results))
    by = {row[0]: row[head.index("paper's cells")] for row in rows}
    assert by["under AdamW the best wd stays as lr grows"] == "holds"
    assert by["restarts reach a given error sooner"] == "-"
