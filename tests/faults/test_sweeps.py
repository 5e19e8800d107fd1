"""What may happen to a local sweep: Ctrl-C, a killed parent, a cell without memory."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.record.checkpoint import load
from experiments.record.folder import RunFolder, run_folders
from experiments.sweep.slurm.status import status
from tests.faults.children import TINY, left_behind, until

ROOT = Path(__file__).parents[2]
LONG = ("epochs=700", "eval_every=100", "checkpoint_every=0.5")  # 2,100 steps
TWO = ["-m", *TINY, *LONG, "seed=range(4)", "hydra.launcher.jobs=2"]

pytestmark = pytest.mark.slow


def command(*words):
    return [sys.executable, str(ROOT / "train.py"), *words]


def started(*words):
    """Start a sweep as a terminal does, in a process group of its own."""
    return subprocess.Popen(
        command(*words), stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def running():
    return [run.path for run in run_folders(Path("runs/adhoc")) if run.holder()]


def saved():
    return sorted(path.parent for path in Path("runs/adhoc").glob("*/checkpoint.pt"))


@pytest.mark.parametrize("to_all", [True, False])
def test_ctrl_c_stops_both_workers_in_good_order_and_the_same_command_goes_on(in_tmp, to_all):
    sweep = started(*TWO)
    until(lambda: len(saved()) == 2)
    before = time.monotonic()
    (os.killpg if to_all else os.kill)(sweep.pid, signal.SIGINT)
    said = sweep.communicate(timeout=60)[1]
    assert time.monotonic() - before < 30  # five seconds on a machine that does nothing else
    assert sweep.returncode == 130
    assert "interrupted; the same command goes on where it stopped" in said
    assert "Traceback" not in said
    stopped = saved()
    assert len(stopped) == 2
    assert running() == []
    for folder in stopped:
        assert left_behind(folder) == {"checkpoint.pt", "checkpoint.previous.pt"} & set(
            os.listdir(folder)
        )
        assert load(folder / "checkpoint.pt", "cpu")["trainer"]["step"] > 0
    if to_all:
        again = subprocess.run(command(*TWO), capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        cells = status("adhoc", "runs", "results")
        assert [cell.state for cell in cells] == ["finished"] * 4


def test_workers_whose_parent_is_killed_save_and_stop(in_tmp):
    sweep = started(*TWO, "epochs=200000")
    until(lambda: len(saved()) == 2)
    sweep.kill()
    sweep.communicate()
    until(lambda: not running())
    states = sorted(cell.state for cell in status("adhoc", "runs", "results"))
    assert states == ["missing", "missing", "stopped", "stopped"]


def test_a_cell_without_memory_fails_with_that_reason_and_the_sweep_goes_on(in_tmp):
    gigabytes = 12 << 30

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (gigabytes, gigabytes))

    words = ["-m", *TINY, "model.width=8,80000", "hydra.launcher.jobs=1"]
    done = subprocess.run(command(*words), capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2
    assert "1 of 2 cells failed" in done.stderr
    cells = sorted(status("adhoc", "runs", "results"), key=lambda cell: cell.state)
    assert [cell.state for cell in cells] == ["failed", "finished"]
    assert cells[0].reason.startswith("out of memory: ")
    assert "allocate memory" in RunFolder(Path("runs/adhoc", cells[0].name)).failure()
