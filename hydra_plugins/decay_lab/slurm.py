"""Hydra's launcher for Slurm: the missing cells as one array of jobs, through submitit."""

import itertools
import logging
import math
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.folder import RunFolder, stored_row
from experiments.sweep.cell import Cell
from experiments.sweep.objective import objective
from experiments.sweep.packing import in_a_process, kind
from experiments.sweep.slots import at_least_one
from experiments.sweep.slurm import squeue, submission
from hydra_plugins.decay_lab.launcher import CellLauncher

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
POLL = 5.0  # seconds between two questions to the queue
POLLS_A_LINE = 12  # while it waits, a line a minute
KILL_MARGIN = 0.75  # share of the warning time that cells have to save
CELLS_PER_JOB = 8  # at least, unless told otherwise: fewer would not be worth a job
EARLY = 30  # seconds that Slurm, which looks at its jobs so often, may warn too soon


class SlurmLauncher(CellLauncher):
    """Submits cells; see configs/hydra/launcher/slurm.yaml for the keys.

    A job runs its cells as the local launcher does, so a cell that fails or is lost stops no other.

    Raises:
        UserError: A key has a value that it cannot have.
    """

    def __init__(self, *, partition: str | None, minutes: int, gpus: int, cpus: int,
                 memory_gb: float, array_parallelism: int, cells_per_job: Any, jobs_per_gpu: int,
                 cells_per_gpu: Any, requeue: bool, max_timeouts: int, warning_seconds: int,
                 wait: bool, redraw: bool, extra: DictConfig):  # fmt: skip
        counts = {
            "minutes": minutes, "cpus": cpus, "array_parallelism": array_parallelism,
            "jobs_per_gpu": jobs_per_gpu, "warning_seconds": warning_seconds,
        }  # fmt: skip
        packing = {"cells_per_job": cells_per_job, "cells_per_gpu": cells_per_gpu}
        counts |= {key: count for key, count in packing.items() if count != "auto"}
        for key, value in counts.items():
            at_least_one(f"hydra.launcher.{key}", value)
        if not memory_gb > 0 or gpus < 0 or max_timeouts < 0:
            raise UserError("hydra.launcher: memory_gb must be positive, gpus, max_timeouts >= 0")
        if warning_seconds >= minutes * 60 - EARLY:
            raise UserError(
                f"hydra.launcher.warning_seconds={warning_seconds} would stop a job of {minutes} "
                f"min as it starts; must be below {minutes * 60 - EARLY}"
            )
        self.partition, self.minutes, self.gpus, self.cpus = partition, minutes, gpus, cpus
        self.memory_gb, self.array_parallelism = memory_gb, array_parallelism
        self.cells_per_job, self.jobs_per_gpu = cells_per_job, jobs_per_gpu
        self.cells_per_gpu = cells_per_gpu
        self.requeue, self.max_timeouts, self.warning = requeue, max_timeouts, warning_seconds
        self.wait, self.redraw, self.extra = wait, redraw, dict(extra or {})

    def run(self, cells: Sequence[Cell]) -> Sequence[JobReturn]:
        """Submit the cells that no job has yet; with ``wait``, return what became of all."""
        names: dict[Path, list[str]] = {}
        for cell in cells:
            names.setdefault(cell.sweep, []).append(cell.name)
        if cells:
            self._submit_missing(cells, list(names))
        if not self.wait:
            return []
        for sweep, own in names.items():
            self._wait(sweep, set(own))
        rows = cache(tables.committed)
        return [_outcome(c, rows(c.config.results_dir, c.config.name)) for c in cells]

    def _submit_missing(self, cells: Sequence[Cell], sweeps: Sequence[Path]) -> None:
        try:
            limit, tasks = squeue.largest_array(), squeue.tasks()
        except squeue.Unreachable as error:
            raise UserError(f"no Slurm to submit to ({error}); hydra/launcher=local") from None
        queued = {sweep: submission.in_queue(sweep, tasks) for sweep in sweeps}
        todo = [cell for cell in cells if cell.name not in queued[cell.sweep]]
        if len(todo) < len(cells):
            log.info("%d cells are queued or running already", len(cells) - len(todo))
        for sweep in sweeps:
            if own := [cell for cell in todo if cell.sweep == sweep]:
                self._submit(sweep, own, limit)

    def _submit(self, sweep: Path, cells: list[Cell], limit: int) -> None:
        from experiments.record import provenance
        from experiments.sweep.slurm.shard import Shard

        wanted = self._per_job(cells)
        per_job = max(wanted, math.ceil(len(cells) / limit))
        if per_job > wanted:
            log.info("%d cells a job, since an array here has at most %d jobs", per_job, limit)
        code = (provenance.commit(), provenance.sources())
        work = [replace(cell, job=self._on_gpu(cell.job)) for cell in cells]
        experiment = cells[0].config.name
        made = submission.prepare(sweep, experiment, work, per_job, code)
        side = self.gpus * self.jobs_per_gpu or self.cpus
        shards = [
            Shard(made.folder, index, cells_of_job, side, self.jobs_per_gpu,
                  self.warning * KILL_MARGIN, self.requeue, self.cells_per_gpu)
            for index, cells_of_job in enumerate(made.shards)
        ]  # fmt: skip
        executor = self._executor(made, name=made.name, signal_delay_s=self.warning)
        try:
            job = executor.submit_array(shards)[0].job_id.split("_")[0]
        except Exception as error:
            raise UserError(f"Slurm refused the jobs: {_brief(error)}") from error
        replace(made, job=job).save()
        log.info("submitted %d cells in %d jobs: %s", len(cells), len(shards), job)
        log.info("how they are: python analyze.py command=status experiment=%s", experiment)
        if self.redraw:
            self._redraw_after(made, job, experiment)

    def _per_job(self, cells: Sequence[Cell]) -> int:
        """Return how many cells a job takes: by default those that fill its GPUs."""
        if self.cells_per_job != "auto":
            return int(self.cells_per_job)
        at_once = in_a_process(self.cells_per_gpu, self.jobs_per_gpu, gpu=self.gpus > 0)
        of_each_kind = {kind(cell.config): cell.config for cell in cells}.values()
        fill = max(map(at_once, of_each_kind)) * self.jobs_per_gpu * self.gpus
        return max(CELLS_PER_JOB, fill)

    def _on_gpu(self, job: dict[str, Any]) -> dict[str, Any]:
        """Let a cell that asks for a GPU fail where there is none, not creep along on the CPU."""
        auto = self.gpus and job["device"] == "auto"
        return job | {"device": "cuda"} if auto else job

    def _executor(self, made: submission.Submission, **parameters: Any) -> Any:
        from submitit import SlurmExecutor

        executor = SlurmExecutor(made.folder / "log", max_num_timeout=self.max_timeouts)
        more = dict(self.extra) | {"requeue" if self.requeue else "no-requeue": True}
        executor.update_parameters(
            job_name=parameters.pop("name"),
            partition=self.partition,
            time=self.minutes,
            mem=f"{math.ceil(self.memory_gb * 1024)}MB",
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus or None,
            array_parallelism=self.array_parallelism,
            stderr_to_stdout=True,
            setup=[f"export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}"],
            additional_parameters=more,
            **parameters,
        )
        return executor

    def _redraw_after(self, made: submission.Submission, job: str, experiment: str) -> None:
        """Queue the analysis behind the array, however that ends."""
        from submitit.helpers import CommandFunction

        words = [f"experiment={experiment}"]
        words += [f"{key}={self.config[key]}" for key in ("runs_dir", "results_dir")]
        executor = self._executor(made, name=f"{made.name}-redraw", dependency=f"afterany:{job}")
        executor.parameters |= {"time": min(self.minutes, 30), "gpus_per_node": None}
        try:
            executor.submit(CommandFunction([sys.executable, str(ROOT / "analyze.py"), *words]))
        except Exception as error:
            log.warning("Slurm refused the job that draws the figures: %s", _brief(error))

    def _wait(self, sweep: Path, names: set[str]) -> None:
        """Stay until no job has any of the cells; jobs outlive this process if it is stopped."""
        log.info("waiting; the jobs go on if this is interrupted")
        for asked in itertools.count(1):
            time.sleep(POLL)
            try:
                left = names & set(submission.in_queue(sweep, squeue.tasks()))
            except squeue.Unreachable as error:
                log.warning("still waiting: %s", error)
                continue
            if not left:
                return
            if asked % POLLS_A_LINE == 0:
                log.info("%d of %d cells are queued or running", len(left), len(names))


def _outcome(cell: Cell, committed: Mapping[str, tables.Row]) -> JobReturn:
    """Tell Hydra what became of a cell."""
    result = JobReturn(overrides=cell.overrides, status=JobStatus.COMPLETED)
    try:
        row = stored_row(cell.folder, cell.run_id, cell.config.probe.name, committed)
        reason = RunFolder(cell.folder).failure() or "its job ended before it did"
    except UserError as damaged:
        row, reason = None, str(damaged)
    if row is None:
        log.error("%s failed: %s", cell.folder, reason)
        result.status = JobStatus.FAILED
        result.return_value = UserError(f"{cell.folder} failed: {reason}")
    else:
        result.return_value = objective(row)
    return result


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "error:" in line.lower()]
    return (lines or str(error).splitlines() or [type(error).__name__])[-1]
