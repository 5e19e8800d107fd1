"""What only some systems have is asked for when it is needed, and not to import or to train."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import GenericAlias

import pytest

from tests.tiny_runs import TINY

ROOT = Path(__file__).parents[1]
#: Makes a Python without what Windows lacks of the standard library, of what this project uses.
WITHOUT = """
import os, signal, sys
for name in ("fcntl", "resource", "grp", "pwd", "termios", "syslog"):
    sys.modules[name] = None  # importing it raises ImportError
import torch, hydra, pandas, matplotlib  # which look for some of these themselves
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "pthread_sigmask"):
    delattr(signal, name)
for name in ("pwrite", "pread", "fork", "sched_getaffinity"):
    delattr(os, name)
"""
RUN = """
from pathlib import Path
from experiments.run.cell import run
from tests.tiny_runs import composed
row = run(composed(*{words}, "checkpoint_every=1e-9"), Path("a"))
assert row["status"] == "finished"
assert sorted(os.listdir("a")) == ["config.yaml", "metrics.jsonl", "result.json"], os.listdir("a")
assert run(composed(*{words}), Path("a")) == row
"""


def without(code, folder):
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", path + WITHOUT + code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_module_can_be_imported(in_tmp):
    files = [path for room in ("optim", "experiments") for path in (ROOT / room).rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    names = [name.removesuffix(".__init__") for name in names if "slurm" not in name]
    without(f"import importlib\nfor name in {names}: importlib.import_module(name)", in_tmp)


def test_a_run_trains_saves_and_is_found_finished(in_tmp):
    without(RUN.format(words=TINY), in_tmp)


def test_the_lower_bounds_of_the_project_are_the_versions_of_make_test_lowest():
    """A bound may be written shorter: 2.6 for 2.6.0."""
    project = (ROOT / "pyproject.toml").read_text()
    bounds = dict(re.findall(r'"([\w-]+)>=([\d.]+)[,"]', project))
    needed = project[project.index("dependencies = ") : project.index("dev = ")]
    tested = re.findall(r"^(.+)==(.+)$", (ROOT / "requirements-lowest.txt").read_text(), re.M)
    assert set(re.findall(r'"([\w-]+)>=', needed)) <= set(dict(tested))
    for name, version in tested:
        assert re.fullmatch(rf"{re.escape(bounds[name])}(\.0)*", version), name


@pytest.mark.parametrize("name", ["launcher", "slurm", "sweeper"])
def test_hydra_can_look_for_plugins_in_a_module_also_under_python_3_10(name):
    """Hydra asks of everything in it whether it is a subclass; dict[str, str] cannot be asked."""
    module = importlib.import_module(f"hydra_plugins.decay_lab.{name}")
    assert not [key for key, value in vars(module).items() if isinstance(value, GenericAlias)]
