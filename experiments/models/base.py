"""What a network says of itself to the loop that trains it."""

import torch

from experiments.seeding import Draws


class DrawsNumbers:
    """A base, beside ``nn.Module``, of networks that draw random numbers as they train.

    A run goes on from a checkpoint to the same bits because all numbers of a step follow from the
    run's seed and the step. They come in one of two ways: few ones, such as Shake-Shake's
    coefficients, are drawn ahead by :meth:`draw` and found in ``drawn``; many, such as dropout's,
    are drawn in the forward pass from ``generator``, which is seeded anew before each step.

    Attributes:
        draws_numbers: Whether this network does; one that never does costs nothing.
        drawn: What :meth:`draw` drew for the step at hand, on the network's device; None leaves it
            to the network to draw.
        generator: On the network's device; None is torch's own.
    """

    draws_numbers: bool = True
    drawn: Draws | None = None
    generator: torch.Generator | None = None

    def draw(self, size: int, generator: torch.Generator | None) -> Draws:
        """Draw with a CPU generator what one forward pass over ``size`` inputs takes.

        By default that is nothing: everything comes from ``generator``.
        """
        return ()
