"""Arrows between the rooms of the report run one way: data, statistics, figures, pages."""

import ast
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[2] / "experiments" / "report"
ROOMS = ("data", "statistics", "figures", "pages")


def imported(path):
    """Rooms of the report that a module imports, wherever in it it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            if module.startswith("experiments.report."):
                yield module.split(".")[2]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_itself_and_those_before_it(room):
    before = set(ROOMS[: ROOMS.index(room) + 1])
    files = list((REPORT / room).glob("*.py"))
    assert files
    for path in files:
        assert set(imported(path)) <= before, path


def test_only_one_module_draws_at_random():
    drawing = [path.name for path in REPORT.rglob("*.py") if "default_rng" in path.read_text()]
    assert drawing == ["resample.py"]
