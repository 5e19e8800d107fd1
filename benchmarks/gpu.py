"""What a GPU does with the cells of a sweep: alone, in eight processes, and in bundles.

python -m benchmarks.gpu            # prints a table, writes results/benchmarks/gpu.json
python -m benchmarks.gpu modular    # some of the tasks only

Images and texts are noise of the real sizes: no data are needed. Every measurement is a process of
its own, from its start. The committed gpu.json holds five measurements, two seconds each, that were
made one after the other in one process: only the first says how long the start takes.
"""

import argparse
import hashlib
import json
import random
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()  # before torch is imported

try:
    import torch
    from omegaconf import OmegaConf, open_dict

    from experiments.record.provenance import commit
    from experiments.run import build
    from experiments.run.bundle import Steps
    from experiments.run.device import device_name
    from experiments.run.schema import RunConfig
    from experiments.run.trainer import Trainer
    from experiments.sweep import grid
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing; install what this needs: pip install -e '.[lab]'")

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
#: Task -> how to ask for it, and how many cells are bundled.
TASKS: dict[str, tuple[list[str], list[int]]] = {
    "modular": (["task=modular"], [1, 4, 16, 64]),
    "shakespeare": (["task=text"], [1, 4, 16, 64]),
    "resnet8": (["task=cifar10_medium"], [1, 16, 64]),
    "resnet20": (["task=cifar10"], [1, 4, 16]),
    "shake_shake_64d": (["task=cifar10", "model=shake_shake_64d"], [1, 2, 4]),
}
#: What the best bundle should reach on an H100.
TARGETS = {"modular": "60 x one process", "shakespeare": "20 x one process",
           "resnet20": "110,000 images/s", "shake_shake_64d": "17,000 images/s"}  # fmt: skip
COMPARED = 12  # steps after which weights are compared: some as they are, some replayed
PROFILED = 20  # steps during which kernels are timed


def config(task: str, number: int, capture: str, text_file: str) -> RunConfig:
    """Return the configuration of the ``number``-th cell of a bundle, with a rate of its own."""
    words = [*TASKS[task][0], "optim=adamw", "wd=1e-3", f"lr={1e-3 * 1.01**number}", "tracker=none"]
    if task == "shakespeare":
        words += [f"text_file={text_file}"]
    composed = grid.default(*words, f"capture={capture}", "progress=false")
    with open_dict(composed):
        del composed["hydra"]
    plain: Any = OmegaConf.to_container(composed, resolve=True)
    return RunConfig.from_plain(plain)


def measure(
    task: str, cells: int, capture: str, seconds: float, device: torch.device, text_file: str = ""
) -> dict[str, Any]:
    """Train cells together and return what was measured.

    Returns:
        ``start`` (seconds from the start of this process to the first step), ``cell_steps`` and
        ``images`` a second, ``memory`` (GB), ``busy`` (share of the time in which a kernel runs)
        and ``bits`` (a hash of the first cell's weights after a few steps).
    """
    configs = [config(task, number, capture, text_file) for number in range(cells)]
    noise = {"data_dir": None} if "cifar" in configs[0].task.target else {}
    data = build.build_task(configs[0], **noise).to(device)
    trainers = [build.build_trainer(cell, data, device) for cell in configs]
    group, steps = dict(enumerate(trainers)), Steps()
    on_gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None

    def take() -> None:
        if failed := steps.take(group):
            raise next(iter(failed.values()))

    take()
    wait()
    start = time.perf_counter() - STARTED
    for _ in range(COMPARED - 1):
        take()
    bits = _bits(trainers[0])
    wait()
    began = time.perf_counter()
    for taken in count():
        if taken % 10 == 0:
            wait()
            if time.perf_counter() - began > seconds:
                break
        take()
    pace = cells * taken / (time.perf_counter() - began)
    return {
        "task": task, "cells": cells, "capture": capture, "start": start, "cell_steps": pace,
        "images": pace * trainers[0].budget.batch_size,
        "memory": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
        "busy": _busy(take) if on_gpu else None, "bits": bits,
    }  # fmt: skip


def _bits(trainer: Trainer) -> str:
    weights = b"".join(p.detach().cpu().numpy().tobytes() for p in trainer.model.parameters())
    return hashlib.sha256(weights).hexdigest()[:12]


