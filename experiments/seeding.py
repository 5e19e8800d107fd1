"""One integer seeds everything, through named streams that do not disturb each other.

A stream is a function of (seed, name, index) and keeps no position: the batches of epoch 7 or the
flips of step 4,000 can be drawn without having drawn what came before, so a resumed run needs no
generator state and optimizers compared at one seed see equal weights and equal batches.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: The random numbers of one step, drawn ahead: tensors of one shape for every batch of one size.
Draws = tuple[torch.Tensor, ...]


def stream(seed: int, name: str, index: int = 0) -> torch.Generator:
    """Return the CPU generator of the named stream.

    Args:
        seed: The run's seed; 0 is a seed like any other.
        name: What the numbers are for: ``init``, ``batches``, ``augmentation``, ``split``,
            ``network``, what a network draws while it trains, or ``sample``, what it says after.
        index: Position within the stream, such as the epoch or the step.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """Seed torch's global generator from a stream inside the block, and restore it after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, name).initial_seed())
        yield
