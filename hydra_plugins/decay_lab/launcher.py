"""Hydra's launcher for one machine: the cells side by side in a pool of processes."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import closing
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from tqdm.contrib.logging import logging_redirect_tqdm

from experiments.errors import UserError
from experiments.sweep import pool
from experiments.sweep.cell import Cell
from experiments.sweep.compose import compose
from experiments.sweep.packing import in_a_process
from experiments.sweep.slots import at_least_one, on_gpus, slots

log = logging.getLogger(__name__)

GRACE = 3.5  # seconds that cells have to save after Ctrl-C, which shall end all within five


class CellLauncher(Launcher):
    """What both of our launchers are: given to a sweeper by Hydra, or handed composed cells."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config = config
        self.loader = cast(ConfigLoaderImpl, hydra_context.config_loader)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Compose cells and run them, for any sweeper but ours."""
        return self.run(compose(self.loader, self.config, job_overrides, initial_job_idx))

    @abstractmethod
    def run(self, cells: Sequence[Cell]) -> Sequence[JobReturn]:
        """Run cells, or see to it that they are; return one result each if they are by then."""


class LocalLauncher(CellLauncher):
    """Runs cells side by side; a cell that raises or is killed is reported and stops no other.

    Args:
        jobs: Processes, or ``auto``: ``jobs_per_gpu`` for every GPU, else one a CPU core.
        jobs_per_gpu: Processes that share a GPU.
        cells_per_gpu: Cells that train on a GPU at a time, or ``auto``: as many as fill it. Without
            a GPU it is cells that take turns in a process, and ``auto`` is one.

    Raises:
        UserError: A count is less than 1.
    """

    def __init__(self, jobs: Any, jobs_per_gpu: int, cells_per_gpu: Any):
        for key, count in (("jobs", jobs), ("cells_per_gpu", cells_per_gpu)):
            if count != "auto":
                at_least_one(f"hydra.launcher.{key}", count)
        at_least_one("hydra.launcher.jobs_per_gpu", jobs_per_gpu)
        self.jobs, self.jobs_per_gpu, self.cells_per_gpu = jobs, jobs_per_gpu, cells_per_gpu

    def run(self, cells: Sequence[Cell]) -> Sequence[JobReturn]:
        """Run every cell to its end and return one result each, in the order given."""
        if not cells:
            return []
        devices = slots(cells[0].config.device, self.jobs, self.jobs_per_gpu)
        results = [JobReturn(overrides=cell.overrides) for cell in cells]
        at_once = in_a_process(self.cells_per_gpu, self.jobs_per_gpu, gpu=on_gpus(devices))
        progress = pool.progress_of(cells)
        with logging_redirect_tqdm(), closing(progress):
            for outcome in pool.run_cells(cells, devices, GRACE, progress, at_once):
                _fill(results[outcome.index], outcome, cells[outcome.index])
        return results


def _fill(result: JobReturn, outcome: pool.Outcome, cell: Cell) -> None:
    """Tell Hydra what became of a cell; a failure is logged at once."""
    result.status = JobStatus.COMPLETED
    result.return_value = outcome.error
    if outcome.busy:
        log.warning("left out: %s", outcome.failure)
    elif outcome.failure is not None:
        log.error("%s failed: %s", cell.folder, outcome.failure)
        result.status = JobStatus.FAILED
        result.return_value = UserError(f"{cell.folder} failed: {outcome.failure}")
