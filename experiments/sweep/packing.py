"""Which cells of a sweep train together in one process, and how many."""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from itertools import pairwise

from experiments.run.schema import RunConfig
from experiments.sweep.cell import Cell

#: Settings in which cells that train together may differ; on all others they agree.
OWN = {"optim", "lr", "wd", "betas", "no_decay", "seed", "name", "tracker", "probe", "analysis"}
#: Cells that fill an NVIDIA H100, as a prototype measured: of transformers over tokens (modular
#: addition), of networks over images (ResNet-20), and of large ones (Shake-Shake 26 2x64d).
TOKENS, IMAGES, LARGE = 64, 16, 4
MANY_WEIGHTS = 5_000_000  # from which on a network is large


def kind(config: RunConfig) -> Hashable:
    """Return what cells that train together have in common."""
    return tuple(getattr(config, key.name) for key in fields(config) if key.name not in OWN)


def that_fill(config: RunConfig) -> int:
    """Return how many cells like one fill a GPU: the larger the network, the fewer."""
    from experiments.run import build

    weights, over_images = build.size_of_network(config)
    if weights >= MANY_WEIGHTS:
        return LARGE
    return IMAGES if over_images else TOKENS


def in_a_process(
    cells_per_gpu: int | str, jobs_per_gpu: int, *, gpu: bool
) -> Callable[[RunConfig], int]:
    """Return what tells how many cells like one train together in a process.

    Args:
        cells_per_gpu: On a GPU at a time, or ``auto``: as many as fill it. Without a GPU ``auto``
            is one, since cells that take turns gain nothing.
        jobs_per_gpu: Processes that share a GPU.
        gpu: Whether the cells train on GPUs.
    """
    if cells_per_gpu == "auto" and not gpu:
        return lambda config: 1

    def count(config: RunConfig) -> int:
        cells = that_fill(config) if cells_per_gpu == "auto" else int(cells_per_gpu)
        return math.ceil(cells / jobs_per_gpu) if gpu else cells

    return count


def bundles(
    cells: Mapping[int, Cell], slots: int, at_once: Callable[[RunConfig], int]
) -> list[list[int]]:
    """Divide cells into bundles, each of cells that can train together in one process.

    The bundles of a kind are about equally large, and enough that no slot is idle. In one, cells of
    one seed stand together.

    Args:
        cells: By their index.
        slots: Processes that run bundles side by side.
        at_once: How many cells like one train together.

    Returns:
        The indices of each bundle's cells.
    """
    alike: dict[Hashable, list[int]] = {}
    for index, cell in cells.items():
        alike.setdefault(kind(cell.config), []).append(index)
    made: list[list[int]] = []
    for indices in alike.values():
        size = at_once(cells[indices[0]].config)
        if size == 1:
            made += [[index] for index in indices]
            continue
        parts = min(len(indices), max(math.ceil(len(indices) / size), slots))
        indices.sort(key=lambda index: cells[index].config.seed)
        cuts = [round(part * len(indices) / parts) for part in range(parts + 1)]
        made += [indices[a:b] for a, b in pairwise(cuts)]
    return sorted(made, key=min)
