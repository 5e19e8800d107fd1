"""What the tests run in a process of their own: cells of a sweep, each under its own tracker."""

import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
import urllib.request
from pathlib import Path

from experiments.record.schema import COLUMNS
from experiments.tracking.mirror import WandbTracker

faulthandler.dump_traceback_later(150, exit=True)  # a hang shows where it hangs
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)

opened = threading.Event()  # set by the line that says where W&B puts a run


class _Opened(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("W&B: "):
            opened.set()


logging.getLogger("experiments.tracking").addHandler(_Opened())

TEXT = dict(id="x", status="finished", convention="decoupled", date="2026-01-01T00:00:00Z")


def row(name, **values):
    """A full row of the runs table, numbers all different."""
    numbers = {key: float(i) for i, (key, (dtype, _)) in enumerate(COLUMNS.items()) if "6" in dtype}
    text = {key: TEXT.get(key, key) for key, (dtype, _) in COLUMNS.items() if dtype == "string"}
    return text | numbers | dict(id=name, clipped=None) | values


def cell(name, steps=range(0, 30, 10), *, error=None, middle=None, finish=None, **options):
    """Track a run that has test_error = step + 0.5 at ``steps`` and may do or raise things.

    Like a run that goes on from a checkpoint, it cuts off what is written of these steps already.
    """
    metrics = Path("runs", name, "metrics.jsonl")
    description = dict(
        folder=metrics.parent,
        id=name,
        name=f"cell {name}",
        group="sweep",
        job_type="train",
        tags=["adamw"],
        config={"name": "sweep", "lr": 0.001, "optim": {"name": "adamw"}},
        project="lab",
        init_timeout=20,
    )
    opened.clear()
    metrics.parent.mkdir(parents=True, exist_ok=True)
    points = metrics.read_text().splitlines() if metrics.exists() else []
    points = [line for line in points if not steps or json.loads(line)["step"] < steps[0]]
    metrics.write_text("".join(f"{line}\n" for line in points))
    with WandbTracker(**description | options) as tracker, metrics.open("a", buffering=1) as file:
        for step in steps:
            print(json.dumps({"step": step, "test_error": step + 0.5}), file=file)
        if middle:
            opened.wait()
            middle()
        if error:
            raise error
        tracker.finish(finish or row(name))
    print("done", name, flush=True)


def wait_for_file(name, text):
    """Wait until W&B has written ``text`` to the local file of the run ``name``."""
    while not any(text in path.read_bytes() for path in Path("runs", name).rglob("run-*.wandb")):
        time.sleep(0.05)


def server_is(state):
    """Make the server ``failing`` or ``hanging`` from now on."""
    urllib.request.urlopen(f"{os.environ['WANDB_BASE_URL']}/be/{state}").close()


def cores():
    """Process ids of the wandb services that this process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = path.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1]
            command = path.joinpath("cmdline").read_text()
        except OSError:
            continue
        if parent == str(os.getpid()) and "wandb-core" in command:
            found.append(int(path.name))
    return found


def kill_service(number=signal.SIGKILL):
    """Send a signal to W&B's service, which must have been there."""
    found = cores()
    assert found, "no service to kill"
    for pid in found:
        os.kill(pid, number)
