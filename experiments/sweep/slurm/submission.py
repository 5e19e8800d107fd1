"""What was asked for and handed to Slurm: kept beside the run folders, in ``.sweep``.

``plan.txt`` names every cell that a sweep asked for. Each submission has a folder with
``cells.jsonl``, the configurations as they were then, and ``submission.json``, written before the
scheduler hears of it, so that no instant leaves a queued cell unknown.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from experiments.record.files import write_atomically
from experiments.record.folder import RunFolder
from experiments.sweep.cell import Cell
from experiments.sweep.slurm.squeue import SlurmTask

FOLDER = ".sweep"
OTHER_CODE = "other_code.txt"  # of a submission of which a job ran on code that had changed


@dataclass(frozen=True)
class Submission:
    """One array of jobs.

    Attributes:
        folder: Where it is kept.
        name: The name of the jobs.
        cells: Names of the run folders, in the order in which jobs take them.
        shards: First and one past the last cell of each job.
        commit: Of the code, + appended when files differed from it.
        sources: Hash of the code.
        job: Slurm's number of the array, once known.
        date: When it was submitted.
    """

    folder: Path
    name: str
    cells: list[str]
    shards: list[tuple[int, int]]
    commit: str
    sources: str
    job: str | None = None
    date: str = field(default_factory=lambda: datetime.now().isoformat(timespec="seconds"))

    def save(self) -> "Submission":
        """Write submission.json."""
        values = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_atomically(self.folder / "submission.json", json.dumps(values).encode())
        return self

    def indexed(self) -> Iterator[tuple[str, int]]:
        """Yield the name of every cell with the index of its job in the array."""
        for index, (first, end) in enumerate(self.shards):
            for cell in self.cells[first:end]:
                yield cell, index


def prepare(
    sweep: Path,
    experiment: str,
    cells: Sequence[Cell],
    cells_per_job: int,
    code: tuple[str, str],
) -> Submission:
    """Write down what is about to be submitted.

    Args:
        sweep: The folder of the run folders.
        experiment: For the name of the jobs.
        cells: What its jobs are to run.
        cells_per_job: How many a job runs.
        code: Commit and hash of the sources.
    """
    label = f"{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    folder = (sweep / FOLDER / label).absolute()
    folder.mkdir(parents=True)
    lines = (
        json.dumps(
            {"sweep": str(cell.sweep), "name": cell.name, "config": cell.job}, separators=(",", ":")
        )
        + "\n"
        for cell in cells
    )
    write_atomically(folder / "cells.jsonl", "".join(lines).encode())
    starts = range(0, len(cells), cells_per_job)
    shards = [(first, min(first + cells_per_job, len(cells))) for first in starts]
    names = [cell.name for cell in cells]
    return Submission(folder, f"{experiment}-{label}", names, shards, *code).save()


def load(folder: Path) -> Submission:
    """Read one submission."""
    values = json.loads((folder / "submission.json").read_text())
    values["shards"] = [tuple(shard) for shard in values["shards"]]
    return Submission(folder=folder, **values)


def submissions(sweep: Path) -> list[Submission]:
    """Return every submission of a sweep, oldest first."""
    files = sorted((sweep / FOLDER).absolute().glob("*/submission.json"))
    return sorted((load(file.parent) for file in files), key=lambda s: int(s.job or 0))


def cells_of(folder: Path, shard: tuple[int, int]) -> list[Cell]:
    """Return the cells that one job is to run."""
    with (folder / "cells.jsonl").open() as lines:
        found = [json.loads(line) for line in islice(lines, *shard)]
    return [Cell(cell["config"], Path(cell["sweep"]), cell["name"]) for cell in found]


def in_queue(sweep: Path, tasks: Mapping[tuple[str, int], SlurmTask]) -> dict[str, SlurmTask]:
    """Return the cells that a job of the queue runs or will run, with that job.

    A cell that has failed in a job does not wait for that job any more.
    """
    found = {}
    for submission in submissions(sweep):
        for cell, index in submission.indexed():
            task = tasks.get((submission.name, index))
            if task and task.active and RunFolder(sweep / cell).failed_in() != task.job:
                found[cell] = task
    return found


def plan(sweep: Path) -> dict[str, str]:
    """Return the cells that sweeps asked for: the name of the run folder -> the run's identity."""
    try:
        lines = (sweep / FOLDER / "plan.txt").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.rsplit(" ", 1) for line in lines)


def add_to_plan(sweep: Path, cells: Iterable[tuple[str, str]]) -> None:
    """Add cells that a sweep asks for."""
    known = plan(sweep)
    wanted = known | dict(cells)
    if wanted != known:
        (sweep / FOLDER).mkdir(parents=True, exist_ok=True)
        text = "".join(f"{name} {identity}\n" for name, identity in wanted.items())
        write_atomically(sweep / FOLDER / "plan.txt", text.encode())
