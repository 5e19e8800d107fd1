"""How many cells a machine runs side by side, and on which of its GPUs."""

import os
from collections.abc import Sequence

from experiments.errors import UserError
from experiments.pool import Cell


def side_by_side(
    cells: Sequence[Cell], jobs: int | str, jobs_per_gpu: int
) -> tuple[list[Cell], int]:
    """Deal the cells to the GPUs of this machine in turn; also return how many run at a time.

    Args:
        cells: All with the same ``device`` in their configuration.
        jobs: Processes, or ``auto``: ``jobs_per_gpu`` for every GPU, else one a CPU core.
        jobs_per_gpu: Processes that share a GPU.
    """
    gpus = _gpus(cells[0][0]["device"])
    workers = jobs
    if workers == "auto":
        workers = len(gpus) * jobs_per_gpu or len(os.sched_getaffinity(0))
    dealt = [
        (config | {"device": f"cuda:{gpus[i % len(gpus)]}"} if gpus else config, folder)
        for i, (config, folder) in enumerate(cells)
    ]
    return dealt, min(int(workers), len(cells))


def at_least_one(key: str, value: int | float) -> None:
    """Refuse a count below one.

    Raises:
        UserError: Names the key.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{key} must be at least 1, got {value}")


def _gpus(device: str) -> list[int]:
    """Return the indices of the GPUs to use; none for a CPU."""
    if device not in ("auto", "cuda"):
        return []
    import torch

    return list(range(torch.cuda.device_count()))
