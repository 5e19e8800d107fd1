"""What safety costs: a checkpoint, the work that a kill loses, handing a large sweep to Slurm."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.measure import Timing
from experiments.models import ResNet
from experiments.record.checkpoint import Checkpoints
from experiments.record.folder import RunFolder
from experiments.run import build
from experiments.run.recorder import SHARE
from experiments.run.schema import Entry, RunConfig
from experiments.sweep import grid
from experiments.sweep.compose import plain

log = logging.getLogger("benchmarks")
ROOT = Path(__file__).parents[1]
QUIET = ("tracker=none", "progress=false", "threads=1")
NETWORKS = {
    "transformer, modular addition": ("task=modular",),
    "ResNet-20, width 16": ("task=modular", "model=resnet20"),
}


def checkpoint_cost(repeats: int) -> list[dict[str, Any]]:
    """Time one checkpoint, flushed to disk, of networks with their optimizer's state."""
    rows = []
    for name, words in NETWORKS.items():
        state = _state(words)
        with tempfile.TemporaryDirectory(dir=ROOT) as folder:
            checkpoints, seconds = Checkpoints(Path(folder) / "state.pt"), []
            for _ in range(repeats + 1):
                started = time.perf_counter()
                checkpoints.save(state)
                seconds.append(time.perf_counter() - started)
            size = checkpoints.newest.stat().st_size
        timing = Timing.of(seconds[1:])
        rows.append({
            "what": f"checkpoint of a {name} under AdamW, {size / 1e6:.1f} MB, ms",
            "ours": 1e3 * timing.median, "spread": timing.spread,
        })  # fmt: skip
        every = max(grid.default().checkpoint_every, timing.median / SHARE)
        rows.append({
            "what": f"checkpoints of a {name} under AdamW, % of a run",
            "ours": 100 * timing.median / every, "spread": timing.spread,
            "target": 100 * SHARE, "lower_is_better": True,
        })  # fmt: skip
    return rows


def _config(*words: str) -> RunConfig:
    return RunConfig.from_plain(plain(grid.default(*QUIET, *words)))


def _state(words: tuple[str, ...]) -> dict[str, Any]:
    """Return what a checkpoint of a run holds after a step."""
    config = _config(*[word for word in words if "resnet" not in word])
    task = build.build_task(config)
    if any("resnet" in word for word in words):
        model: nn.Module = ResNet(channels=3, classes=10)
    else:
        model = build.build_model(config, task)
    optimizer = build.build_optimizer(config, model, 0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def lost_work(kills: int, every: float) -> list[dict[str, Any]]:
    """Kill one run at random instants; time how much of each attempt was lost."""
    from experiments.run.cell import run_cell

    instants, lost = random.Random(0), []
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        run, counted = Path(folder) / "run", Path(folder) / "steps"
        config = _config("epochs=100000", "eval_every=1000", f"checkpoint_every={every}")
        watched = {"name": "steps", "_target_": f"{__name__}.StepCounter", "file": str(counted)}
        config = replace(config, probe=Entry(watched))
        for _ in range(kills):
            pid = os.fork()
            if not pid:
                run_cell(config, run)
                os._exit(0)
            while not counted.exists():  # until it has begun
                assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the run ended before its first step"
                time.sleep(0.01)
            time.sleep(instants.uniform(0, 2 * every))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            done, seconds = json.loads(counted.read_text())
            checkpoints = Checkpoints(RunFolder(run).checkpoint_file)
            saved = next(checkpoints.states(torch.device("cpu")), None)
            step = saved["trainer"]["step"] if saved else 0
            lost.append((done - step) * seconds)
            counted.unlink()
    timing = Timing.of(lost)
    what = f"work lost by a kill, a checkpoint every {every:g} s, seconds"
    return [
        {"what": what, "ours": timing.median, "spread": timing.spread},
        {"what": f"{what}, most of {kills}", "ours": max(lost)},
    ]


class StepCounter:
    """A run's probe that writes down the step and the seconds that one has taken on average."""

    def __init__(self, optimizer: Optimizer, layers: Mapping[str, Tensor], steps: int, seed: int,
                 write: Callable[..., None], file: str):  # fmt: skip
        self._file, self._taken, self._started = Path(file), 0, time.perf_counter()

    def before_step(self, step: int) -> None:
        """Nothing is known yet."""

    def after_step(self, step: int) -> None:
        self._taken += 1
        content = [step + 1, (time.perf_counter() - self._started) / self._taken]
        aside = self._file.with_suffix(".aside")
        aside.write_text(json.dumps(content))
        os.replace(aside, self._file)  # whole, whenever the kill comes

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is kept."""


def submission(cells: int, per_job: int) -> list[dict[str, Any]]:
    """Time the command that hands a sweep to Slurm, if there is a Slurm; it leaves at once."""
    sys.path.insert(0, str(ROOT / "tests" / "sweep" / "slurm"))
    from one_node import OneNode, absent

    if absent():
        log.warning("submission is not measured: %s", absent())
        return []
    axes = [f"{axis}={','.join(str(unit * (i + 1)) for i in range(n))}"
            for axis, unit, n in (("lr", 1e-4, 25), ("wd", 1e-3, 20))]  # fmt: skip
    words = ["-m", *QUIET, *axes, f"seed=range({cells // 500})", "hydra/launcher=slurm",
             "hydra.launcher.gpus=0",
             f"hydra.launcher.cells_per_job={per_job}", "hydra.launcher.redraw=false",
             "hydra.launcher.memory_gb=1"]  # fmt: skip
    with OneNode() as node, tempfile.TemporaryDirectory() as folder:
        node.ask("scontrol", "update", "PartitionName=main", "State=DOWN")
        command = [sys.executable, str(ROOT / "train.py"), *words]
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, env=os.environ | node.environment, check=True)
        seconds = time.perf_counter() - started
    what = f"submitting {cells:,} cells, {per_job} a job, from command to prompt, seconds"
    return [{"what": what, "ours": seconds}]


def faults(rounds: int) -> list[dict[str, Any]]:
    """Measure everything and return one row a figure."""
    return [
        *checkpoint_cost(5 * rounds),
        *lost_work(kills=5 * rounds, every=2.0),
        *submission(1000, 8),
        *submission(10000, 16),
    ]
