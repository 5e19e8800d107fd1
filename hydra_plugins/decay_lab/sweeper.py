"""Hydra's sweeper for this laboratory: checks every cell first, and runs those that are missing."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.folder import is_done
from experiments.sweep import grid
from experiments.sweep.cell import Cell
from experiments.sweep.slurm.submission import add_to_plan
from hydra_plugins.decay_lab.launcher import CellLauncher

log = logging.getLogger(__name__)


class GridSweeper(Sweeper):
    """Runs the product of ``params``, or the union of the products of several ``grids``.

    Args:
        params: Axis -> values in Hydra's grammar (``1e-3,3e-3``, ``range(3)``).
        grids: Tables of such axes; each is a product of its own with ``params``.
    """

    def __init__(self, params: DictConfig, grids: Sequence[DictConfig]):
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config: DictConfig = config  # where params and grids still have their interpolations
        self.loader = cast(ConfigLoaderImpl, hydra_context.config_loader)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Run the missing cells; every cell is checked before the first one starts.

        Raises:
            UserError: A cell cannot be run, or cells failed.
        """
        from experiments.run.build import check

        cells = grid.cells(self.loader, self.config, arguments)
        warnings = [text for text in [check(cell.config) for cell in cells] if text]
        if warnings:
            log.warning("%d of %d cells, as here: %s", len(warnings), len(cells), warnings[0])
        grid.refuse_shared_folders(cells)
        for sweep in {cell.sweep for cell in cells}:
            sweep.mkdir(parents=True, exist_ok=True)
            own = [cell for cell in cells if cell.sweep == sweep]
            add_to_plan(sweep, [(cell.name, cell.run_id) for cell in own])
        missing = _missing(cells)
        if len(missing) < len(cells):
            log.info("%d of %d cells are finished already", len(cells) - len(missing), len(cells))
        returns = self._launch(missing)
        failed = [job for job in returns if job.status is not JobStatus.COMPLETED]
        if failed:
            raise UserError(
                f"{len(failed)} of {len(cells)} cells failed, as said above; "
                "the same command runs them again"
            )
        for name in dict.fromkeys(cell.config.name for cell in cells):
            log.info("draw them: python analyze.py experiment=%s", name)
        return returns

    def _launch(self, cells: Sequence[Cell]) -> Sequence[JobReturn]:
        if isinstance(self.launcher, CellLauncher):
            return self.launcher.run(cells)
        assert self.launcher is not None
        return self.launcher.launch([cell.overrides for cell in cells], initial_job_idx=0)


def _missing(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of which neither the committed table nor a folder has all."""
    from experiments.run.identify import row_of_other_data

    there = cache(lambda parent: set(os.listdir(parent)) if parent.is_dir() else set())
    committed = cache(tables.committed)

    def rows(cell: Cell) -> Mapping[str, Any]:
        return committed(cell.config.results_dir, cell.config.name)

    def finished(cell: Cell) -> bool:
        folder = cell.folder if cell.folder.name in there(cell.folder.parent) else None
        return is_done(folder, cell.run_id, cell.config.probe.name, rows(cell))

    missing = [cell for cell in cells if not finished(cell)]
    others = [said for cell in missing if (said := row_of_other_data(cell.config, rows(cell)))]
    if others:
        log.warning("%d of %d cells, as here: %s", len(others), len(cells), others[0])
    return missing