def _busy(take: Any) -> float:
    """Return the share of the time of some steps in which at least one kernel runs."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        began = time.perf_counter()
        for _ in range(PROFILED):
            take()
        torch.cuda.synchronize()
        wall = time.perf_counter() - began
    events = profiled.events() or []
    spans = sorted((e.time_range.start, e.time_range.end) for e in events if e.device_time > 0)
    return covered(spans) / 1e6 / wall


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return the length of the union of intervals, sorted by their start."""
    total, end = 0.0, float("-inf")
    for start, stop in spans:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def in_processes(processes: int, *words: str) -> list[dict[str, Any]]:
    """Measure in so many processes at a time, and return what each says."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--child", *words]
    root = Path(__file__).parents[1]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(processes)
    ]
    said = [child.communicate()[0] for child in started]
    if any(child.returncode for child in started):
        sys.exit(f"a measurement failed: {' '.join(words)}")
    return [json.loads(lines.splitlines()[-1]) for lines in said]


def plain_script(seconds: float) -> dict[str, Any]:
    """Return the steps a second of the plain script on modular addition, of three an epoch."""
    script, times = str(Path(__file__).with_name("baseline.py")), []
    for epochs in (20, 20 + 5 * round(seconds)):
        began = time.perf_counter()
        subprocess.run([sys.executable, script, "--task", "modular", "--epochs", str(epochs)],
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        times.append(time.perf_counter() - began)
    pace = 3 * 5 * round(seconds) / (times[1] - times[0])
    return {"task": "modular", "way": "the plain script", "cell_steps": pace, "images": pace * 512}


def everything(tasks: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Measure each way of running cells of each task."""
    rows = [plain_script(seconds)] if "modular" in tasks else []
    with tempfile.TemporaryDirectory() as folder:
        text_file = Path(folder) / "noise.txt"
        letters = (string.ascii_letters + " .,;:!?-'\n&3$")[:65]
        text_file.write_text("".join(random.Random(0).choices(letters, k=1_115_394)))
        for task in tasks:
            given = (str(seconds), str(text_file))
            alone = in_processes(1, task, "1", "false", *given)[0]
            eight = in_processes(8, task, "1", "false", *given)
            together = {key: sum(row[key] for row in eight) for key in ("cell_steps", "images")}
            rows += [
                alone | {"way": "one process"},
                eight[0] | together | {"way": "eight processes"},
            ]
            first = None
            for cells in TASKS[task][1]:
                row = in_processes(1, task, str(cells), "true", *given)[0]
                first = first or row
                rows.append(row | {
                    "way": f"bundle of {cells}", "same_bits": row["bits"] == first["bits"],
                    "gain": row["cell_steps"] / alone["cell_steps"],
                })  # fmt: skip
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what was measured as a table that a person reads."""
    lines = [("task", "way", "cell-steps/s", "examples/s", "gain", "start s", "GB", "busy",
              "as alone")]  # fmt: skip
    for row in rows:
        same = {True: "to the bit", False: "not to the bit", None: ""}[row.get("same_bits")]
        lines.append((
            row["task"], row["way"], f"{row['cell_steps']:,.0f}", f"{row['images']:,.0f}",
            *(f"{row[key]:.3g}" if row.get(key) is not None else ""
              for key in ("gain", "start", "memory", "busy")), same,
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = ["  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True))
            for line in lines]  # fmt: skip
    asked = {row["task"] for row in rows}
    goals = [f"{task}: {goal}" for task, goal in TARGETS.items() if task in asked]
    return "\n".join([*told, f"targets on an H100: {'; '.join(goals)}; start below 20 s"])


def main() -> None:
    """Measure what was asked for, print it and write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("tasks", nargs="*", help=f"any of: {' '.join(TASKS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to time each")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.tasks) - set(TASKS):
        parser.error(f"unknown task {sorted(unknown)[0]}; there are {', '.join(TASKS)}")
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: torch finds no NVIDIA GPU here")
    if arguments.child:
        task, cells, capture, seconds, text_file = arguments.child
        device = torch.device("cuda")
        print(json.dumps(measure(task, int(cells), capture, float(seconds), device, text_file)))
        return
    rows = everything(arguments.tasks or list(TASKS), arguments.seconds)
    print(table(rows))
    card = {"device": device_name(torch.device("cuda")), "torch": str(torch.__version__)}
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / "gpu.json"
    file.write_text(json.dumps({"rows": rows} | card | {"commit": commit()}, indent=1) + "\n")
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
