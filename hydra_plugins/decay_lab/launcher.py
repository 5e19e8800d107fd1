"""Hydra's launcher for one machine: a pool of processes that each live through many cells."""

import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from pebble import ProcessExpired, ProcessPool
from tqdm.contrib.logging import logging_redirect_tqdm

from experiments import grid
from experiments.errors import UserError
from experiments.progress import progress_bar

log = logging.getLogger(__name__)


class LocalLauncher(Launcher):
    """Runs cells side by side; a cell that raises or is killed is reported and stops no other.

    Args:
        jobs: Processes, or ``auto``: ``jobs_per_gpu`` for every GPU, else one a CPU core.
        jobs_per_gpu: Processes that share a GPU.

    Raises:
        UserError: ``jobs`` or ``jobs_per_gpu`` is less than 1.
    """

    def __init__(self, jobs: int | str, jobs_per_gpu: int):
        for key, value in (("jobs", jobs), ("jobs_per_gpu", jobs_per_gpu)):
            if value != "auto" and not (isinstance(value, int) and value >= 1):
                raise UserError(f"hydra.launcher.{key} must be at least 1, got {value}")
        self.jobs, self.jobs_per_gpu = jobs, jobs_per_gpu

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config = config
        self.loader = hydra_context.config_loader

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run every cell to its end and return one result each, in the order given."""
        cells = grid.compose(self.loader, job_overrides, self.config.hydra.overrides.hydra)
        if not cells:
            return []
        gpus = _gpus(self.config.device)
        workers = self.jobs
        if workers == "auto":
            workers = len(gpus) * self.jobs_per_gpu or len(os.sched_getaffinity(0))
        workers = min(workers, len(cells))
        results: list[JobReturn | None] = [None] * len(cells)
        context = multiprocessing.get_context("spawn")
        with (
            _one_thread_each(),
            ProcessPool(workers, initializer=_quiet, context=context) as pool,
            logging_redirect_tqdm(),
        ):
            futures = {
                pool.schedule(_run, args=(_on_gpu(cell.job, gpus, i), str(cell.folder))): i
                for i, cell in enumerate(cells)
            }
            try:
                with progress_bar(len(cells), "cell") as bar:
                    for future in as_completed(futures):
                        index = futures[future]
                        results[index] = _collect(future, cells[index])
                        bar.update()
            except BaseException:
                pool.stop()
                raise
        return results


def _collect(future: Any, cell: grid.Cell) -> JobReturn:
    """Turn what became of a cell into Hydra's result; a failure is logged at once."""
    result = JobReturn(overrides=cell.overrides, cfg=cell.config, status=JobStatus.COMPLETED)
    try:
        result.return_value = future.result()
    except ProcessExpired as error:
        reason = f"its process was killed (exit code {error.exitcode})"
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    else:
        return result
    log.error("%s failed: %s", cell.folder, reason)
    result.status = JobStatus.FAILED
    result.return_value = UserError(f"{cell.folder} failed: {reason}")
    return result


def _gpus(device: str) -> list[int]:
    """Return the indices of the GPUs to use; none for a CPU."""
    if device not in ("auto", "cuda"):
        return []
    import torch

    return list(range(torch.cuda.device_count()))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the processes that start inside the block use one thread each (read by OpenMP, MKL)."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _on_gpu(config: dict[str, Any], gpus: list[int], index: int) -> dict[str, Any]:
    """Deal the cells to the GPUs in turn."""
    return config | {"device": f"cuda:{gpus[index % len(gpus)]}"} if gpus else config


def _quiet() -> None:
    """Let a worker say on stderr what matters and was not said when the cells were checked."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("experiments.lint").setLevel(logging.ERROR)


def _run(config: dict[str, Any], folder: str) -> float | None:
    """Run one cell in a worker."""
    from experiments.run import run

    config["threads"] = config["threads"] or 1
    config["progress"] = False
    return run(OmegaConf.create(config), Path(folder))["test_error"]
