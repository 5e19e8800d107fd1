"""Sweeps on a real Slurm, and what happens to them there."""

import getpass
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.run.cell import run
from experiments.sweep.slurm import submission
from tests.sweep.slurm.one_node import OneNode, absent
from tests.sweep.slurm.sweeps import Lab
from tests.tiny_runs import TINY, composed

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(absent() is not None, reason=absent() or ""),
]
LONG = ("epochs=100", "eval_every=10", "checkpoint_every=0.5")  # 300 steps


@pytest.fixture(scope="module")
def node():
    with OneNode(max_array=5) as one:
        yield one


@pytest.fixture(scope="module")
def plain_node():
    """A node with two GPUs under a Slurm that preempts as it does by default."""
    with OneNode(gpus=2, user_signal=False) as one:
        yield one


@pytest.fixture
def lab(node, tmp_path):
    yield from working(tmp_path, node)


@pytest.fixture
def plain_lab(plain_node, tmp_path):
    yield from working(tmp_path, plain_node)


def working(folder, node):
    yield Lab(folder, node)
    node.ask("scancel", f"--user={getpass.getuser()}")


def numbers(folder):
    row = json.loads((folder / "result.json").read_text())
    row = {key: row[key] for key in row if key not in ("seconds", "date", "commit", "experiment")}
    return row, (folder / "metrics.jsonl").read_bytes()


def undisturbed(folder, *words):
    """Run a cell here and now."""
    run(composed(*TINY, *words, "threads=1"), folder)
    return numbers(folder)


def test_a_sweep_with_a_cell_that_raises_and_one_that_is_killed_loses_only_those_two(lab):
    lab.make("raise-1")
    lab.make("kill-4")
    done = lab.sweep("twelve", "seed=range(12)", cells_per_job=1, wait="true", redraw="true")
    assert done.returncode == 2
    assert "3 cells a job, since an array here has at most 4 jobs" in done.stderr
    assert "2 of 12 cells failed" in done.stderr
    cells = lab.status("twelve")
    assert cells[1] == ("failed", "RuntimeError: a broken cell")
    assert cells[4][0] == "failed"
    assert "killed by SIGKILL" in cells[4][1]
    assert lab.states("twelve") == {"failed": 2, "finished": 10}
    assert numbers(lab.cell("twelve", 7)) == undisturbed(lab.folder / "here", "seed=7")
    lab.until_idle()
    assert (lab.folder / "results" / "twelve" / "runs.csv").read_text().count("\n") == 11

    lab.remove("raise-1")
    lab.remove("kill-4")
    again = lab.sweep("twelve", "seed=range(12)", wait="true")
    assert again.returncode == 0, again.stderr
    assert "10 of 12 cells are finished already" in again.stderr
    assert "submitted 2 cells in 1 jobs" in again.stderr
    assert lab.states("twelve") == {"finished": 12}
    assert not list(lab.folder.glob("runs/twelve/*/failed.json"))


def test_a_killed_submitter_and_a_cancelled_job_lose_nothing_that_the_command_does_not_bring(lab):
    lab.make("slow")
    words = ("seed=range(4)", *LONG)
    submitter = lab.start("four", *words, wait="true")
    sweep = lab.folder / "runs" / "four"
    lab.until(lambda: sweep.exists() and any(s.job for s in submission.submissions(sweep)))
    submitter.kill()
    submitter.communicate()
    again = lab.sweep("four", *words)
    assert "4 cells are queued or running already" in again.stderr, again.stderr
    assert len(submission.submissions(sweep)) == 1

    lab.until(lambda: lab.states("four") == {"queued": 2, "running": 2})
    job = submission.submissions(sweep)[0].job
    lab.until(lambda: len(list(sweep.glob("*/checkpoint.pt"))) == 2)
    lab.node.ask("scancel", f"{job}_1")
    lab.until(lambda: lab.status("four")[2][0] == "stopped")
    cells = lab.status("four")
    assert cells[2] == (
        "stopped",
        f"its job {job}_1 ended before it did: CANCELLED; goes on from its checkpoint",
    )
    assert cells[3] == ("missing", f"its job {job}_1 ended before it did: CANCELLED")
    assert cells[0][0] in ("running", "finished")
    lab.remove("slow")
    third = lab.sweep("four", *words)
    assert "submitted 2 cells" in third.stderr, third.stderr
    lab.until_idle()
    assert lab.states("four") == {"finished": 4}
    assert numbers(lab.cell("four", 2)) == undisturbed(lab.folder / "here", *LONG, "seed=2")


def test_preempted_and_timed_out_jobs_go_on_and_end_to_the_bit_like_others(lab):
    lab.make("slow")
    mirrored = ("seed=0", *LONG, "tracker=wandb")
    lab.sweep("preempted", *mirrored, partition="low", cells_per_job=1)
    # Slurm warns up to 30 s before its time: between 15 and 45 s after the start, never during it.
    timed = lab.sweep("timed", "seed=1", *LONG, "epochs=300", minutes=1, warning_seconds=15)
    assert timed.returncode == 0, timed.stderr
    lab.until(lambda: list(lab.folder.glob("runs/preempted/*/checkpoint.pt")))
    first = json.loads((lab.cell("preempted", 0) / "lock").read_text())
    preempt(lab, cpus=7)
    lab.until(lambda: lab.states("preempted") == {"finished": 1})
    lab.until(lambda: restarts(lab, "timed"))
    lab.remove("slow")
    lab.until_idle()
    assert lab.states("timed") == {"finished": 1}
    assert first["job"] in lab.logs()
    here = undisturbed(lab.folder / "a", *LONG, "seed=0")
    assert numbers(lab.cell("preempted", 0)) == here
    here = undisturbed(lab.folder / "b", *LONG, "epochs=300", "seed=1")
    assert numbers(lab.cell("timed", 1)) == here
    assert mirrored_steps(lab.cell("preempted", 0)) == list(range(30, 301, 30))


