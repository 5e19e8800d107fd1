"""The paper's own cells as a runs table.

Typed: ``python -m experiments.report.data.paper CELLS.csv RUNS.csv``.

The input is the digitised heatmaps of Loshchilov & Hutter (2019): one row a cell with the columns
figure, task, optim, schedule, epochs, decay (raw | normalized), lr, wd, test_error (percent; top-5
for imagenet32; empty where a marker hides the cell) and clipped (high | low where the colour bar
saturates, so that the number is a bound). What the figures do not say is filled in from the text.
"""

import csv
import hashlib
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.record.files import write
from experiments.record.schema import FINISHED, complete
from experiments.record.tables import merge, render

BATCH = 128
TRAIN_SIZE = {"cifar10": 50_000, "imagenet32": 1_281_167}
COLUMNS = ("figure", "task", "optim", "schedule", "epochs", "decay", "lr", "wd", "clipped")
#: Epochs (of 100) at which the step schedule drops; the factor is not in the text, 0.1 is assumed.
DROPS, FACTOR = (30, 60, 80), 0.1


def convert(cell: Mapping[str, str]) -> dict[str, Any]:
    """Return one digitised cell as a row of the runs table.

    A normalized wd becomes ``weight_decay = wd sqrt(b / (B T))`` (Appendix B.1) with batch b,
    training set B, epochs T. Columns of which nothing is known (losses, seconds, commit, ...) stay
    empty; the seed is 0, the default of the authors' code.

    Raises:
        ValueError: A column is missing or the task is unknown.
    """
    missing = [name for name in (*COLUMNS, "test_error") if name not in cell]
    if missing:
        raise ValueError(f"the digitised cells lack the columns {missing}")
    task, epochs, wd = cell["task"], float(cell["epochs"]), float(cell["wd"])
    if task not in TRAIN_SIZE:
        raise ValueError(f"task={task} is not one of {', '.join(TRAIN_SIZE)}")
    steps = math.ceil(TRAIN_SIZE[task] / BATCH) * int(epochs)
    shrink = 1.0 if cell["decay"] == "raw" else math.sqrt(BATCH / (TRAIN_SIZE[task] * epochs))
    identity = "|".join(cell[name] for name in COLUMNS[:-1])
    unknown = ("seconds", "commit", "torch", "device", "precision", "threads", "date")
    values = dict.fromkeys(unknown) | {
        "id": "paper-" + hashlib.sha256(identity.encode()).hexdigest()[:12],
        "experiment": "paper",
        "figure": cell["figure"],
        "task": task,
        "model": "shake_shake_26_2x64d",
        "optim": cell["optim"],
        "convention": "decoupled" if cell["optim"].endswith("w") else "l2",
        "schedule": cell["schedule"],
        "decay": cell["decay"],
        "no_decay": "none",
        "lr": float(cell["lr"]),
        "wd": wd,
        "weight_decay": wd * shrink,
        "epochs": epochs,
        "steps": steps,
        "batch_size": BATCH,
        "train_size": TRAIN_SIZE[task],
        "eta_sum": eta_sum(cell["schedule"], steps),
        "seed": 0,
        "status": FINISHED,
        "test_error": float(cell["test_error"]) if cell["test_error"] else None,
        "clipped": cell["clipped"],
    }
    return complete(values)


def eta_sum(schedule: str, steps: int) -> float:
    """Return the sum of eta_t over t = 0 .. steps - 1, in closed form."""
    if schedule == "constant":
        return float(steps)
    if schedule == "cosine":
        return steps / 2 + 0.5
    if schedule == "step":
        ends = [0, *DROPS, 100]
        parts = zip(ends, ends[1:], range(len(ends)), strict=False)
        return sum((end - start) / 100 * steps * FACTOR**drop for start, end, drop in parts)
    raise ValueError(f"schedule={schedule} is not one of constant, cosine, step")


def main(source: str, target: str) -> None:
    """Write the runs table ``target`` from the digitised cells in ``source``."""
    with Path(source).open(newline="") as file:
        rows = [convert(cell) for cell in csv.DictReader(file)]
    write(Path(target), render(merge([], rows)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m experiments.report.data.paper CELLS.csv RUNS.csv")
    main(*sys.argv[1:])
