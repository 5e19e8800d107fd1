"""Sweeps on the tests' Slurm: commands as a person types them, and faults put into their cells."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.tiny_runs import TINY

ROOT = Path(__file__).parents[3]

#: Makes cells of every process misbehave as files in the working folder say: ``raise-3`` lets the
#: cell of seed 3 raise, ``kill-3`` kills its process, ``slow`` holds up every step, ``gpus`` takes
#: what Slurm hands out for GPUs: each cell leaves its device and those of its job in ``gpu-SEED``.
SABOTAGE = """
import importlib.abc, importlib.util, os, signal, sys, time
from dataclasses import replace
from pathlib import Path

class Hook(importlib.abc.MetaPathFinder):
    def __init__(self, name, change):
        self.name, self.change = name, change

    def find_spec(self, name, path, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def patched(module):
            execute(module)
            self.change(module)
        spec.loader.exec_module = patched
        return spec

def given():
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")

def fake_gpus(module):
    if Path("gpus").exists():
        module._gpus = lambda device: [f"cuda:{i}" for i, _ in enumerate(given().split(","))]

def sabotage(module):
    run, update = module.course, module.Trainer.update
    def course(config, folder, **how):
        if Path(f"raise-{config.seed}").exists():
            raise RuntimeError("a broken cell")
        if Path(f"kill-{config.seed}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if Path("gpus").exists():
            Path(f"gpu-{config.seed}").write_text(f"{config.device} of {given()}")
            config = replace(config, device="cpu")
        return run(config, folder, **how)
    def slow(self, *batch):
        if Path("slow").exists():
            time.sleep(0.05)
        update(self, *batch)
    module.course, module.Trainer.update = course, slow

sys.meta_path.insert(0, Hook("experiments.run.cell", sabotage))
sys.meta_path.insert(0, Hook("experiments.sweep.slots", fake_gpus))
"""


class Lab:
    """A working folder whose commands know the tests' Slurm."""

    def __init__(self, folder, node):
        self.folder, self.node = folder, node
        (folder / "sitecustomize.py").write_text(SABOTAGE)
        self.environment = os.environ | node.environment | {
            "PYTHONPATH": f"{folder}:{ROOT}", "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline",
        }  # fmt: skip

    def command(self, name, *words, **launcher):
        keys = {"memory_gb": 1, "redraw": "false", "wait": "false"} | launcher
        return [
            sys.executable, str(ROOT / "train.py"), "-m", *TINY, f"name={name}", *words,
            "hydra/launcher=slurm_debug", *(f"hydra.launcher.{k}={v}" for k, v in keys.items()),
        ]  # fmt: skip

    def sweep(self, name, *words, **launcher):
        """Type the command of a sweep and wait for the command, not for the jobs."""
        return subprocess.run(
            self.command(name, *words, **launcher), cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def start(self, name, *words, **launcher):
        """Start the command of a sweep and return its process."""
        return subprocess.Popen(
            self.command(name, *words, **launcher), cwd=self.folder, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def status(self, name):
        """Return the cells of a sweep: their seed -> (state, reason)."""
        code = (
            "import sys, json; from experiments.sweep.slurm.status import status;"
            "print(json.dumps([[c.name, c.state, c.reason] for c in"
            " status(sys.argv[1], 'runs', 'results')]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, name], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        cells = json.loads(done.stdout)
        return {int(n.split("seed=")[1].split("-")[0]): (state, why) for n, state, why in cells}

    def states(self, name):
        """Return how many cells are in which state."""
        found = [state for state, _ in self.status(name).values()]
        return {state: found.count(state) for state in sorted(set(found))}

    def until(self, happened, seconds=180):
        """Wait for something, and show the jobs' logs if it does not come."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.3)

    def until_idle(self):
        """Wait for the last job."""
        self.until(lambda: not self.node.ask("squeue", "-h").strip())

    def cell(self, name, seed):
        """Return a run folder."""
        (folder,) = (self.folder / "runs" / name).glob(f"*seed={seed}-*")
        return folder

    def make(self, name):
        (self.folder / name).touch()

    def remove(self, name):
        (self.folder / name).unlink()

    def logs(self):
        files = self.folder.glob("runs/*/.sweep/*/log/*.out")
        return self.node.ask("squeue", "--states=all") + "\n".join(f.read_text() for f in files)
