"""What is known of a sweep's cells without a cluster: plans, submissions, and their state."""

import json
import os
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.folder import write_failure
from experiments.record.lock import Lock
from experiments.sweep import grid
from experiments.sweep.cell import Cell
from experiments.sweep.slurm import squeue, submission
from experiments.sweep.slurm.squeue import SlurmTask
from experiments.sweep.slurm.status import status, status_of, text
from tests.report.report_data import run

CODE = ("abc123", "f" * 16)


def prepared(count=5, per_job=2):
    sweep = Path("runs/x")
    cells = [Cell({"seed": i, "lr": 1e-3}, sweep, f"cell-{i}") for i in range(count)]
    submission.add_to_plan(sweep, [(cell.name, f"id{i}") for i, cell in enumerate(cells)])
    return sweep, replace(submission.prepare(sweep, "x", cells, per_job, CODE), job="17").save()


def test_a_submission_gives_every_cell_to_one_job_and_its_configuration_as_it_was(in_tmp):
    sweep, made = prepared()
    assert made.shards == [(0, 2), (2, 4), (4, 5)]
    (again,) = submission.submissions(sweep)
    assert again == made
    found = [cell for shard in made.shards for cell in submission.cells_of(made.folder, shard)]
    assert found == [Cell({"seed": i, "lr": 1e-3}, sweep, f"cell-{i}") for i in range(5)]


def test_a_plan_grows_and_forgets_nothing(in_tmp):
    submission.add_to_plan(Path("x"), [("a", "1"), ("b", "2")])
    submission.add_to_plan(Path("x"), [("b", "2"), ("c", "3")])
    assert submission.plan(Path("x")) == {"a": "1", "b": "2", "c": "3"}
    assert submission.plan(Path("y")) == {}


@pytest.fixture
def fake_queue(in_tmp, monkeypatch):
    """Let ``squeue`` and ``sacct`` say what a test wants."""
    tools = in_tmp / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def says(name, text, code=0):
        script = f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n"
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)

    says("squeue", "")
    says("sacct", "Slurm accounting storage is disabled", 1)
    return says


def test_the_state_of_every_cell_is_told_from_its_folder_and_the_queue(fake_queue):
    sweep, made = prepared(12, 2)
    lines = [f"{made.name}|17|{place}|{state}|{why}" for place, state, why in [
        (0, "COMPLETED", "None"), (1, "RUNNING", "None"), (2, "PENDING", "Resources"),
        (3, "CANCELLED", "None"), (4, "PENDING", "launch failed requeued held"),
        (5, "NODE_FAIL", "None"),
    ]]  # fmt: skip
    fake_queue("squeue", "\n".join([*lines, "other|99|N/A|RUNNING|None"]))
    for cell, state in ((0, "finished"), (1, "diverged")):
        (sweep / f"cell-{cell}").mkdir()
        (sweep / f"cell-{cell}" / "result.json").write_text(
            json.dumps(run(id=f"id{cell}", status=state))
        )
    for cell in (3, 7):
        write_failure(sweep / f"cell-{cell}", "ValueError: no")
    Path("results/x").mkdir(parents=True)
    Path("results/x/runs.csv").write_text("id,status\nid11,finished\n")
    (sweep / "cell-2").mkdir()
    with Lock(sweep / "cell-2" / "lock"):
        cells = status("x", "runs", "results")
        told = text("x", cells, sweep)
    states = [(cell.state, cell.reason) for cell in cells]
    ended = "its job 17_3 ended before it did: CANCELLED"
    assert states[:2] == [("finished", ""), ("diverged", "")]
    assert states[2][0] == "running"
    assert states[3] == ("queued", "job running")  # failed outside this job, and will be tried
    assert states[4:6] == [("queued", "job pending (Resources)")] * 2
    assert states[6] == ("missing", ended)
    assert states[7] == ("failed", "ValueError: no")
    assert states[8] == ("queued", "job pending (launch failed requeued held)")
    assert states[10] == ("missing", "its job 17_5 ended before it did: NODE_FAIL")
    assert states[11] == ("finished", "")
    head = "x: 12 cells: 2 finished, 1 diverged, 1 running, 5 queued, 1 failed, 2 missing"
    assert told.splitlines()[0] == head
    assert f"missing: cell-6: {ended}" in told


def test_cells_below_folders_of_their_own_are_told_by_their_path(fake_queue):
    sweep = Path("runs/x")
    submission.add_to_plan(sweep, [("adam/a b", "id0"), ("sgd/c", "id1")])
    assert submission.plan(sweep) == {"adam/a b": "id0", "sgd/c": "id1"}
    failure = sweep / "sgd" / "c"
    write_failure(failure, "ValueError: no")
    (sweep / "adam" / "d").mkdir(parents=True)
    (sweep / "adam" / "e").mkdir()
    (sweep / "adam" / "e" / "checkpoint.pt").touch()
    found = status("x", "runs", "results")
    told = {cell.name: cell.state for cell in found}
    states = {"adam/a b": "missing", "sgd/c": "failed", "adam/d": "missing", "adam/e": "stopped"}
    assert told == states
    assert "1 failed, 1 stopped, 2 missing" in text("x", found, sweep)
    assert "stopped: adam/e: goes on from its checkpoint" in text("x", found, sweep)


