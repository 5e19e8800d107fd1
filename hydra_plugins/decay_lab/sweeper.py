"""Hydra's sweeper for this laboratory: checks every cell first, and runs those that are missing."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.folder import is_done
from experiments.run.schema import RunConfig
from experiments.sweep import grid
from experiments.sweep.compose import Cell, compose
from experiments.sweep.slurm.submission import add_to_plan

log = logging.getLogger(__name__)


class GridSweeper(Sweeper):
    """Runs the product of ``params``, or the union of the products of several ``grids``.

    Args:
        params: Axis -> values in Hydra's grammar (``1e-3,3e-3``, ``range(3)``).
        grids: Tables of such axes; each is a product of its own with ``params``.
    """

    def __init__(self, params: DictConfig, grids: Sequence[DictConfig]):
        self.params = dict(params or {})
        self.grids = [dict(table) for table in grids or []]
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config = config
        self.loader: ConfigLoader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Run the missing cells; every cell is checked before the first one starts.

        Raises:
            UserError: A cell cannot be run, or cells failed.
        """
        from experiments.run.build import check

        preset, arguments = _split_preset(arguments)
        overrides = grid.combinations(self.params, self.grids, arguments)
        jobs = [[*preset, *cell] for cell in overrides]
        cells = compose(self.loader, jobs, self.config.hydra.overrides.hydra)
        configs = [RunConfig.from_plain(cell.job) for cell in cells]
        warnings = [text for text in map(check, configs) if text]
        if warnings:
            log.warning("%d of %d cells, as here: %s", len(warnings), len(cells), warnings[0])
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        for sweep in {cell.folder.parent for cell in cells}:
            own = [cell for cell in cells if cell.folder.parent == sweep]
            add_to_plan(sweep, [(cell.folder.name, cell.run_id) for cell in own])
        missing = _missing(cells)
        if len(missing) < len(cells):
            log.info("%d of %d cells are finished already", len(cells) - len(missing), len(cells))
        returns = self.launcher.launch([jobs[i] for i in missing], initial_job_idx=0)
        failed = [job for job in returns if job.status is not JobStatus.COMPLETED]
        if failed:
            raise UserError(
                f"{len(failed)} of {len(cells)} cells failed, as said above; "
                "the same command runs them again"
            )
        log.info("draw them: python analyze.py experiment=%s", self.config.name)
        return returns


def _missing(cells: Sequence[Cell]) -> list[int]:
    """Return the indices of the cells of which neither the committed table nor a folder has all."""
    from experiments.run.identify import row_of_other_data

    there = cache(lambda sweep: set(os.listdir(sweep)) if sweep.is_dir() else set())
    committed = cache(tables.committed)

    def rows(cell: Cell) -> Mapping[str, Any]:
        return committed(cell.job["results_dir"], cell.job["name"])

    def finished(cell: Cell) -> bool:
        folder = cell.folder if cell.folder.name in there(cell.folder.parent) else None
        return is_done(folder, cell.run_id, cell.job["probe"]["name"], rows(cell))

    missing = [i for i, cell in enumerate(cells) if not finished(cell)]
    others = [
        row_of_other_data(RunConfig.from_plain(cells[i].job), rows(cells[i])) for i in missing
    ]
    others = [said for said in others if said]
    if others:
        log.warning("%d of %d cells, as here: %s", len(others), len(cells), others[0])
    return missing


def _split_preset(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Separate the choice of a preset, which all cells share, from the axes."""
    preset = [word for word in arguments if word.startswith("experiment=")]
    if any("," in word for word in preset):
        raise UserError(f"one preset a command, got {preset[0]}")
    return preset, [word for word in arguments if word not in preset]
