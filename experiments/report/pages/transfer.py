"""The calculator's answer as text: one line a rule, the decay in every convention."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.report.data.text import aligned, read_csv, short
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.laws import read
from experiments.report.statistics.transfer import measured, transfer


def carry_over(results_dir: Path, known: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Carry a known decay over by the rules and by the committed rulings; return a table.

    Raises:
        UserError: Something is missing, or has a value that it cannot have.
    """
    file = results_dir / "laws" / "laws.csv"
    return said(read_csv(file) if file.exists() else pd.DataFrame(), known, new)


def said(rows: pd.DataFrame, known: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the answer.

    Args:
        rows: The table of rulings.
        known: What is known to be good; see :func:`transfer`.
        new: What changes.
    """
    rate, moved, remarks = transfer(known, new, measured(read(rows)))
    head = ["rule", "λ: the paper, optimi, composer", f"w at lr {short(rate)}: torch, optax, timm"]
    table = [
        [one.by, _text(one.decay), _text(one.decay.mapped(lambda x: x / rate))]
        if one.decay.value < 1
        else [one.by, "-", "-"]
        for one in moved
    ]
    large = [one.by for one in moved if one.decay.value >= 1]
    remarks += [f"λ must be below 1, so {by!r} has no answer" for by in large]
    return "\n".join([aligned([head, *table]), *remarks])


def _text(decay: Estimate) -> str:
    value, *ends = (short(float(f"{x:.3g}")) for x in (decay.value, decay.low, decay.high))
    return value + (f" [{', '.join(ends)}]" if math.isfinite(decay.low) else "")
