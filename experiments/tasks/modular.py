"""Modular addition, the task of grokking (Power et al., 2022): a + b = ? (mod p)."""

import hashlib

import torch
from torch import nn

from experiments.errors import UserError
from experiments.seeding import stream
from experiments.tasks.base import Examples, Task


def modular(*, modulus: int = 47, train_fraction: float = 0.5, seed: int) -> Task:
    """Return all p * p sums, split into training and test pairs by the seed.

    An input is the three tokens a, b and "=" (number p); the label is (a + b) mod p.

    Args:
        modulus: p, at least 2.
        train_fraction: Share of the pairs that is trained on, in (0, 1).
        seed: The run's seed; the pairs are drawn from its stream ``pairs``.

    Raises:
        UserError: The modulus or the fraction leaves nothing to learn or nothing to test.
    """
    if modulus < 2:
        raise UserError(f"task.modulus must be at least 2, got {modulus}")
    pairs = modulus * modulus
    train = round(pairs * train_fraction) if 0 < train_fraction < 1 else 0
    if not 0 < train < pairs:
        raise UserError(
            "task.train_fraction must lie in (0, 1) and leave pairs to train and to test, "
            f"got {train_fraction} of {pairs} pairs"
        )
    numbers = torch.arange(modulus)
    tokens = torch.cartesian_prod(numbers, numbers, torch.tensor([modulus]))
    everything = Examples(tokens, tokens[:, :2].sum(1) % modulus)
    order = torch.randperm(pairs, generator=stream(seed, "pairs"))
    return Task(
        train=everything[order[:train]],
        test=everything[order[train:]],
        network={"vocabulary": modulus + 1, "positions": 3, "classes": modulus},
        prepare=nn.Identity(),
        augment=None,
        fingerprint=hashlib.sha256(f"a+b mod {modulus}".encode()).hexdigest()[:16],
    )
