"""A folder of results with the paper's tables, and small ones of two of our experiments."""

import shutil
from pathlib import Path

import pandas as pd

from experiments.record import files
from experiments.report.statistics.paper_claims import ADAMS, sweep

RESULTS = Path(__file__).parents[2] / "results"


def make(folder):
    """Make it below ``folder`` and return it."""
    shutil.copytree(RESULTS / "paper", folder / "results" / "paper")
    slopes = {"sgd": (-0.8, -0.9, -0.7), "sgdw": (0.5, 0.4, 0.6), "adam": (-0.3, -0.5, 0.1)}
    rows = [
        {"optim": optim, "statistic": "ridge_slope", "value": v, "low": low, "high": high,
         "n": 2, "basis": "5 of 8 rows x 2 seeds", "reason": "", "note": ""}
        for optim, (v, low, high) in slopes.items()
    ]  # fmt: skip
    results = folder / "results"
    slopes = pd.DataFrame(rows).to_csv(index=False)
    files.write(results / sweep("figure2") / "decoupling.csv", slopes)
    finding = {"kind": "gain", "of": ADAMS, "where": "constant", "value": 1.0,
               "low": -2.0, "high": 3.0, "n": 144, "reason": "", "note": ""}  # fmt: skip
    found = pd.DataFrame([finding, finding | {"where": "cosine", "low": 9.0, "high": 11.0}])
    files.write(results / sweep("figure1") / "findings.csv", found.to_csv(index=False))
    return results
