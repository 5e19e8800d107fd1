"""The transformer over tokens: language models, masked or not, and modular arithmetic."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.models.block import TINY, Dropout, TransformerBlock
from experiments.models.trunk import Trunk


class Transformer(Trunk):
    """Token and learned position embeddings, pre-norm blocks, a head at one position or at all.

    Where only the last position is asked for, the last block computes nothing else. In an input of
    a few tokens, what the first block projects is computed once for every pair of a token and a
    position, on which alone it depends, rather than for every token of a batch.

    Args:
        vocabulary: Distinct input tokens.
        positions: Tokens in an input, at most.
        classes: Distinct outputs.
        causal: A position attends to itself and those before it only.
        all_positions: Whether to answer at every position, or at the last one only.
        width: Channels of the residual stream, a multiple of ``heads``.
        heads: Attention heads.
        layers: Blocks.
        dropout: Share of elements dropped in training, in [0, 1).
        activation: Of the perceptrons: ``relu`` or ``gelu``.
        init: ``torch`` or ``gpt2``, see :class:`experiments.models.trunk.Trunk`.
        tied: The head is the table of token embeddings, and has no bias.

    Raises:
        UserError: No network has these settings.
    """

    tokens: nn.Embedding

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        classes: int,
        *,
        causal: bool = False,
        all_positions: bool = False,
        width: int = 64,
        heads: int = 4,
        layers: int = 1,
        dropout: float = 0.0,
        activation: str = "relu",
        init: str = "torch",
        tied: bool = False,
    ):
        super().__init__(
            partial(nn.Embedding, vocabulary), positions, classes, width=width, heads=heads,
            layers=layers, causal=causal, dropout=dropout, activation=activation, init=init,
        )  # fmt: skip
        self.all_positions = all_positions
        if tied and classes != vocabulary:
            raise UserError(
                f"model.tied needs a task with as many outputs as tokens, got {classes} outputs, "
                f"{vocabulary} tokens"
            )
        if tied:
            self.head = nn.Linear(width, classes, bias=False)
            self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, T) to logits (B, T, classes), or (B, classes) at the last position."""
        dropout, length = self.new_dropout(), tokens.shape[1]
        reads = [length] * (len(self.blocks) - 1) + [length if self.all_positions else 1]
        if len(self.places) <= TINY and not self.dropout:
            x = self._first_by_pairs(tokens, reads[0], dropout)
        else:
            x = self.blocks[0](self.embed(self.tokens(tokens), dropout), reads[0], dropout)
        for block, read in zip(self.blocks[1:], reads[1:], strict=True):
            x = block(x, read, dropout)
        return self.head(self.norm(x if self.all_positions else x[:, -1]))

    def _first_by_pairs(self, tokens: Tensor, read: int, dropout: Dropout) -> Tensor:
        """Return the stream after the first block, (B, read, C)."""
        vocabulary, length = self.tokens.num_embeddings, tokens.shape[1]
        pairs = (self.tokens.weight + self.places[:, None]).flatten(0, 1)  # (positions * V, C)
        index = tokens + vocabulary * torch.arange(length, device=tokens.device)
        first = self.blocks[0]
        assert isinstance(first, TransformerBlock)
        normed = first.norm1(pairs)
        key_value = F.embedding(index, first.key_value(normed))
        if read < length:
            index = index[:, -read:]
        x, query = F.embedding(index, pairs), F.embedding(index, first.query(normed))
        return first.attend(x, query, key_value, dropout)
