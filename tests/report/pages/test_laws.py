"""docs/laws.md is what the code makes of the committed table of rulings."""

from io import StringIO
from pathlib import Path

import pytest

from experiments.report.data.text import csv, read_csv
from experiments.report.pages import laws, transfer
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.laws import LAWS, families, read, ruled, table
from experiments.sweep import grid

ROOT = Path(__file__).parents[3]
COSTS = {law.preset: grid.cost(law.preset) for law in LAWS}
PLANNED = {law.preset: len(grid.planned(law.preset) or []) for law in LAWS}
DONE = {name: (count, count) for name, count in PLANNED.items()}


def test_the_committed_page_is_made_from_the_committed_table():
    rows = read_csv(ROOT / "results" / "laws" / "laws.csv")
    runs = laws.committed(ROOT / "results", PLANNED)
    assert (ROOT / "docs" / "laws.md").read_text() == laws.page(rows, COSTS, runs)


def test_a_sweep_that_is_not_run_to_the_end_is_listed_with_its_command():
    rows = read_csv(ROOT / "results" / "laws" / "laws.csv")
    assert "All sweeps of these laws are run." in laws.page(rows, COSTS, DONE)
    text = laws.page(rows, COSTS, DONE | {"law_width": (7, 336)})
    assert "*So far: the sweep is not finished, 7 of 336 runs.*" in text
    line = next(line for line in text.splitlines() if "| 7 of 336 |" in line)
    assert "`python train.py -m experiment=law_width`" in line


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.preset)
def test_each_law_says_what_its_sweep_costs_and_how_to_run_it(law):
    assert "core-" in COSTS[law.preset]
    head = (ROOT / "configs" / "experiment" / f"{law.preset}.yaml").read_text()
    assert f"#   python train.py -m experiment={law.preset}\n" in head


def rows(name, value, low, high, rows="law_data"):
    law = next(law for law in LAWS if law.name == name)
    found = [ruled(claim, Estimate(value, low, high, 9), rows) for claim in law.claims]
    return read_csv(StringIO(csv(table({name: found}))))


def test_the_page_says_which_rule_is_excluded_and_what_a_person_does():
    page = laws.page(rows("data", -0.9, -1.1, -0.8), COSTS, DONE)
    assert "agrees: “averaging time in epochs stays”; excluded: “normalized decay stays”" in page
    assert (
        "- **If you double the data at the same number of epochs, multiply λ by:**\n"
        "  - 0.5, if “averaging time in epochs stays”\n  - 0.71, if “normalized decay stays”\n"
        "  - 0.54 [0.47, 0.57]: law_data\n"
    ) in page


def test_the_calculator_prints_every_convention():
    known = {"lr": 1e-3, "wd": 0.25, "convention": "lr_coupled", "train_size": 1000}
    text = transfer.said(rows("data", -1.0, -1.1, -0.9), known, {"train_size": 2000})
    lines = text.splitlines()
    assert lines[0].split("  ")[-1] == "w at lr 1e-3: torch, optax, timm"
    assert lines[1].split() == ["averaging", "time", "in", "epochs", "stays", "1.25e-4", "0.125"]
    assert "law_data  " in text
    assert "1.25e-4 [1.17e-4, 1.34e-4]" in text


def test_a_decay_that_cannot_be_is_said():
    known = {"lr": 1.0, "wd": 0.5, "convention": "decoupled", "batch_size": 1}
    text = transfer.said(rows("data", -1.0, -1.1, -0.9), known, {"batch_size": 8})
    assert "λ must be below 1, so 'averaging time in epochs stays' has no answer" in text


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(law.name, marks=[] if law.name in ("width", "delay") else pytest.mark.slow)
        for law in LAWS
    ],
)
def test_the_committed_rulings_are_those_of_the_committed_rows(name):
    (law,) = [law for law in LAWS if law.name == name]
    results = ROOT / "results"
    found = law.judge(results, law, families(results, law))
    known = read(read_csv(results / "laws" / "laws.csv"))[name]
    assert [(one.task, one.claim, one.verdict) for one in found] == [
        (one.task, one.claim, one.verdict) for one in known
    ]
    for one, other in zip(found, known, strict=True):
        assert other.found.value == pytest.approx(one.found.value, abs=0.02, nan_ok=True)
