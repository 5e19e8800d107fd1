"""Real processes to kill: forks of the test process, which has torch imported already."""

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import torch
from tqdm import tqdm

from experiments.interrupt import Interrupted
from experiments.record.lock import Busy
from experiments.run import recorder, trainer
from experiments.run.cell import run
from tests.tiny_runs import TINY, composed

# torch imports much at the first optimizer; the children need not each do that again.
torch.optim.SGD([torch.zeros(1, requires_grad=True)])

#: Exit codes of a child that left for a reason of its own.
BUSY, FAILED = 20, 21
LONG = (*TINY, "epochs=100", "eval_every=20", "checkpoint_every=1e-9")  # 300 steps


def fork(function, *arguments, log="child.log"):
    """Run a function in a child; what it logs and raises is appended to a file."""
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    # tqdm's own is a semaphore that all forks share: one killed within it would stop the others.
    tqdm.set_lock(threading.RLock())
    try:
        logging.basicConfig(filename=log, level=logging.INFO, force=True)
        function(*arguments)
        code = 0
    except Interrupted as stop:
        code = stop.code
    except Busy as error:
        logging.info(error)
        code = BUSY
    except BaseException:
        logging.exception("failed")
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def ended(pid):
    """Wait for a child and return its exit code, negative for the signal that killed it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:  # the test's time is over; what hangs would keep the output open
        os.kill(pid, signal.SIGKILL)
        raise


def train(words, folder, before_step=None):
    """Run a configuration, keeping its last weights; a hook may act before each step.

    For children only: it changes what it finds.
    """
    recorder.SHARE = 1e9  # a checkpoint after every step, whatever it costs
    os.fsync = lambda handle: None  # no power fails here, and a slow disk would take minutes
    whole, step = trainer.Trainer.run, trainer.Trainer.train_step

    def kept(self, callbacks):
        final = yield from whole(self, callbacks)
        weights = [p.detach().clone() for p in self.model.parameters()]
        torch.save(weights, f"{folder}.weights")
        return final

    def hooked(self):
        if before_step:
            before_step(self.step)
        step(self)

    trainer.Trainer.run, trainer.Trainer.train_step = kept, hooked
    run(composed(*words), Path(folder))


def slowly(step):
    """A hook: take a hundredth of a second for a step."""
    time.sleep(0.01)


def trained(words, folder, **options):
    """Run a configuration to its end in a child."""
    assert ended(fork(lambda: train(words, folder, **options))) == 0


def until(happened, seconds=60):
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "this should have happened by now"
        time.sleep(0.002)


def outcome(folder):
    """All of a finished run that must not depend on what it went through."""
    row = json.loads(Path(folder, "result.json").read_text())
    row = {key: row[key] for key in row if key not in ("seconds", "date", "commit")}
    weights = torch.load(f"{folder}.weights", weights_only=True)
    metrics = Path(folder, "metrics.jsonl").read_bytes()
    return row, metrics, [tuple(weight.flatten().tolist()) for weight in weights]


def left_behind(folder):
    """Names in a folder of a finished run that should not be there."""
    return {path.name for path in Path(folder).iterdir()} - {
        "config.yaml", "metrics.jsonl", "result.json",
    }  # fmt: skip
