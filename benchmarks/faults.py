"""What safety costs: a checkpoint, the work that a kill loses, handing a large sweep to Slurm."""

import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmarks.measure import Timing
from experiments.models import ResNet
from experiments.record.checkpoint import Checkpoints
from experiments.record.folder import RunFolder
from experiments.run import build
from experiments.run.recorder import SHARE
from experiments.run.trainer import Trainer
from experiments.sweep import grid

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


def _state(words: tuple[str, ...]) -> dict[str, Any]:
    """Return what a checkpoint of a run holds after a step."""
    import torch

    config = grid.default(*QUIET, *[word for word in words if "resnet" not in word])
    config = {k: v for k, v in OmegaConf.to_container(config, resolve=True).items() if k != "hydra"}
    task = build.build_task(config)
    if any("resnet" in word for word in words):
        model = ResNet(channels=3, classes=10)
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

    words = (*QUIET, "epochs=100000", "eval_every=1000", f"checkpoint_every={every}")
    config = grid.default(*words)
    config = {k: v for k, v in OmegaConf.to_container(config, resolve=True).items() if k != "hydra"}
    instants, lost = random.Random(0), []
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        run = Path(folder) / "run"
        for _ in range(kills):
            pid = os.fork()
            if not pid:
                _count_steps(Path(folder) / "steps")
                run_cell(config, run)
                os._exit(0)
            time.sleep(2 + instants.uniform(0, 2 * every))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            done, seconds = map(float, (Path(folder) / "steps").read_text().split())
            saved = next(Checkpoints(RunFolder(run).checkpoint_file).states("cpu"), None)
            step = saved["trainer"]["step"] if saved else 0
            lost.append((done - step) * seconds)
    timing = Timing.of(lost)
    what = f"work lost by a kill, a checkpoint every {every:g} s, seconds"
    return [
        {"what": what, "ours": timing.median, "spread": timing.spread},
        {"what": f"{what}, most of {kills}", "ours": max(lost)},
    ]


def _count_steps(file: Path) -> None:
    """Let a run write down its step and the seconds that a step takes."""
    step, started = Trainer._train_step, time.perf_counter()
    aside = file.with_suffix(".aside")
    first: list[int] = []

    def counted(self: Trainer) -> None:
        step(self)
        first.append(self.step)
        text = f"{self.step} {(time.perf_counter() - started) / len(first)}"
        aside.write_text(text)
        os.replace(aside, file)  # whole, whenever the kill comes

    Trainer._train_step = counted


def submission(cells: int, per_job: int) -> list[dict[str, Any]]:
    """Time the command that hands a sweep to Slurm, if there is a Slurm; it leaves at once."""
    sys.path.insert(0, str(ROOT / "tests" / "slurm"))
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
