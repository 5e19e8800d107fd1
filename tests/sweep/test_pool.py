"""What the pool does when its processes do not start, die between cells or do not stop."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import resource_tracker, spawn

import pytest
from pebble import ProcessPool

from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.sweep.cell import Cell
from experiments.sweep.pool import KEEP_MEMORY, run_cells
from experiments.sweep.slots import slots
from tests.sweep.naps import environment, nap
from tests.tiny_runs import build_config


def cells(folder, count=1):
    return [Cell(build_config(f"seed={seed}").plain(), folder, str(seed)) for seed in range(count)]


def test_processes_that_do_not_start_are_a_clear_error(tmp_path, monkeypatch):
    resource_tracker.ensure_running()
    monkeypatch.setattr(spawn, "_python_exe", b"/bin/false")
    with pytest.raises(UserError, match="processes that should run the cells do not start"):
        list(run_cells(cells(tmp_path), slots=["cpu"], grace=1))


def test_a_process_that_dies_between_two_cells_is_replaced_and_no_cell_is_lost(tmp_path):
    outcomes = []
    for outcome in run_cells(cells(tmp_path, 2), slots=["cpu"], grace=5):
        outcomes.append(outcome)
        for process in multiprocessing.active_children():
            process.kill()
        time.sleep(1)
    assert [(outcome.index, outcome.failure) for outcome in outcomes] == [(0, None), (1, None)]
    assert multiprocessing.active_children() == []


def test_a_process_that_does_not_stop_within_the_grace_is_killed(tmp_path):
    def stop_us():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        os.kill(children[0].pid, signal.SIGSTOP)  # it takes no other signal
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_us).start()
    started = time.monotonic()
    with pytest.raises(Interrupted, match="SIGTERM"):
        list(run_cells(cells(tmp_path), slots=["cpu"], grace=0.5))
    assert 0.5 < time.monotonic() - started < 10
    assert multiprocessing.active_children() == []


def test_no_device_has_more_cells_at_a_time_than_slots(tmp_path, monkeypatch):
    schedule, running = ProcessPool.schedule, []

    def count(pool, function, work):
        future = schedule(pool, nap, work)
        (((_, config, _),),) = work
        now = [device for started, device in running if not started.done()] + [config.device]
        assert max(now.count(device) for device in set(now)) == 1
        running.append((future, config.device))
        return future

    monkeypatch.setattr(ProcessPool, "schedule", count)
    work = [Cell(build_config(f"seed={seed}").plain(), tmp_path, str(seed)) for seed in range(8)]
    outcomes = list(run_cells(work, slots=["cuda:0", "cuda:1"], grace=1))
    assert sorted(outcome.index for outcome in outcomes) == list(range(8))
    assert {device for _, device in running} == {"cuda:0", "cuda:1"}


@pytest.mark.parametrize(
    ("device", "jobs", "gpus", "devices"),
    [
        ("auto", "auto", 2, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("cuda", 3, 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda:1", "auto", 2, ["cuda:1", "cuda:1"]),
        ("cpu", 1, 2, ["cpu"]),
        ("auto", 3, 0, ["auto", "auto", "auto"]),
    ],
)
def test_every_process_has_a_device(device, jobs, gpus, devices, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert slots(device, jobs, jobs_per_gpu=2) == devices


def test_without_gpus_there_is_a_process_for_each_core_that_may_be_used(monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda: 3)  # knows the quota of a container, too
    assert slots("cpu", "auto", jobs_per_gpu=2) == ["cpu"] * 3
    monkeypatch.undo()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert slots("cpu", "auto", jobs_per_gpu=2) == ["cpu"]


@pytest.mark.parametrize(("own", "expected"), [(None, "4294967296 0"), ("7", "4294967296 7")])
def test_processes_keep_their_memory_unless_a_person_says_otherwise(
    tmp_path, monkeypatch, own, expected
):
    for name in KEEP_MEMORY:
        monkeypatch.delenv(name, raising=False)
    if own is not None:
        monkeypatch.setenv("MALLOC_MMAP_MAX_", own)
    schedule = ProcessPool.schedule
    monkeypatch.setattr(
        ProcessPool, "schedule", lambda pool, function, work: schedule(pool, environment, work)
    )
    (outcome,) = run_cells(cells(tmp_path), slots=["cpu"], grace=1)
    assert outcome.failure == expected
    for name in KEEP_MEMORY:
        os.environ.pop(name, None)
