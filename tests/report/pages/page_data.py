"""A small sweep with learning curves, and its page."""

import json

import numpy as np

from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import analyze
from tests.report.report_data import LRS, sweep, valley, write_runs

EPOCHS = (0, 1, 2, 5, 10)
QUICK = Settings(samples=20)


def rows():
    """Two optimizers; of AdamW one cell diverged, of one cell a seed did."""
    found = sweep(valley(-1.0), lrs=LRS[:6:2], optim="adam", convention="l2", seeds=(0, 1))
    found += sweep(valley(0.0), lrs=LRS[:6:2], optim="adamw", seeds=(0, 1))
    lost = {"status": "diverged", "test_error": None, "test_loss": None, "train_error": None}
    cells = sorted({(row["lr"], row["wd"]) for row in found})
    for row in found:
        at = cells.index((row["lr"], row["wd"]))
        if row["optim"] == "adamw" and (at == 3 or (at == 5 and row["seed"])):
            row |= lost
    return found


def write_curves(folder):
    """Give every run folder learning curves."""
    for path in folder.iterdir():
        row = json.loads((path / "result.json").read_text())
        end = row["test_error"] or 50.0
        lines = [
            {"step": 100 * e, "epoch": e, "eta": 1.0, "batch_loss": float(3 * np.exp(-e / 3) + 0.1),
             "test_error": end + 60 / (1 + e) - 60 / 11, "test_loss": 0.5 + 1 / (1 + e)}
            for e in EPOCHS
        ]  # fmt: skip
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def make(folder, found=None, *, curves=True, **asked):
    """Write runs below ``folder``, make the report; return the path of its page."""
    write_runs(folder / "runs" / "toy", rows() if found is None else found)
    if curves:
        write_curves(folder / "runs" / "toy")
    places = {"runs_dir": folder / "runs", "results_dir": folder / "results"}
    analyze("toy", **{"settings": QUICK, "html": True} | places | asked)
    return folder / "results" / "toy" / "report.html"
