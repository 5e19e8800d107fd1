"""What a run leaves, and the committed tables, are known in one module each."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWNERS = {
    "experiments/record/folder.py": [
        *("config.yaml", "metrics.jsonl", "probe.jsonl", "sample.txt", "result.json"),
        *("checkpoint.pt", "failed.json", "lock"),
    ],
    "experiments/record/tables.py": ["runs.csv"],
    "experiments/report/data/curves.py": ["curves.csv"],
    "experiments/report/data/probes.py": ["probe.csv"],
}


def documentation(tree):
    """The nodes of docstrings, which may name a file."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            yield body[0].value


@cache
def files_named(path):
    """The last parts of all strings of a module that could be paths: they hold no blank."""
    named = set()
    tree = ast.parse(path.read_text())
    left_out = set(map(id, documentation(tree)))
    for node in ast.walk(tree):
        text = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in left_out and " " not in text:
            named.add(text.rsplit("/", 1)[-1])
    return named


@pytest.mark.parametrize(("owner", "names"), OWNERS.items())
def test_the_name_of_a_file_is_written_in_one_module(owner, names):
    packages = ("experiments", "hydra_plugins", "optim", "benchmarks")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    for name in names:
        knowing = [path for path in [*ROOT.glob("*.py"), *files] if name in files_named(path)]
        if name == "lock":  # also what a thread is called
            knowing = [path for path in knowing if path.name != "lock.py"]
        assert knowing == [ROOT / owner], name
