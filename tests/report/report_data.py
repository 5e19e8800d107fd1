"""Synthetic tables with a known answer, as averaged cells or as rows of the runs table."""

import json

import numpy as np
import pandas as pd

from experiments.report.data.surface import surface

LRS = 2.0 ** np.arange(-8, 1)
WDS = 2.0 ** np.arange(-12, 1)


def cells(error, lrs=LRS, wds=WDS, **columns):
    """One row a cell of ``error(log2 lr, log2 wd)``; wd = 0 is passed as -inf."""
    with np.errstate(divide="ignore"):
        rows = [
            {"lr": lr, "wd": wd, "test_error": error(np.log2(lr), np.log2(wd))}
            for lr in lrs
            for wd in wds
        ]
    return pd.DataFrame(rows).assign(**columns)


def on_cells(statistic):
    """A statistic of a surface as one of a frame of averaged cells."""
    return lambda table, *args, **named: statistic(surface(table), *args, **named)


def valley(slope, at=-8.0, steep=0.3, shallow=0.01):
    """A valley along log2 wd = at + slope * (log2 lr + 4), almost level along its floor."""
    return lambda lr, wd: (
        5.0 + steep * abs(wd - at - slope * (lr + 4)) ** 1.5 + shallow * (lr + 4) ** 2
    )


def run(**values):
    """One finished run as result.json holds it."""
    row = {
        "experiment": "toy",
        "task": "modular",
        "model": "transformer",
        "optim": "adamw",
        "convention": "decoupled",
        "schedule": "cosine",
        "decay": "raw",
        "no_decay": "none",
        "lr": 0.001,
        "wd": 0.01,
        "epochs": 10.0,
        "steps": 1000,
        "batch_size": 32,
        "train_size": 3200,
        "eta_sum": 500.5,
        "seed": 0,
        "status": "finished",
        "test_error": 5.0,
        "test_loss": 0.5,
        "val_error": None,
        "val_loss": None,
        "train_error": 0.0,
        "train_loss": 0.01,
        "seconds": 36.0,
        "commit": "0123abc",
        "torch": "2.14.1",
        "device": "a processor",
        "precision": "fp32",
        "threads": 1,
        "date": "2026-11-22T12:00:00Z",
    } | values
    row.setdefault("weight_decay", row["wd"])
    keys = ("optim", "schedule", "epochs", "lr", "wd", "seed")
    row.setdefault("id", "-".join(str(row[key]) for key in keys))
    return row


def sweep(error=None, lrs=LRS[::2], wds=(0.0, *WDS[::3]), seeds=(0, 1, 2), sd=0.1, **values):
    """Rows of a sweep over lr, wd and seeds with Gaussian noise; equal noise at equal places."""
    error = error or valley(0.0)
    generator = np.random.default_rng(0)
    rows = []
    for lr in lrs:
        for wd in wds:
            mean = error(np.log2(lr), np.log2(wd)) if wd else 12.0
            for seed in seeds:
                value = mean + sd * generator.standard_normal()
                rows.append(run(lr=float(lr), wd=float(wd), seed=seed, test_error=value, **values))
    return rows


def write_runs(folder, rows):
    """Write each row as a run folder below ``folder``."""
    for number, row in enumerate(rows):
        path = folder / f"{row['optim']}-{number}"
        path.mkdir(parents=True)
        (path / "result.json").write_text(json.dumps(row))


def frame(rows):
    """Rows as the typed frame that reports work on."""
    from experiments.record import tables
    from experiments.report.data import frames

    return frames.frame(tables.merge([], rows))
