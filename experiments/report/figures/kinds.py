"""What a figure of a report is, and the one list of all kinds of them.

A kind is a module of this package: a function that draws a page of panels, with the caption and
what the README says of it, under the decorator :func:`kind`. Nothing else names it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from experiments.report.data.text import Table, aligned, markdown
from experiments.report.statistics.measure import Measured
from experiments.report.statistics.rivals import labels
from experiments.report.statistics.settings import Settings


@dataclass(frozen=True)
class Page:
    """Panels that are shown together.

    Attributes:
        name: The figure of the paper that they are of; '' when the runs name none.
        panels: With their statistics.
        points: Typed learning curves of their runs; there may be none.
        note: What captions within heatmaps say beyond the metric.
    """

    name: str
    panels: Sequence[Measured]
    points: pd.DataFrame
    note: str = ""

    @property
    def settings(self) -> Settings:
        return self.panels[0].settings

    @property
    def runs(self) -> pd.DataFrame:
        return pd.concat([one.panel.runs for one in self.panels])

    @property
    def has_points(self) -> bool:
        """Whether any run has a learning curve."""
        return bool(self.points["id"].isin(self.runs["id"]).any())

    @property
    def optimizers(self) -> str:
        """Names of the optimizers, each once."""
        return ", ".join(dict.fromkeys(labels(*self.panels)))


class Picture(NamedTuple):
    """A figure, and its caption in the README; one without a caption is not shown there."""

    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """What a README says beneath a heading.

    Attributes:
        title: The heading.
        tables: Rows of text under a head.
        explained: What the numbers are, and how their intervals were made.
        lines: Remarks, one line each.
        verdicts: Computed sentences, one line each; they stand first.
        data: Every number, by the name of its CSV file without the ending.
    """

    title: str
    tables: Sequence[Table] = ()
    explained: str = ""
    lines: Sequence[str] = ()
    verdicts: Sequence[str] = ()
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return it as a README has it."""
        verdicts = "\n".join(f"- **{line}**" for line in self.verdicts)
        lines = "\n".join(f"- {line}" for line in self.lines)
        parts = [f"## {self.title}", verdicts, *map(markdown, self.tables), lines, self.explained]
        return "\n\n".join(filter(None, parts))

    def text(self) -> str:
        """Return what a terminal shows of it; '' if it only explains."""
        said = "\n".join([*self.lines, *self.verdicts])
        parts = list(filter(None, [*map(aligned, self.tables), said]))
        return "\n\n".join([self.title, *parts]) if parts else ""


@dataclass(frozen=True)
class Part:
    """What a kind of figure adds to a report.

    Attributes:
        pictures: By the name of their files after that of the page; '' for the page's own.
        section: What the README says besides.
    """

    pictures: Mapping[str, Picture]
    section: Section | None = None


#: Draws a page of panels; None where nothing is known of what it shows.
Draw = Callable[[Page], Part | None]
_KINDS: dict[str, Draw] = {}


def kind(name: str) -> Callable[[Draw], Draw]:
    """Register the decorated function as a kind of figure, which ``figures=[NAME]`` asks for."""

    def enter(draw: Draw) -> Draw:
        _KINDS[name] = draw
        return draw

    return enter


def kinds() -> dict[str, Draw]:
    """Return every kind of figure by name: what the modules of this package have entered."""
    package = import_module(str(__package__))
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_KINDS.items()))
