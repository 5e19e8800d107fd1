"""Imports run one way: train -> experiments -> optim; reports are drawn without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "optim": {"experiments", "hydra", "omegaconf", "wandb", "pandas", "matplotlib"},
    "experiments": {"train", "analyze", "hydra_plugins"},
    "experiments/report": {"torch", "optim", "hydra", "wandb"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert not FORBIDDEN[package] & set(imports(path)), path


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("experiments.report.pages.sweep", "torch wandb"),
        ("experiments.cli", "torch wandb matplotlib"),
        ("experiments.record.tables", "torch wandb pandas hydra omegaconf"),
    ],
)
def test_importing_a_module_pulls_in_nothing_heavy(module, heavy):
    code = f"import sys, {module}; print(*[m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_only_run_and_the_command_line_see_a_composed_configuration():
    allowed = {"cell.py", "folder.py", "grid.py", "compose.py", "schema.py", "cli.py"}
    for path in (ROOT / "experiments").rglob("*.py"):
        if "omegaconf" in set(imports(path)):
            assert path.name in allowed, path
