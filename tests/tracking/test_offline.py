"""Runs without a server: complete in their folder, and no word of them leaves the machine."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.datafile import items, records


def points(history):
    return [(row["_step"], row["test_error"]) for row in history]


def test_each_cell_of_a_sweep_is_its_own_run_also_after_one_that_raised(python, server, tmp_path):
    output = python(
        """
for name in ("a", "b", "c"):
    try:
        error = KeyError() if name == "b" else None
        cell(name, finish=row(name, seed=ord(name), test_error=99), error=error)
    except KeyError:
        print("raised", name)
"""
    )
    for name in ("a", "b", "c"):
        history, summary, run, code = records(tmp_path / "runs" / name)
        assert points(history) == [(0, 0.5), (10, 10.5), (20, 20.5)]
        assert (run.run_id, run.run_group, run.job_type) == (name, "sweep", "train")
        assert (run.display_name, list(run.tags)) == (f"cell {name}", ["adamw"])
        assert items(run.config.update)["lr"] == 0.001
        assert (code, summary.get("seed")) == ((1, None) if name == "b" else (0, ord(name)))
        assert summary["test_error"] == (20.5 if name == "b" else 99)  # the row has the last word
        assert (
            f"INFO W&B: offline; upload with `wandb sync runs/{name}/wandb/offline-run-" in output
        )
    assert [line for line in output.splitlines() if "INFO" not in line] == [
        *("done a", "raised b", "done c")
    ]
    assert server.requests == []


@pytest.mark.parametrize(
    "variables",
    [
        {"WANDB_ERROR_REPORTING": "true", "WANDB_SERVICE": "3-1-unix-/a/parent/that/has/ended"},
        {"WANDB_MODE": "offline", "WANDB_API_KEY": "0123456789" * 4},
    ],
    ids=str,
)
def test_offline_nothing_leaves_the_machine(variables, python, server, tmp_path):
    assert "W&B: offline" in python("cell('a')", env=variables)
    assert server.requests == []
    (file,) = tmp_path.glob("runs/a/wandb/offline-run-*/run-a.wandb")
    assert b"test_error" in file.read_bytes()


def test_a_killed_process_loses_at_most_a_moment_and_its_rerun_makes_it_up(python, tmp_path):
    code = """
def kill():
    wait_for_file("a", b"test_error")
    os.kill(os.getpid(), 9)
cell("a", range(0, 50, 10), middle=kill)
"""
    python(code, expected=-9)
    assert len(points(records(tmp_path / "runs/a")[0])) > 0
    python("cell('a', range(20, 80, 10))")
    history, _, _, code = records(tmp_path / "runs/a")
    assert points(history) == [(step, step + 0.5) for step in range(0, 80, 10)]
    assert code == 0


def test_an_attempt_that_ends_before_its_first_new_point_adds_none(python, tmp_path):
    python("cell('a')")
    python("cell('a', [])\ncell('a', range(0, 20, 10))")
    history, _, _, _ = records(tmp_path / "runs/a")
    assert points(history) == [(0, 0.5), (10, 10.5), (20, 20.5)]


def test_without_a_login_nothing_is_asked_even_at_a_terminal(environment, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from cells import *; cell('a')"]
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how a terminal says that the other side has left
        pass
    os.close(ours)
    assert process.wait(60) == 0
    lines = shown.decode().splitlines()
    assert [line.split("`")[0] for line in lines] == ["INFO W&B: offline; upload with ", "done a"]


def test_disabled_means_that_wandb_is_not_even_imported(python, server, tmp_path):
    code = "cell('a')\nassert 'wandb' not in sys.modules"
    assert python(code, env={"WANDB_MODE": "disabled"}) == "done a\n"
    assert [path.name for path in tmp_path.glob("runs/a/*")] == ["metrics.jsonl"]


def test_no_tracker_takes_everything_and_does_nothing(python, tmp_path):
    code = """
from experiments.tracking.mirror import NoTracker
with NoTracker(folder=Path("x"), id="a", name="a", group="g", tags=[], config={}) as t:
    t.finish({})
assert "wandb" not in sys.modules
"""
    assert python(code) == ""
    assert not (tmp_path / "x").exists()


def test_someone_elses_open_run_neither_swallows_ours_nor_ends_with_it(python, tmp_path):
    python("""
os.environ["WANDB_SILENT"] = "true"
import wandb
left = wandb.init(project="lab", id="left", mode="offline")
cell("a")
left.log({"mine": 1})
""")
    history, summary, run, code = records(tmp_path / "runs/a")
    assert (run.run_id, len(history), summary["id"], code) == ("a", 3, "a", 0)
    history, _, run, code = records(tmp_path)
    assert (run.run_id, history[0]["mine"], code) == ("left", 1, 0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_each_run_their_cells(method, python, tmp_path):
    Path(tmp_path, "pool.py").write_text(
        f"""
import multiprocessing
from tests.tracking.cells import cell

def work(names):
    for name in names:
        cell(name)

if __name__ == "__main__":
    cell("first")  # the parent has used W&B itself
    context = multiprocessing.get_context("{method}")
    workers = [context.Process(target=work, args=(names,)) for names in ("ab", "cd")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
"""
    )
    python(
        "import runpy; runpy.run_path('pool.py', run_name='__main__')"
        if method == "fork"
        else "import subprocess; subprocess.run([sys.executable, 'pool.py'], check=True)"
    )
    for name in ("first", *"abcd"):
        history, summary, run, code = records(tmp_path / "runs" / name)
        assert (len(history), summary["id"], run.run_id, code) == (3, name, name, 0)


@pytest.mark.parametrize("wrong", ["mode='onlin'", "init_timeout=0"])
def test_a_wrong_option_is_refused(wrong, python):
    code = f"""
from experiments.errors import UserError
try:
    cell("a", {wrong})
except UserError as error:
    print(error)
"""
    assert python(code).startswith(f"tracker.{wrong.partition('=')[0]} must be ")
