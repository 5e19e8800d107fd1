import pytest

from experiments.errors import UserError
from experiments.report.pages import verdict
from experiments.report.statistics.paper_claims import CLAIMS
from tests.report import results_data


@pytest.fixture
def results(tmp_path):
    return results_data.make(tmp_path)


def test_the_page_has_every_claim_and_says_what_is_not_run(results):
    text = verdict.report(results)
    page = (results / "README.md").read_text()
    for claim in CLAIMS:
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
        assert len(lines) == 4 + 2 + len(CLAIMS)


@pytest.mark.parametrize(
    "text",
    [verdict.BEGIN, verdict.END, verdict.END + verdict.BEGIN, 2 * verdict.BEGIN + verdict.END],
)
def test_markers_that_do_not_pair_are_refused_and_nothing_is_written(results, text):
    (results.parent / "README.md").write_text(text)
    with pytest.raises(UserError, match=r"README\.md needs one <!-- verdict"):
        verdict.report(results)
    assert not (results / "README.md").exists()
