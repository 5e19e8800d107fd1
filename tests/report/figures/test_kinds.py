from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.errors import UserError
from experiments.report import figures
from experiments.report.figures import kinds
from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import analyze
from tests.report.report_data import run, write_runs

PRESETS = Path(__file__).parents[3] / "configs" / "experiment"
MODULE = """
import pandas as pd

from experiments.report.figures import style
from experiments.report.figures.kinds import Part, Picture, Section, kind


@kind("toy")
def part(page):
    figure = style.figure(2, 2)
    figure.subplots().plot([1, 2])
    data = {"toys": pd.DataFrame({"runs": [len(page.runs)]})}
    table = [["", "runs"], ["all", "2"]]
    section = Section("Toys", [table], "What a toy is.", verdicts=["it works"], data=data)
    return Part({"toy": Picture(figure, f"A toy of {page.optimizers}")}, section)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A kind of figure that one more file in the package adds, and nothing else."""
    kinds.kinds()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "toy_kind.py").write_text(MODULE)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path / "package")])
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))


def test_one_file_adds_a_kind_of_figure_with_its_caption_and_section(toy, tmp_path):
    write_runs(tmp_path / "runs" / "mine", [run(wd=0.1), run(wd=0.2)])
    folders = {"runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results"}
    made = analyze("mine", settings=Settings(samples=0, figures=("toy",)), **folders)
    names = {path.name for path in made.paths}
    assert names >= {"toy.png", "toy.svg", "toys.csv"}
    text = (tmp_path / "results" / "mine" / "README.md").read_text()
    assert "![A toy of AdamW](toy.png)" in text
    assert "## Toys\n\n- **it works**\n\n|  | runs |" in text
    assert "What a toy is." in text
    assert "it works" in made.text


def test_without_its_file_the_kind_is_unknown():
    with pytest.raises(UserError, match="figures=toy is not one of ablation, accuracy, "):
        Settings(figures=("toy",))


def test_every_module_of_a_kind_is_found():
    assert set(kinds.kinds()) == {
        "ablation", "accuracy", "collapse", "curves", "delay", "final", "heatmap", "law", "losses",
        "scatter", "steps",
    }  # fmt: skip


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_grid_has_a_heatmap_and_a_collapse_or_neither(preset):
    chosen = (OmegaConf.load(preset).get("analysis") or {}).get("figures", ["none"])
    assert ("heatmap" in chosen) == ("collapse" in chosen)
