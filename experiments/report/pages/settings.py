"""What a report is asked for."""

from dataclasses import dataclass

from experiments.errors import UserError
from experiments.report.figures.kinds import kinds
from experiments.report.statistics import settings


@dataclass(frozen=True)
class Settings(settings.Settings):
    """What a report is asked for; ``configs/analyze`` explains the keys.

    ``suffix`` stands at the end of the names of all files of a report that differs from the usual
    one of its experiment, so that it leaves the usual one alone; '' for the usual.
    """

    paper: str | None = None
    panels: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    curves: bool = False
    figures: tuple[str, ...] = ("heatmap", "collapse")
    suffix: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := sorted(set(self.figures) - set(kinds())):
            raise UserError(f"figures={unknown[0]} is not one of {', '.join(kinds())}")
        if not isinstance(self.curves, bool):
            raise UserError(f"curves={self.curves} must be true or false")

    @property
    def is_grid(self) -> bool:
        """Whether the runs fill a grid of lr and wd, which heatmaps and their statistics need."""
        return "heatmap" in self.figures
