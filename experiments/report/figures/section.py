"""A part of a README that only some experiments have: a table, what it says, and its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from experiments.report.data.text import Table, aligned, markdown
from experiments.report.statistics.estimate import Estimate


@dataclass(frozen=True)
class Section:
    """What a README says beneath a heading.

    Attributes:
        title: The heading.
        table: Rows of text under a head.
        explained: What the numbers are, and how their intervals were made.
        verdicts: Computed sentences, one line each.
        file: Name of the CSV file that has every number, without its ending.
        data: What is in it.
    """

    title: str
    table: Table
    explained: str
    verdicts: Sequence[str] = ()
    file: str = ""
    data: pd.DataFrame = field(default_factory=pd.DataFrame)

    def markdown(self) -> str:
        """Return it as a README has it, the verdicts first."""
        lines = "\n".join(f"- **{line}**" for line in self.verdicts)
        parts = [f"## {self.title}", lines, markdown(self.table), self.explained]
        return "\n\n".join(filter(None, parts))

    def text(self) -> list[str]:
        """Return the lines to print."""
        return [self.title, "", aligned(self.table), "", *self.verdicts]


def row(key: Mapping[str, object], one: Estimate) -> dict[str, object]:
    """Return an estimate as a row of a CSV file: what it is of, then what is known of it."""
    numbers = ("value", "low", "high", "n", "reason", "note")
    return dict(key) | {name: getattr(one, name) for name in numbers}
