"""Cells an hour: ours against the plain script, one process against two, and what a cell costs."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Timing
from experiments.record import files, tables
from experiments.record.folder import finished_sweeps, run_folders

ROOT = Path(__file__).parents[1]
#: Cells of one measured sweep of ours; the baseline's runs take as long as they take, one a round.
CELLS = {"modular": 8, "cifar10_small": 4}
TARGET = {"modular": 5.0, "cifar10_small": 3.0}
TINY = ("epochs=1", "eval_every=1", "warmup_epochs=0")


def sweep(task: str, cells: int, *words: str, data_dir: str, cache_dir: str) -> float:
    """Return the wall seconds of a sweep in an empty folder, start of the command to its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, str(ROOT / "train.py"), "-m", f"task={task}", f"seed=range({cells})",
            "optim=adamw", f"data_dir={data_dir}", f"cache_dir={cache_dir}", *words,
        ]  # fmt: skip
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        sweeps = finished_sweeps(Path(folder) / "runs")
        done = sum(run.is_finished() for sweep in sweeps for run in run_folders(sweep))
        assert done == cells, f"{done} of {cells} cells finished"
    return seconds


def script(task: str, data_dir: str) -> float:
    """Return the wall seconds of one run of the plain script."""
    command = [sys.executable, str(ROOT / "benchmarks" / "baseline.py"), "--task", task,
               "--data-dir", data_dir]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def throughput(data_dir: str, cache_dir: str, rounds: int) -> list[dict[str, Any]]:
    """Measure cells an hour against the baseline, in turn."""
    rows = []
    for task, cells in CELLS.items():
        ours, theirs = [], []
        for _ in range(rounds):
            paths = {"data_dir": data_dir, "cache_dir": cache_dir}
            ours.append(sweep(task, cells, "tracker=none", **paths) / cells)
            theirs.append(script(task, data_dir))
        ratios = Timing.of([b / a for a, b in zip(ours, theirs, strict=True)])
        rows.append(
            {
                "what": f"sweep of {task}, cells an hour",
                "ours": 3600 / Timing.of(ours).median,
                "baseline": 3600 / Timing.of(theirs).median,
                "against": "plain script, run after run",
                "ratio": ratios.median,
                "spread": ratios.spread,
                "target": TARGET[task],
            }
        )
    return rows


def scaling(data_dir: str, cache_dir: str, rounds: int) -> list[dict[str, Any]]:
    """Compare n cells in one process with 2n cells in two, which ideally take equally long."""
    rows = []
    for task, cells in CELLS.items():
        one: list[float] = []
        two: list[float] = []
        for _ in range(rounds):
            for jobs, seconds in ((1, one), (2, two)):
                seconds.append(
                    sweep(
                        task,
                        jobs * cells // 2,
                        "tracker=none",
                        f"hydra.launcher.jobs={jobs}",
                        data_dir=data_dir,
                        cache_dir=cache_dir,
                    )  # fmt: skip
                )
        ratios = Timing.of([2 * a / b for a, b in zip(one, two, strict=True)])
        rows.append(
            {
                "what": f"two processes, {task}, cells an hour",
                "ours": 3600 * cells / Timing.of(two).median,
                "baseline": 3600 * cells / 2 / Timing.of(one).median,
                "against": "one process",
                "ratio": ratios.median,
                "spread": ratios.spread,
                "target": 1.8,
            }
        )
    return rows


def overhead(data_dir: str, cache_dir: str, rounds: int) -> list[dict[str, Any]]:
    """Measure what a cell costs besides training, in sweeps of cells of three steps.

    The processes' start is in it, spread over the cells; so are the three steps and the evaluation.
    """
    cells = 40
    rows = []
    for name, words, target in (
        ("tracker off", ("tracker=none",), 0.5),
        ("W&B offline", ("tracker=wandb", "tracker.mode=offline"), 1.5),
    ):
        paths = {"data_dir": data_dir, "cache_dir": cache_dir}
        seconds = Timing.of(
            [2 * sweep("modular", cells, *TINY, *words, **paths) / cells for _ in range(rounds)]
        )
        rows.append(
            {
                "what": f"overhead a cell, {name}, core-seconds",
                "ours": seconds.median,
                "spread": seconds.spread,
                "target": target,
                "lower_is_better": True,
            }
        )
    return rows


