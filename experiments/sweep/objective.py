"""What a search over configurations minimizes."""

import math
from collections.abc import Mapping
from typing import Any

from experiments.record.schema import DIVERGED


def objective(row: Mapping[str, Any]) -> float:
    """Return the error of a run: on its validation split if it has one, else on the test set.

    Args:
        row: Of the runs table; its numbers may be text, as a committed table has them.

    Returns:
        Percent; infinity for a run that diverged.
    """
    if row["status"] == DIVERGED:
        return math.inf

    def error(split: str) -> float:
        value = row.get(f"{split}_error")
        return math.nan if value in (None, "") else float(value)

    validation = error("val")
    return error("test") if math.isnan(validation) else validation
