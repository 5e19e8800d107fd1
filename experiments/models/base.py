"""What a network says of itself to the loop that trains it."""

import torch


class DrawsNumbers:
    """A base, beside ``nn.Module``, of networks that draw random numbers as they train.

    Such numbers are those of dropout, or of Shake-Shake's coefficients. A run goes on from a
    checkpoint to the same bits because the training loop sets ``generator`` anew before each step.

    Attributes:
        draws_numbers: Whether this network does; one that never does costs no generator.
        generator: The CPU generator to draw from, or to seed another with; None is torch's own.
    """

    draws_numbers: bool = True
    generator: torch.Generator | None = None
