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
    validated = row.get("val_error") not in (None, "")
    return float(row["val_error" if validated else "test_error"])
