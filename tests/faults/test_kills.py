"""A run that is killed or asked to stop ends, in the end, exactly like one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from experiments.record.checkpoint import Checkpoints, load
from tests.faults.children import (
    LONG,
    TINY,
    ended,
    fork,
    left_behind,
    outcome,
    slowly,
    train,
    trained,
    until,
)

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def test_a_run_killed_at_twenty_random_instants_ends_to_the_bit_like_an_undisturbed_one(in_tmp):
    words = (*LONG, "epochs=200")
    trained(words, "whole")
    instants, reached, started = random.Random(4), [], time.monotonic()
    checkpoint = Path("killed/checkpoint.pt")
    first = fork(train, words, "killed", slowly)
    until(checkpoint.exists)
    startup = time.monotonic() - started
    os.kill(first, signal.SIGKILL)
    ended(first)
    while len(reached) < 20 or (reached[-1] == reached[0] and len(reached) < 60):
        pid = fork(train, words, "killed", slowly)
        time.sleep(instants.uniform(0, 2 * startup))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL, "the run ended before it was killed; make it longer"
        reached.append(next(Checkpoints(checkpoint).states(CPU))["trainer"]["step"])
    assert reached == sorted(reached)
    assert reached[-1] > reached[0]
    trained(words, "killed")
    assert outcome("killed") == outcome("whole")
    assert left_behind("killed") == set()


def test_a_run_killed_while_it_holds_the_lock_of_bars_holds_up_no_other(in_tmp):
    def dies():
        tqdm.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    tqdm.get_lock()
    assert ended(fork(dies)) == -signal.SIGKILL
    trained(LONG, "a")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_step_end_saves_it_and_shows_in_the_exit_code(in_tmp, number):
    words = (*LONG[:-1], "checkpoint_every=1000")
    trained(words, "whole")

    def signalled(step):
        if step == 100:
            os.kill(os.getpid(), number)

    assert ended(fork(train, words, "stopped", signalled)) == 128 + number
    state = load(Path("stopped/checkpoint.pt"), CPU)
    assert state["trainer"]["step"] == 101
    assert not Path("stopped/failed.json").exists()
    trained(words, "stopped")
    assert "going on from step 101 of 300" in Path("child.log").read_text()
    assert outcome("stopped") == outcome("whole")


def test_a_second_ctrl_c_does_not_wait_for_the_step(in_tmp):
    def twice(step):
        if step == 50:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    pid = fork(train, LONG, "a", twice)
    until(lambda: "KeyboardInterrupt" in log())
    assert ended(pid) != 0


def log():
    return Path("child.log").read_text() if Path("child.log").exists() else ""


def test_a_signal_that_is_ignored_stays_ignored(in_tmp):
    def ignoring():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        train(LONG, "a", lambda step: os.kill(os.getpid(), signal.SIGHUP) if step == 9 else None)

    assert ended(fork(ignoring)) == 0
    assert Path("a/result.json").exists()


def test_the_command_itself_exits_with_the_signals_code_and_the_same_command_goes_on(in_tmp):
    command = [sys.executable, str(ROOT / "train.py"), *TINY, "epochs=2000", "eval_every=500"]
    command += ["checkpoint_every=0.2", "hydra.run.dir=a"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: Path("a/checkpoint.pt").exists() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    assert "the same command goes on" in process.communicate(timeout=60)[1]
    assert process.returncode == 143
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0
    assert "going on from step" in again.stderr


def test_a_clock_that_jumps_backwards_changes_nothing(in_tmp):
    trained(LONG, "whole")

    def backwards():
        hours = iter(range(10**6))
        time.time = lambda: 2e9 - 3600 * next(hours)
        train(LONG, "jumped", lambda step: os._exit(7) if step == 150 else None)

    assert ended(fork(backwards)) == 7
    trained(LONG, "jumped")
    assert outcome("jumped") == outcome("whole")
