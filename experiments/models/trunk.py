"""What the transformers share: positions, blocks, a norm, a head, and how all of it starts."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.models.block import Block, Noise

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
INITS = ("torch", "gpt2")
STD = 0.02  # of embeddings, and under init=gpt2 of every matrix


class Trunk(nn.Module):
    """Learned positions, pre-norm blocks, a norm and a head; a subclass embeds what it reads.

    Embeddings start normal with standard deviation 0.02. ``init=torch`` leaves the rest to torch:
    matrices and biases uniform within 1 / sqrt(inputs). ``init=gpt2`` is GPT-2's (Radford et al.,
    2019): matrices normal with standard deviation 0.02, those that write to the residual stream
    with 0.02 / sqrt(2 layers), biases zero.

    Dropout acts, as in GPT-2, on the embeddings and on what every attention and perceptron adds to
    the stream, but not on attention weights. It draws from ``generator``, which a network has only
    if it drops something: a CPU generator, set before each forward pass, or None for torch's own.

    Args:
        embedding: Given the width, returns what makes vectors of that length of what is read.
        positions: Vectors in an input.
        classes: Distinct outputs.
        width: Channels of the residual stream, a multiple of ``heads``.
        heads: Attention heads.
        layers: Blocks.
        causal: A position attends to itself and those before it only.
        dropout: Share of elements dropped in training, in [0, 1).
        activation: Of the perceptrons: ``relu`` or ``gelu``.
        init: ``torch`` or ``gpt2``.

    Raises:
        UserError: No network has these settings.
    """

    def __init__(
        self,
        embedding: Callable[[int], nn.Module],
        positions: int,
        classes: int,
        *,
        width: int,
        heads: int,
        layers: int,
        causal: bool = False,
        dropout: float = 0.0,
        activation: str = "relu",
        init: str = "torch",
    ):
        super().__init__()
        if heads < 1 or width < heads or width % heads:
            raise UserError(
                f"model.width must be a multiple of model.heads, got width {width}, heads {heads}"
            )
        if layers < 1:
            raise UserError(f"model.layers must be at least 1, got {layers}")
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout must lie in [0, 1), got {dropout}")
        for key, value, known in (("activation", activation, ACTIVATIONS), ("init", init, INITS)):
            if value not in known:
                raise UserError(f"model.{key} must be one of {', '.join(known)}, got {value}")
        self.tokens = embedding(width)
        self.places = nn.Parameter(torch.empty(positions, width))
        if isinstance(self.tokens, nn.Embedding):
            nn.init.normal_(self.tokens.weight, std=STD)
        nn.init.normal_(self.places, std=STD)
        self.blocks = nn.ModuleList(
            Block(width, heads, ACTIVATIONS[activation], causal) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        if init == "gpt2":
            self._start_as_gpt2()
        self.dropout = dropout
        if dropout:
            self.generator: torch.Generator | None = None

    def _start_as_gpt2(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=STD)
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for writer in (block.out, block.down):
                nn.init.normal_(writer.weight, std=STD * (2 * len(self.blocks)) ** -0.5)

    def no_weight_decay(self) -> set[str]:
        """Name the parameter that is an embedding without being an ``nn.Embedding``."""
        return {"places"}

    def noise(self, device: torch.device) -> Noise:
        """Return this forward pass's dropout."""
        if not (self.dropout and self.training):
            return Noise(0.0)
        if self.generator is None:
            return Noise(self.dropout)
        drawn = torch.Generator(device).manual_seed(self.generator.initial_seed())
        return Noise(self.dropout, drawn)

    def embed(self, vectors: Tensor, noise: Noise) -> Tensor:
        """Return the residual stream (B, T, C) before the first block."""
        return noise(vectors + self.places[: vectors.shape[1]])
