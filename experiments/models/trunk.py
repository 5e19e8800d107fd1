"""What the transformers share: positions, blocks, a norm, a head, and how all of it starts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.models.base import DrawsNumbers
from experiments.models.block import Dropout, TransformerBlock

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}
INITS = ("torch", "gpt2")
STD = 0.02  # of embeddings, and under init=gpt2 of every matrix


class Trunk(DrawsNumbers, nn.Module):
    """Learned positions, pre-norm blocks, a norm and a head; a subclass embeds what it reads.

    Embeddings start normal with standard deviation 0.02. ``init=torch`` leaves the rest to torch:
    matrices and biases uniform within 1 / sqrt(inputs). ``init=gpt2`` is GPT-2's (Radford et al.,
    2019): matrices normal with standard deviation 0.02, those that write to the residual stream
    with 0.02 / sqrt(2 layers), biases zero.

    Dropout acts, as in GPT-2, on the embeddings and on what every attention and perceptron adds to
    the stream, but not on attention weights. Its zeros come from ``generator``.

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
        blocks = [
            TransformerBlock(width, heads, ACTIVATIONS[activation], causal) for _ in range(layers)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        if init == "gpt2":
            self._start_as_gpt2(blocks)
        self.dropout = dropout
        self.draws_numbers = dropout > 0

    def _start_as_gpt2(self, blocks: Sequence[TransformerBlock]) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=STD)
                nn.init.zeros_(module.bias)
        for block in blocks:
            for writer in (block.out, block.down):
                nn.init.normal_(writer.weight, std=STD * (2 * len(blocks)) ** -0.5)

    def no_weight_decay(self) -> set[str]:
        """Name the parameter that is an embedding without being an ``nn.Embedding``."""
        return {"places"}

    def new_dropout(self) -> Dropout:
        """Return what drops elements in one forward pass."""
        if not (self.dropout and self.training):
            return Dropout(0.0)
        return Dropout(self.dropout, self.generator)

    def embed(self, vectors: Tensor, dropout: Dropout) -> Tensor:
        """Return the residual stream (B, T, C) before the first block."""
        return dropout(vectors + self.places[: vectors.shape[1]])