def test_a_cell_that_failed_in_a_job_does_not_wait_for_that_job(fake_queue, monkeypatch):
    sweep, made = prepared(2, 2)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    write_failure(sweep / "cell-0", "ValueError: no")
    running = {(made.name, 0): SlurmTask(made.name, 0, "17_0", "RUNNING", "None")}
    assert set(submission.in_queue(sweep, running)) == {"cell-1"}
    requeued = {(made.name, 0): SlurmTask(made.name, 0, "18_0", "PENDING", "None")}
    assert set(submission.in_queue(sweep, requeued)) == {"cell-0", "cell-1"}


def test_a_submission_that_was_cut_short_after_slurm_took_it_still_counts(fake_queue):
    sweep, made = prepared(2, 1)
    values = json.loads((made.folder / "submission.json").read_text()) | {"job": None}
    (made.folder / "submission.json").write_text(json.dumps(values))
    fake_queue("squeue", f"{made.name}|17|0|PENDING|Priority\n{made.name}|17|1|PENDING|Priority")
    assert set(submission.in_queue(sweep, squeue.tasks())) == {"cell-0", "cell-1"}


def test_what_the_queue_has_forgotten_is_looked_up_in_the_accounts(fake_queue):
    prepared(2, 1)
    fake_queue("sacct", "17_0|TIMEOUT\n17_1|CANCELLED by 0")
    reasons = [cell.reason for cell in status("x", "runs", "results")]
    assert reasons == [f"its job 17_{i} ended before it did: {w}"
                       for i, w in enumerate(["TIMEOUT", "CANCELLED"])]  # fmt: skip
    fake_queue("sacct", "", 1)
    reasons = [cell.reason for cell in status("x", "runs", "results")]
    assert reasons[0] == "its job 17_0 ended before it did: the queue forgot it"


def test_a_slurm_that_does_not_answer_is_named_and_the_rest_is_told(fake_queue):
    prepared(1, 1)
    fake_queue("squeue", "slurm_load_jobs error: Unable to contact slurm controller", 1)
    (cell,) = status("x", "runs", "results")
    assert cell.state == "missing"
    assert cell.reason.startswith("Slurm cannot be asked (squeue: ")


@pytest.mark.parametrize("name", ["???", "", "../x", "a/b", "..", "x" * 300])
def test_the_status_of_what_is_no_sweep_is_refused(in_tmp, name):
    prepared()
    options = {"experiment": name, "runs_dir": "runs", "results_dir": "results"}
    with pytest.raises(UserError, match="give experiment=NAME"):
        status_of(options)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("JobState=RUNNING Reason=None\n PreemptTime=2026-11-24T21:16:22 SuspendTime=None", True),
        ("JobState=RUNNING Reason=None\n PreemptTime=None SuspendTime=None", False),
        ("JobState=CANCELLED Reason=None\n PreemptTime=2026-11-24T21:16:22", False),
        ("JobState=RUNNING\n PreemptEligibleTime=2026-11-24T21:16:15 PreemptTime=None", False),
    ],
)
def test_a_preemption_is_told_from_a_cancellation(fake_queue, said, expected):
    fake_queue("scontrol", said)
    assert squeue.preempted("17") is expected
    fake_queue("scontrol", "slurm_load_jobs error: Invalid job id specified", 1)
    assert squeue.preempted("17") is False


def test_nothing_started_is_said(in_tmp):
    with pytest.raises(UserError, match="nothing of experiment=x was started in runs/x"):
        status("x", "runs", "results")


def test_of_a_sweep_that_was_started_elsewhere_the_committed_runs_are_counted(in_tmp):
    file = tables.file("results", "quickstart")
    file.parent.mkdir(parents=True)
    file.write_text(tables.render(tables.merge([], [run(id="a" * 16)])))
    cells = status("quickstart", "runs", "results")
    planned = len(grid.planned("quickstart"))
    assert Counter(cell.state for cell in cells) == {"finished": 1, "missing": planned - 1}
    told = text("quickstart", cells, Path("runs/quickstart"))
    assert "none was started in runs/quickstart: the finished ones are committed" in told
    assert "python train.py -m experiment=quickstart runs what" in told


def test_without_slurm_the_largest_array_cannot_be_asked(in_tmp, monkeypatch):
    monkeypatch.setenv("PATH", str(in_tmp))
    with pytest.raises(squeue.Unreachable, match="there is no scontrol here"):
        squeue.largest_array()


def test_a_queue_that_hangs_is_given_up(in_tmp, monkeypatch):
    monkeypatch.setattr(squeue, "TIMEOUT", 0.2)

    def hang(*arguments, timeout, **options):
        raise subprocess.TimeoutExpired("squeue", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(squeue.Unreachable, match="squeue does not answer"):
        squeue.tasks()
