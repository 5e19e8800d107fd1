"""One combination of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A cell of a sweep: what to run, and where.

    Attributes:
        job: Its configuration without Hydra's part, resolved to plain values; cells share parts
            of it, which nobody may change.
        sweep: The folder of the sweep, ``hydra.sweep.dir``.
        name: Its run folder below that, ``hydra.sweep.subdir``; unique in the sweep.
        overrides: What sets it apart, as ``key=value``.
    """

    job: dict[str, Any]
    sweep: Path
    name: str
    overrides: tuple[str, ...] = ()

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
