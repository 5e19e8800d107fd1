"""A small pre-norm transformer that reads tokens and answers at the last position."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError


class Block(nn.Module):
    """Pre-norm attention and a two-layer perceptron, each added to the residual stream."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def attend(self, x: Tensor, query: Tensor, key_value: Tensor) -> Tensor:
        """Add attention and perceptron to the stream at the R positions that are read.

        Args:
            x: Residual stream where it is read, (B, R, C).
            query: Its queries, (B, R, C).
            key_value: Keys, then values, of all T positions, (B, T, 2C).
        """
        batch, read, width = x.shape
        query = query.view(batch, read, 1, self.heads, -1)
        key, value = key_value.view(batch, 1, -1, 2, self.heads, width // self.heads).unbind(3)
        scores = (query * key).sum(-1, keepdim=True)  # (B, R, T, heads, 1): T is small
        weights = (scores * (width // self.heads) ** -0.5).softmax(2)
        x = x + self.out((weights * value).sum(2).view(batch, read, width))
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Token and learned position embeddings, pre-norm blocks, an untied head.

    Attention is bidirectional; the prediction is read at the last position and the last block
    computes nothing else. What the first block projects depends on nothing but a token and its
    position, so it is computed once for every such pair rather than for every token of a batch.
    Embeddings start normal with standard deviation 0.02, the rest with torch's defaults.

    Args:
        vocabulary: Distinct input tokens.
        positions: Tokens in an input.
        classes: Distinct outputs.
        width: Channels of the residual stream, a multiple of ``heads``.
        heads: Attention heads.
        layers: Blocks.

    Raises:
        UserError: No network has this width, number of heads or layers.
    """

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        classes: int,
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 1,
    ):
        super().__init__()
        if heads < 1 or width < heads or width % heads:
            raise UserError(
                f"model.width must be a multiple of model.heads, got width {width}, heads {heads}"
            )
        if layers < 1:
            raise UserError(f"model.layers must be at least 1, got {layers}")
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.empty(positions, width))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.places, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, T) to logits (B, classes) at the last position."""
        vocabulary, length = self.tokens.num_embeddings, tokens.shape[1]
        pairs = (self.tokens.weight + self.places[:, None]).flatten(0, 1)  # (T * V, C)
        index = tokens + vocabulary * torch.arange(length, device=tokens.device)
        first, *rest = self.blocks
        normed = first.norm1(pairs)
        key_value = F.embedding(index, first.key_value(normed))
        if not rest:
            index = index[:, -1:]
        x = first.attend(
            F.embedding(index, pairs), F.embedding(index, first.query(normed)), key_value
        )
        for block in rest:
            read = 1 if block is rest[-1] else length
            normed = block.norm1(x)
            x = block.attend(x[:, -read:], block.query(normed[:, -read:]), block.key_value(normed))
        return self.head(self.norm(x[:, -1]))