def preempt(lab, cpus):
    """Let a job of the partition that goes first take this many of the cores, for a moment."""
    rival = ["sbatch", "--wait", "-p", "main", "-c", str(cpus), "--mem=1G", "-o", "/dev/null"]
    environment = os.environ | lab.node.environment
    subprocess.run([*rival, "--wrap=sleep 2"], env=environment, check=True, timeout=120)
    lab.until(lambda: restarts(lab, "preempted"))


def test_a_job_that_is_preempted_by_sigterm_goes_on_and_a_cancelled_one_does_not(plain_lab):
    lab = plain_lab
    lab.make("slow")
    for name in ("preempted", "cancelled"):
        lab.sweep(name, "seed=0", *LONG, partition="low", cells_per_job=1)
        lab.until(lambda name=name: list(lab.folder.glob(f"runs/{name}/*/checkpoint.pt")))
    (made,) = submission.submissions(lab.folder / "runs" / "cancelled")
    lab.node.ask("scancel", made.job)
    lab.until(lambda: lab.states("cancelled") == {"stopped": 1})
    preempt(lab, cpus=8)
    lab.remove("slow")
    lab.until_idle()
    assert lab.states("preempted") == {"finished": 1}
    assert lab.states("cancelled") == {"stopped": 1}
    assert numbers(lab.cell("preempted", 0)) == undisturbed(lab.folder / "a", *LONG, "seed=0")


def test_cells_are_dealt_to_the_gpus_that_slurm_gave_their_job(plain_lab):
    lab = plain_lab
    lab.make("gpus")
    lab.make("slow")

    def dealt(seeds):
        files = [lab.folder / f"gpu-{seed}" for seed in seeds]
        lab.until(lambda: all(file.exists() and file.read_text() for file in files))
        return [file.read_text() for file in files]

    lab.sweep("shared", "seed=range(4)", *LONG, gpus=2, jobs_per_gpu=2, cells_per_job=4)
    assert dealt(range(4)) == [f"cuda:{i} of 0,1" for i in (0, 1, 0, 1)]  # at one time
    lab.sweep("alone", "seed=range(4,6)", *LONG, gpus=1, cells_per_job=1)
    assert not (lab.folder / "gpu-4").exists()  # there are no more GPUs
    lab.node.ask("scancel", submission.submissions(lab.folder / "runs" / "shared")[0].job)
    assert sorted(dealt((4, 5))) == ["cuda:0 of 0", "cuda:0 of 1"]


def test_a_cell_that_finds_no_gpu_where_its_job_asked_for_one_fails_and_says_so(plain_lab):
    plain_lab.sweep("blind", "seed=0", gpus=1)
    plain_lab.until_idle()
    state, reason = plain_lab.status("blind")[0]
    assert state == "failed"
    assert reason.startswith("device must be auto, cpu or a GPU that is here, got cuda")


def restarts(lab, name):
    """Whether a job of a sweep has started twice."""
    logs = lab.folder.glob(f"runs/{name}/.sweep/*/log/*.out")
    return any(file.read_text().count("Starting with JobEnvironment") > 1 for file in logs)


def mirrored_steps(folder):
    """Return the steps in the W&B files of all attempts at a run, as W&B's own tool reads them."""
    steps = []
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        output = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        records = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        steps += [r["history"]["step"]["num"] for r in records if r.get("type") == "history"]
    return sorted(steps)


def test_a_job_that_starts_on_other_code_says_so(lab):
    lab.make("slow")
    lab.node.ask("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        done = lab.sweep("code", "seed=0")
        assert done.returncode == 0, done.stderr
        (made,) = submission.submissions(lab.folder / "runs" / "code")
        cells = lab.status("code")
        assert cells[0][0] == "queued"
        assert "PartitionDown" in cells[0][1]
        values = json.loads((made.folder / "submission.json").read_text())
        values |= {"sources": "0" * 16, "commit": "abc"}
        (made.folder / "submission.json").write_text(json.dumps(values))
    finally:
        lab.node.ask("scontrol", "update", "PartitionName=main", "State=UP")
        lab.remove("slow")
    lab.until_idle()
    command = ["analyze.py", "command=status", "experiment=code"]
    root = Path(__file__).parents[3]
    said = subprocess.run(
        [sys.executable, str(root / command[0]), *command[1:]], cwd=lab.folder, env=lab.environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "code: 1 cells: 1 finished" in said.stdout, said.stderr
    assert "runs on other code" in said.stdout
    assert "than was submitted (commit abc)" in said.stdout


def test_what_slurm_refuses_is_one_clear_line_and_nothing_is_left_waiting(lab):
    done = lab.sweep("refused", "seed=0", partition="nowhere")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "invalid partition" in line.lower()
    assert lab.states("refused") == {"missing": 1}
