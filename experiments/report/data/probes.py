"""The probe's table of an experiment: gathered from run folders, typed, joined to its runs."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.probe.table import COLUMNS
from experiments.record import tables
from experiments.record.folder import RunFolder
from experiments.record.tables import Gathered, Kind, Row, gather_lines, text
from experiments.report.data.frames import side_frame

log = logging.getLogger(__name__)

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


def known(sweep: Path, folder: Path) -> list[Row]:
    """Return the committed rows of an experiment's probes with those of its run folders.

    Run folders whose table is damaged are named in a warning and left out.

    Args:
        sweep: The folder of its runs.
        folder: The folder of its committed tables.

    Raises:
        UserError: The committed table is damaged.
    """
    found = gather(sweep)
    if found.corrupt:
        log.warning("skipped corrupt probes: %s", "; ".join(found.corrupt))
    return tables.merge(tables.read(folder / FILE, KIND), found.rows, KIND)


def _lines(run: RunFolder, name: str) -> list[Row]:
    found = [{"id": name} | line for line in run.probe()]
    return [{key: text(line[key]) for key in COLUMNS} for line in found]


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows of text as numbers, NaN where there is none.

    Raises:
        UserError: A number is none.
    """
    return side_frame(rows, KIND)


def joined(rows: pd.DataFrame, runs: pd.DataFrame, *also: str) -> pd.DataFrame:
    """Add to each typed row what its run is: task, optim, lr, wd and seed.

    Args:
        rows: From :func:`frame`.
        runs: The typed runs table; runs that are not in it lose their rows.
        also: Further columns of the runs table to add.
    """
    return rows.merge(runs[["id", "task", "optim", "lr", "wd", "seed", *also]], on="id")
