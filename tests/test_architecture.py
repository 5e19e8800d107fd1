"""Imports run one way, from room to room as the table below allows; reports need no torch."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Room (a folder of packages) -> the rooms that it may import. What is not named here is not
#: allowed. The modules at the root of experiments/ that name a mistake, a signal, a random stream
#: or a progress bar (FLOOR) may be imported from everywhere but optim.
ALLOWED = {
    "optim": "",
    "experiments/record": "",
    "experiments/models": "",
    "experiments/probe": "optim",
    "experiments/tasks": "record",
    "experiments/tracking": "record",
    "experiments/run": "optim record tasks models tracking",
    "experiments/sweep": "record tasks run tracking",
    "experiments/sweep/slurm": "record sweep",
    "experiments/report": "",
    "experiments/report/data": "record probe",
    "experiments/report/statistics": "record probe report/data",
    "experiments/report/figures": "record report/data report/statistics",
    "experiments/report/pages": "record tracking report/data report/statistics report/figures",
    "experiments": (
        "optim record run sweep sweep/slurm report/data report/statistics report/figures "
        "report/pages"
    ),
    "hydra_plugins": "record run sweep sweep/slurm",
    "benchmarks": ("optim models record run sweep report/data report/statistics report/figures"),
    "": "run sweep tracking commands cli",
}
FLOOR = {"errors", "interrupt", "seeding", "progress"}
#: Libraries that a room must not import.
FOREIGN = {
    "optim": {"hydra", "omegaconf", "wandb", "pandas", "matplotlib", "numpy"},
    "experiments/report": {"torch", "hydra", "omegaconf", "wandb"},
    "experiments/record": {"hydra", "wandb", "matplotlib"},
}


def imported(path):
    """Yield what a file imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(dotted):
    """Return the room of a dotted name: its deepest folder; '' for train.py and analyze.py."""
    folder = Path()
    for part in dotted.split("."):
        if not (ROOT / folder / part).is_dir():
            break
        folder /= part
    return (
        "hydra_plugins" if folder.parts[:1] == ("hydra_plugins",) else folder.as_posix().strip(".")
    )


def files():
    for top in ("optim", "experiments", "hydra_plugins", "benchmarks"):
        yield from (ROOT / top).rglob("*.py")
    yield from (ROOT / "train.py", ROOT / "analyze.py")


def arrows():
    """Yield (file, its room, the room of what it imports, the dotted name) of every import."""
    ours = ("optim", "experiments", "hydra_plugins", "benchmarks", "train", "analyze")
    for path in files():
        own = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in imported(path):
            if name.split(".")[0] in ours and room_of(name) != own:
                yield path, own, room_of(name), name


def test_rooms_import_only_what_the_table_allows():
    wrong = []
    for path, own, other, name in arrows():
        module = name.split(".")[1] if other == "experiments" and "." in name else None
        if module in FLOOR and own != "optim":
            continue
        short = module if other == "experiments" else other.removeprefix("experiments/")
        if short not in ALLOWED[own].split():
            wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_the_table_allows_nothing_that_is_not_used():
    used = {(own, other.removeprefix("experiments/")) for _, own, other, _ in arrows() if own}
    allowed = {(own, other) for own, others in ALLOWED.items() if own for other in others.split()}
    assert allowed <= used


def test_the_arrows_of_the_table_run_in_no_circle():
    arrows = {own.removeprefix("experiments/"): others.split() for own, others in ALLOWED.items()}
    assert list(TopologicalSorter(arrows).static_order())  # raises where they do


@pytest.mark.parametrize("room", FOREIGN)
def test_a_room_imports_no_library_that_it_must_not(room):
    for path in (ROOT / room).rglob("*.py"):
        top = {name.split(".")[0] for name in imported(path)}
        assert not FOREIGN[room] & top, path


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
    allowed = {
        "experiments/cli.py",
        "experiments/record/folder.py",  # which writes config.yaml
        "experiments/run/cell.py",
        "experiments/run/schema.py",
        "experiments/sweep/compose.py",
        "experiments/sweep/grid.py",
    }
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "experiments").rglob("*.py")
        if "omegaconf" in {name.split(".")[0] for name in imported(path)}
    }
    assert found == allowed
