"""How every cell of a sweep is: from its run folder, the committed table, and Slurm."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.folder import RunFolder, run_folders, stored_row
from experiments.record.schema import DIVERGED, FINISHED, NAME
from experiments.record.tables import Row
from experiments.sweep import grid
from experiments.sweep.slurm import squeue, submission
from experiments.sweep.slurm.squeue import SlurmTask

RUNNING, QUEUED, FAILED = "running", "queued", "failed"
STOPPED, MISSING = "stopped", "missing"  # with a checkpoint, and without
ORDER = (FINISHED, DIVERGED, RUNNING, QUEUED, FAILED, STOPPED, MISSING)
SHOWN = 20  # cells listed under a state that wants attention


@dataclass(frozen=True)
class CellStatus:
    """One cell: the name of its folder, its state, and what there is to say about it."""

    name: str
    state: str
    reason: str = ""


def status_of(options: Mapping[str, Any]) -> str:
    """Return the status that the keys of ``configs/analyze`` ask for, as text."""
    name, runs_dir = options["experiment"], options["runs_dir"]
    if not NAME.fullmatch(name):
        raise UserError(f"give experiment=NAME, the name of a sweep, got {name!r}")
    return text(name, status(name, runs_dir, options["results_dir"]), Path(runs_dir) / name)


def status(name: str, runs_dir: str | Path, results_dir: str | Path) -> list[CellStatus]:
    """Return every cell that a sweep asked for, or that has a run folder.

    Where nothing was started yet these are the committed runs, and those that its preset has
    besides.

    Args:
        name: The experiment.
        runs_dir: Where run folders are.
        results_dir: Where committed tables are.

    Raises:
        UserError: Nothing of that name was ever started.
    """
    sweep = Path(runs_dir) / name
    plan = submission.plan(sweep)
    folders = {run.path.relative_to(sweep).as_posix() for run in run_folders(sweep)}
    committed = tables.committed(results_dir, name)
    if not plan and not folders:
        if not committed:
            raise UserError(f"nothing of experiment={name} was started in {sweep}")
        done = [CellStatus(key, row.get("status") or FINISHED) for key, row in committed.items()]
        lacking = max(0, len(grid.planned(name) or []) - len(done))
        return done + lacking * [CellStatus("", MISSING)]
    jobs = _Jobs(sweep)
    names = [*plan, *sorted(folders - set(plan))]
    return [_cell(sweep, cell, plan.get(cell), committed, jobs) for cell in names]


def text(name: str, cells: list[CellStatus], sweep: Path) -> str:
    """Return what a person wants to read: counts, then the cells that want attention."""
    counts = Counter(cell.state for cell in cells)
    words = [f"{counts[state]} {state}" for state in ORDER if counts[state]]
    lines = [f"{name}: {len(cells)} cells: {', '.join(words)}"]
    for state in (RUNNING, FAILED, STOPPED, MISSING):
        some = [cell for cell in cells if cell.state == state and cell.reason]
        lines += [f"{state}: {cell.name}: {cell.reason}" for cell in some[:SHOWN]]
        if len(some) > SHOWN:
            lines.append(f"{state}: and {len(some) - SHOWN} more")
    queued = Counter(cell.reason for cell in cells if cell.state == QUEUED)
    lines += [f"{QUEUED}: {count} cells: {reason}" for reason, count in queued.most_common()]
    lines += _other_code(sweep)
    command = "the command that started the sweep"
    if not sweep.exists():
        lines.append(f"none was started in {sweep}: the finished ones are committed")
        command = f"python train.py -m experiment={name}"
    if counts[FAILED] or counts[STOPPED] or counts[MISSING]:
        lines.append(f"{command} runs what failed, stopped or is missing")
    return "\n".join(lines)


class _Jobs:
    """Which job has, or had, a cell."""

    def __init__(self, sweep: Path):
        self._made = submission.submissions(sweep)
        self.unreachable = ""
        tasks: Mapping[tuple[str, int], SlurmTask] = {}
        if self._made:
            try:
                tasks = squeue.tasks()
            except squeue.Unreachable as error:
                self.unreachable = str(error)
        self.now = submission.in_queue(sweep, tasks)
        self._last: dict[str, tuple[str, int]] = {}
        self._ended = {key: task for key, task in tasks.items() if not task.active}
        self._numbers = {made.name: made.job for made in self._made}
        for made in self._made:
            self._last |= {cell: (made.name, index) for cell, index in made.indexed()}
        forgotten = {
            made.job for made in self._made if made.job and (made.name, 0) not in tasks
        }  # fmt: skip
        self._accounts = squeue.ends(forgotten)

    def end(self, cell: str) -> str:
        """Say how the last job of a cell ended."""
        if cell not in self._last:
            return ""
        if self.unreachable:
            return f"Slurm cannot be asked ({self.unreachable})"
        name, index = self._last[cell]
        number = self._numbers[name]
        if number is None:
            return "its submission was cut short"
        job = f"{number}_{index}"
        if (name, index) in self._ended:
            task = self._ended[name, index]
            return f"its job {task.job} ended before it did: {task.state}"
        state = self._accounts.get(job) or self._accounts.get(number, "the queue forgot it")
        return f"its job {job} ended before it did: {state}"


def _cell(
    sweep: Path, name: str, run_id: str | None, committed: Mapping[str, Row], jobs: _Jobs
) -> CellStatus:
    """Say how one cell is; only planned cells have a known identity."""
    run = RunFolder(sweep / name)
    try:
        row = stored_row(run.path, run_id, committed=committed)
    except UserError as damaged:
        return CellStatus(name, FAILED, str(damaged))
    if row is not None:
        return CellStatus(name, row.get("status") or FINISHED)
    task = jobs.now.get(name)
    if holder := run.holder():
        where = f"process {holder.get('pid')} on {holder.get('host')}"
        return CellStatus(name, RUNNING, f"job {holder['job']}" if holder.get("job") else where)
    if task is not None:
        why = f" ({task.reason})" if task.reason not in ("None", "") else ""
        return CellStatus(name, QUEUED, f"job {task.state.lower()}{why}")
    if (failure := run.failure()) is not None:
        return CellStatus(name, FAILED, failure)
    if run.has_checkpoint():
        kept = "goes on from its checkpoint"
        return CellStatus(name, STOPPED, "; ".join(filter(None, [jobs.end(name), kept])))
    return CellStatus(name, MISSING, jobs.end(name))


def _other_code(sweep: Path) -> list[str]:
    files = sorted((sweep / submission.FOLDER).glob(f"*/{submission.OTHER_CODE}"))
    return sorted({line for file in files for line in file.read_text().splitlines()})
