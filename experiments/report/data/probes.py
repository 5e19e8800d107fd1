"""The probe's table of an experiment: gathered from run folders, typed, joined to its runs."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.probe.table import COLUMNS
from experiments.record.folder import RunFolder
from experiments.record.tables import Gathered, Kind, Row, gather_lines, text
from experiments.report.data.frames import side_frame

#: The committed table of what an experiment's probes saw, beside its runs table.
FILE = "probe.csv"
TEXT = ("id", "layer", "sample_r", "sample_root_v")
KIND = Kind(
    what="probe's table",
    columns=tuple(COLUMNS),
    numbers={name: int if name == "step" else float for name in COLUMNS if name not in TEXT},
    key=("id", "step", "layer"),
)


def gather(sweep: Path) -> Gathered:
    """Read what probes saw in every run of an experiment that has ended."""
    return gather_lines(sweep, _lines)


def _lines(run: RunFolder, name: str) -> list[Row]:
    found = [{"id": name} | line for line in run.probe()]
    return [{key: text(line[key]) for key in COLUMNS} for line in found]


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows of text as numbers, NaN where there is none.

    Raises:
        UserError: A number is none.
    """
    return side_frame(rows, KIND)


def joined(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add to each typed row what its run is: task, optim, lr, wd and seed.

    Args:
        rows: From :func:`frame`.
        runs: The typed runs table; runs that are not in it lose their rows.
    """
    return rows.merge(runs[["id", "task", "optim", "lr", "wd", "seed"]], on="id")
