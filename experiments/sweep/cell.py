"""One combination of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.record.identity import cell_name, identity
from experiments.run.schema import RunConfig

#: Stands in a cell's ``subdir`` for ``${cell:}`` until the run's identity is known.
MARK = "@cell@"


@dataclass(frozen=True)
class Cell:
    """A cell of a sweep: what to run, and where.

    Attributes:
        job: Its configuration without Hydra's part, resolved to plain values; cells share parts
            of it, which nobody may change.
        sweep: The folder of the sweep, ``hydra.sweep.dir``.
        subdir: Its run folder below that, ``hydra.sweep.subdir``, perhaps with :data:`MARK` in it.
        overrides: What sets it apart, as ``key=value``.
    """

    job: dict[str, Any]
    sweep: Path
    subdir: str
    overrides: tuple[str, ...] = ()

    @cached_property
    def config(self) -> RunConfig:
        """Its configuration, typed."""
        return RunConfig.from_plain(self.job)

    @cached_property
    def run_id(self) -> str:
        """Its identity, for which the data are read.

        Raises:
            UserError: The task cannot be made, for example because its data are not there.
        """
        from experiments.run.identify import run_identity  # brings torch in

        return run_identity(self.config)

    @cached_property
    def name(self) -> str:
        """The name of its run folder, unique in the sweep, for which the data are read, too."""
        if MARK not in self.subdir:
            return self.subdir
        try:
            run_id = self.run_id
        except (UserError, TypeError, ValueError):  # the run says what is wrong with its task
            run_id = identity(self.job, None)
        return self.subdir.replace(MARK, cell_name(self.job, run_id))

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return self.sweep / self.name


def short_names(cells: Sequence[Cell]) -> list[str]:
    """Return what tells each cell from the others, in the words of its overrides."""
    shared = set(cells[0].overrides).intersection(*(cell.overrides for cell in cells))
    return [
        " ".join(word for word in cell.overrides if word not in shared) or cell.name
        for cell in cells
    ]