def memory() -> list[dict[str, Any]]:
    """Run 1,000 tiny cells in one process and compare its memory after 100 and after 1,000."""
    code = """
import logging, sys, tempfile
from pathlib import Path
from omegaconf import open_dict
from experiments.sweep import grid
from experiments.run.cell import run
def megabytes():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
with tempfile.TemporaryDirectory() as folder:
    config = grid.default("tracker=none", "progress=false", "task.modulus=7", "epochs=1",
                          "warmup_epochs=0", "model.width=8")
    with open_dict(config):
        del config["hydra"]
    for cell in range(1, 1001):
        config.seed = cell
        run(config, Path(folder) / str(cell))
        if cell in (100, 1000):
            print(megabytes())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    early, late = map(float, done.stdout.split())
    return [
        {
            "what": "memory of a worker after 1,000 cells, MB",
            "ours": late,
            "baseline": early,
            "against": "after 100 cells",
            "ratio": late / early,
            "target": 1.05,
            "lower_is_better": True,
        }
    ]


def analysis(rounds: int) -> list[dict[str, Any]]:
    """Time analyze.py on tables of 100, 1,000 and 10,000 runs, bootstrap included."""
    rows = []
    for size in (100, 1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            _write_table(Path(folder) / "results", size)
            command = [sys.executable, str(ROOT / "analyze.py"), "experiment=synthetic"]
            seconds = []
            for _ in range(rounds):
                started = time.perf_counter()
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
                seconds.append(time.perf_counter() - started)
        timing = Timing.of(seconds)
        rows.append(
            {
                "what": f"analyze.py on {size:,} runs, seconds",
                "ours": timing.median,
                "spread": timing.spread,
                "target": 10.0 if size == 10_000 else None,
                "lower_is_better": True,
            }
        )
    return rows


def _write_table(results: Path, size: int) -> None:
    """Write a runs table of two optimizers over a square grid, ten seeds, like a real one."""
    import math
    import random

    from experiments.record.schema import complete

    draw = random.Random(0)
    side = round(math.sqrt(size / 20))
    common = {
        "experiment": "synthetic", "task": "modular", "model": "transformer", "schedule": "cosine",
        "decay": "raw", "no_decay": "none", "epochs": 1.0, "steps": 100, "batch_size": 8,
        "train_size": 800, "eta_sum": 50.0, "status": "finished", "seconds": 1.0, "commit": "0",
        "torch": "2", "device": "cpu", "precision": "fp32", "threads": 1, "date": "2026-01-01",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for optim, convention, slope in (("adam", "l2", -1), ("adamw", "decoupled", 0)):
        for i in range(side):
            for j in range(side):
                for seed in range(10):
                    error = 5 + 0.1 * (j - side / 2 - slope * (i - side / 2)) ** 2
                    error += 0.05 * (i - side / 2) ** 2 + draw.gauss(0, 0.1)
                    rows.append(
                        complete(
                            common
                            | {
                                "id": f"{len(rows):016x}",
                                "optim": optim,
                                "seed": seed,
                                "convention": convention,
                                "lr": 2.0**-i,
                                "wd": 2.0**-j,
                                "weight_decay": 2.0**-j,
                                "test_error": error,
                                "test_loss": 1.0,
                                "train_error": 0.0,
                                "train_loss": 0.1,
                            }  # fmt: skip
                        )
                    )
    files.write(tables.file(results, "synthetic"), tables.render(tables.merge([], rows)))
