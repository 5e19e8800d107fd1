import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.loopback import Loopback

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server():
    with Loopback() as running:
        yield running
        assert not running.unknown


@pytest.fixture
def environment(tmp_path, server):
    """A person without a login, whose W&B is the loopback server."""
    ours = (
        "WANDB_",
        "XDG_",
        "HOME",
        "NETRC",
        "PYTHONPATH",
        "SLURM_",
        "http",
        "HTTP",
        "all_",
        "ALL_",
    )
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    home = tmp_path / "home"
    home.mkdir()
    return inherited | {
        "HOME": str(home),
        "NETRC": str(home / ".netrc"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "WANDB_BASE_URL": server.url,
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def python(tmp_path, environment):
    """Run code in a process of its own, in ``tmp_path``; it has to end well and say nothing odd."""

    def run(code, *, expected=0, env=None, prefix=()):
        shown, wrong = tmp_path / "stdout", tmp_path / "stderr"  # a service may hold on to a pipe
        with shown.open("w") as stdout, wrong.open("w") as stderr:
            done = subprocess.run(
                [*prefix, sys.executable, "-c", f"from cells import *\n{code}"],
                env=environment | (env or {}),
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                timeout=170,
            )
        assert done.returncode == expected, shown.read_text() + wrong.read_text()
        assert wrong.read_text() == ""
        return shown.read_text()

    return run


@pytest.fixture
def login():
    return {"WANDB_API_KEY": "0123456789" * 4}
