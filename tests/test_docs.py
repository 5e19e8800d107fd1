"""What README and docs say exists: linked files, numbers in tables, presets in commands."""

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/**/*.md")])
WRITTEN = [
    page
    for page in PAGES
    if page.parent in (ROOT, ROOT / "docs") and "<!-- generated" not in page.read_text()
]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NUMBER = r"-?\d+\.\d+"
INTERVAL = re.compile(rf"({NUMBER})[^\d\[\]|]{{0,20}} \[({NUMBER}), ({NUMBER})\]")


def name(page):
    return str(page.relative_to(ROOT))


def rounded(numbers, digits):
    return tuple(f"{round(number, digits) + 0.0:.{digits}f}" for number in numbers)


@pytest.fixture(scope="module")
def known():
    """Every number with its interval in a committed table, as text, at one to three digits."""
    found = set()
    for file in ROOT.glob("results/*/*.csv"):
        table = pd.read_csv(file, low_memory=False)
        if {"value", "low", "high"} <= set(table):
            for row in table[["value", "low", "high"]].dropna().to_numpy(float):
                found |= {rounded(row, digits) for digits in (1, 2, 3)}
            found |= set(INTERVAL.findall(" ".join(table.get("note", pd.Series()).dropna())))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_number_with_an_interval_stands_in_a_committed_table(page, known):
    said = set(INTERVAL.findall(page.read_text().replace("\N{MINUS SIGN}", "-")))
    assert sorted(said - known) == []


def test_the_readme_says_numbers_that_the_test_above_looks_up():
    assert len(INTERVAL.findall((ROOT / "README.md").read_text())) >= 3


def test_every_page_of_the_docs_can_be_reached_from_the_readme():
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        links = {
            (page.parent / to).resolve() for page in new for to in LINK.findall(page.read_text())
        }
        new = {page for page in links if page.suffix == ".md" and page.is_file()} - reached
    assert not set(ROOT.glob("docs/*.md")) - reached


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_module_that_a_page_names_exists(page):
    text = page.read_text()
    dotted = re.findall(r"python -m ((?:experiments|benchmarks)[\w.]*)", text)
    paths = [ROOT / module.replace(".", "/") for module in dotted]
    paths += [ROOT / path for path in re.findall(r"`((?:experiments|optim)/[\w/.]*)`", text)]
    assert not [p for p in paths if not p.exists() and not p.with_suffix(".py").exists()]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_a_shell_can_read_every_command(page):
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
        read = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert not read.stderr, block


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_preset_and_entry_in_a_command_exists(page):
    commands = re.findall(r"python (?:train|analyze)\.py [^`#\n]*", page.read_text())
    words = [word for command in commands for word in command.split()]
    for group in ("experiment", "task", "model", "optim", "schedule", "decay", "probe"):
        chosen = [word.split("=", 1)[1] for word in words if word.startswith(f"{group}=")]
        entries = {entry for value in chosen for entry in value.split(",")} - {
            "NAME",
            "mine",
            "search",
        }
        missing = {e for e in entries if not (ROOT / "configs" / group / f"{e}.yaml").exists()}
        assert not missing
