"""The pre-norm block of every transformer here, and the attention in it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Tokens up to which products of small tensors are quicker than a kernel made for long ones.
TINY = 8


def attention(query: Tensor, key_value: Tensor, heads: int, causal: bool) -> Tensor:
    """Return what R queries read from T positions, (B, R, C).

    Up to :data:`TINY` positions that may all be read it is written out as products and sums; else
    torch's scaled_dot_product_attention computes the same.

    Args:
        query: (B, R, C), of the last R positions.
        key_value: Keys, then values, of all positions, (B, T, 2C).
        heads: Into how many heads the channels are divided.
        causal: A position reads itself and those before it only; then R is T or 1.
    """
    batch, read, width = query.shape
    size, masked = width // heads, causal and read > 1
    if key_value.shape[1] <= TINY and not masked:
        query = query.view(batch, read, 1, heads, -1)
        key, value = key_value.view(batch, 1, -1, 2, heads, size).unbind(3)
        scores = (query * key).sum(-1, keepdim=True)  # (B, R, T, heads, 1)
        weights = (scores * size**-0.5).softmax(2)
        return (weights * value).sum(2).view(batch, read, width)
    query = query.view(batch, read, heads, size).transpose(1, 2)  # (B, heads, R, size)
    key, value = key_value.view(batch, -1, 2, heads, size).transpose(1, 3).unbind(2)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=masked)
    return attended.transpose(1, 2).reshape(batch, read, width)


class Dropout:
    """Dropout that draws from a given generator, so that it is a function of seed and step.

    Args:
        share: Of the elements that become zero; the others are scaled up to keep the mean.
        generator: On the device of what is dropped; None is torch's global one.
    """

    def __init__(self, share: float, generator: torch.Generator | None = None):
        self.share, self.generator = share, generator

    def __call__(self, x: Tensor) -> Tensor:
        if not self.share:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.share, generator=self.generator)
        return x * kept / (1 - self.share)


class TransformerBlock(nn.Module):
    """Pre-norm attention and a two-layer perceptron, each added to the residual stream.

    Args:
        width: Channels of the stream, a multiple of ``heads``.
        heads: Attention heads.
        activation: Between the layers of the perceptron, whose inner width is four times the outer.
        causal: A position attends to itself and those before it only.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        activation: Callable[[Tensor], Tensor] = F.relu,
        causal: bool = False,
    ):
        super().__init__()
        self.heads, self.activation, self.causal = heads, activation, causal
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, read: int, dropout: Dropout) -> Tensor:
        """Map the stream (B, T, C) to what it is after the block at the last ``read`` positions."""
        normed = self.norm1(x)
        query, key_value = self.query(normed[:, -read:]), self.key_value(normed)
        return self.attend(x[:, -read:], query, key_value, dropout)

    def attend(self, x: Tensor, query: Tensor, key_value: Tensor, dropout: Dropout) -> Tensor:
        """Add attention and perceptron to the stream at the R positions that are read.

        Args:
            x: Residual stream where it is read, (B, R, C).
            query: Its queries, (B, R, C).
            key_value: Keys, then values, of all T positions, (B, T, 2C).
            dropout: Drops elements of both before they are added.
        """
        x = x + dropout(self.out(attention(query, key_value, self.heads, self.causal)))
        return x + dropout(self.down(self.activation(self.up(self.norm2(x)))))
