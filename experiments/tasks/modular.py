"""Arithmetic modulo p, the tasks of grokking (Power et al., 2022): a + b = ? (mod p)."""

import hashlib
import math
import operator

import torch
from torch import nn

from experiments.errors import UserError
from experiments.seeding import stream
from experiments.tasks.base import Examples, Task

#: Operation -> its sign, and what computes it; a quotient is found by multiplying.
OPERATIONS = {
    "add": ("+", operator.add),
    "subtract": ("-", operator.sub),
    "multiply": ("*", operator.mul),
    "divide": ("/", operator.mul),
}


def modular(
    *, modulus: int = 47, train_fraction: float = 0.5, operation: str = "add", seed: int
) -> Task:
    """Return all pairs that have a result, split into training and test pairs by the seed.

    An input is the three tokens a, b and "=" (number p); the label is the result mod p. Division
    is by b = 1 ... p - 1 and finds the c for which b c = a.

    Args:
        modulus: p, at least 2; a prime for division.
        train_fraction: Share of the pairs that is trained on, in (0, 1).
        operation: ``add``, ``subtract``, ``multiply`` or ``divide``.
        seed: The run's seed; the pairs are drawn from its stream ``pairs``.

    Raises:
        UserError: There is no such operation, or the modulus or the fraction leaves nothing to
            learn or nothing to test.
    """
    if modulus < 2:
        raise UserError(f"task.modulus must be at least 2, got {modulus}")
    if operation not in OPERATIONS:
        raise UserError(f"task.operation must be one of {', '.join(OPERATIONS)}, got {operation}")
    everything = _examples(modulus, operation)
    pairs = len(everything)
    train = round(pairs * train_fraction) if 0 < train_fraction < 1 else 0
    if not 0 < train < pairs:
        raise UserError(
            "task.train_fraction must lie in (0, 1) and leave pairs to train and to test, "
            f"got {train_fraction} of {pairs} pairs"
        )
    order = torch.randperm(pairs, generator=stream(seed, "pairs"))
    name = f"a{OPERATIONS[operation][0]}b mod {modulus}"
    fingerprint = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Task(
        train=everything[order[:train]],
        test=everything[order[train:]],
        network={"vocabulary": modulus + 1, "positions": 3, "classes": modulus},
        prepare=nn.Identity(),
        augment=None,
        fingerprint=fingerprint,
        reference=fingerprint,
    )


def _examples(modulus: int, operation: str) -> Examples:
    """Return every pair that has a result, ordered by a, then b; or by c, then b, for division."""
    divide = operation == "divide"
    if divide and any(modulus % factor == 0 for factor in range(2, math.isqrt(modulus) + 1)):
        raise UserError(f"task.operation=divide needs a prime task.modulus, got {modulus}")
    numbers = torch.arange(modulus)
    a, b = torch.cartesian_prod(numbers, numbers[divide:]).unbind(1)
    result = OPERATIONS[operation][1](a, b) % modulus
    if divide:
        a, result = result, a  # c b = a
    return Examples(torch.stack([a, b, torch.full_like(a, modulus)], 1), result)
