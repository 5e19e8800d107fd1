"""What the pool does when its processes do not start, die between cells or do not stop."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import resource_tracker, spawn

import pytest
from conftest import build_config

from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.pool import run_cells


def cells(folder, count=1):
    return [(build_config(f"seed={seed}"), folder / str(seed)) for seed in range(count)]


def test_processes_that_do_not_start_are_a_clear_error(tmp_path, monkeypatch):
    resource_tracker.ensure_running()
    monkeypatch.setattr(spawn, "_python_exe", b"/bin/false")
    with pytest.raises(UserError, match="processes that should run the cells do not start"):
        list(run_cells(cells(tmp_path), workers=1, grace=1))


def test_a_process_that_dies_between_two_cells_is_replaced_and_no_cell_is_lost(tmp_path):
    outcomes = []
    for outcome in run_cells(cells(tmp_path, 2), workers=1, grace=5):
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
        list(run_cells(cells(tmp_path), workers=1, grace=0.5))
    assert 0.5 < time.monotonic() - started < 10
    assert multiprocessing.active_children() == []
