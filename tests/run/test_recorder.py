"""When checkpoints are written: by the clock, within their share of the run, and when asked."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from tqdm import tqdm

from experiments import interrupt
from experiments.interrupt import Interrupted, listening
from experiments.record.folder import RunWriter
from experiments.run import recorder
from experiments.run.recorder import SHARE, Recorder
from tests.tiny_runs import TINY, composed


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(recorder, "time", made)
    return made


@pytest.fixture
def files(in_tmp):
    config = OmegaConf.to_container(composed(*TINY), resolve=True)
    made = RunWriter(Path("a"), config, "id")
    with made.held():
        yield made


def recorder_of(files, clock, every):
    return Recorder(files, tqdm(disable=True), every, {"data": "hash"}, clock.now)


def test_a_checkpoint_is_due_after_its_interval(files, clock):
    one = recorder_of(files, clock, 60)
    clock.now += 59
    assert not one.checkpoint_due()
    clock.now += 2
    assert one.checkpoint_due()
    one.checkpoint({})
    assert not one.checkpoint_due()


def test_checkpoints_that_take_long_are_written_less_often(files, clock, monkeypatch):
    one = recorder_of(files, clock, 60)
    save = files.checkpoints.save

    def slow(state):
        clock.now += 3
        save(state)

    monkeypatch.setattr(files.checkpoints, "save", slow)
    one.checkpoint({})
    clock.now += 3 / SHARE - 1
    assert not one.checkpoint_due()
    clock.now += 2
    assert one.checkpoint_due()


def test_a_request_to_stop_makes_one_due_at_once_and_then_stops(files, clock):
    one = recorder_of(files, clock, 60)
    with listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert one.checkpoint_due()
        with pytest.raises(Interrupted) as stopped:
            one.checkpoint({"step": 3})
    assert stopped.value.code == 143
    assert next(files.checkpoints.states("cpu"))["trainer"] == {"step": 3}
    assert interrupt.received() is None


def test_the_seconds_of_earlier_attempts_count_up_to_their_last_checkpoint(files, clock):
    first = recorder_of(files, clock, 60)
    clock.now += 100
    first.checkpoint({})
    clock.now += 1000  # lost, and away
    second = recorder_of(files, clock, 60)
    task = SimpleNamespace(test=SimpleNamespace(labels=torch.zeros(1)))
    budget = SimpleNamespace(steps=9)
    second.resume(SimpleNamespace(task=task, budget=budget, step=3, load_state_dict=dict))
    clock.now += 7
    assert second.seconds() == 107
