"""Shake-Shake residual networks, the networks of the paper, after Gastaldi (2017)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.models.base import DrawsNumbers
from experiments.seeding import Draws

STEM = 16  # channels before the first block, whatever the width


class Shake(torch.autograd.Function):
    """Mixes two branches with one coefficient, and their gradients with another.

    Forward ``alpha a + (1 - alpha) b``, backward ``beta`` of the gradient to a, the rest to b. All
    four are (B, C, H, W), or (B, 1, 1, 1) for the coefficients, and of one type.
    """

    @staticmethod
    def forward(a: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return torch.lerp(b, a, alpha)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[3])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (beta,) = ctx.saved_tensors
        first = grad * beta
        return first, grad - first, None, None


class Branch(nn.Module):
    """Two 3x3 convolutions, each normalized; the caller has applied the first ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        return self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))


class Skip(nn.Module):
    """The skip connection where channels change: half of them see other pixels.

    One 1x1 convolution reads every ``stride``-th pixel, the other those one up and one to the left.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.here = nn.Conv2d(inputs, outputs // 2, 1, stride, bias=False)
        self.beside = nn.Conv2d(inputs, outputs // 2, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        shifted = F.pad(x, (1, -1, 1, -1))  # right and down by one, zeros moving in
        return self.norm(torch.cat([self.here(x), self.beside(shifted)], 1))


class ShakeBlock(nn.Module):
    """A skip connection plus two branches that are mixed at random in training, evenly else."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.a = Branch(inputs, outputs, stride)
        self.b = Branch(inputs, outputs, stride)
        self.skip = Skip(inputs, outputs, stride) if inputs != outputs else None

    def forward(self, x: Tensor, coefficients: Tensor | None) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride).

        Args:
            x: The stream, which may be negative.
            coefficients: alpha and beta of each image, (2, B), or None for halves.
        """
        positive = F.relu(x)
        a, b = self.a(positive), self.b(positive)
        if coefficients is None:
            mixed = (a + b) / 2
        else:
            mixed = Shake.apply(a, b, *coefficients.to(a.dtype).view(2, -1, 1, 1, 1))
        return mixed + (x if self.skip is None else self.skip(positive))


class ShakeShake(DrawsNumbers, nn.Module):
    """Shake-Shake ResNet of depth 6n+2, "26 2x64d" being depth 26 and width 64.

    Three stages of n blocks with 1x, 2x and 4x the width after a 3x3 convolution of 16 channels.
    Every block mixes its two branches per image ("Shake-Shake-Image"): with a uniform alpha forward
    and an independent uniform beta backward in training, with 1/2 in evaluation. 26 2x64d has 11.65
    M parameters, 26 2x96d 26.2 M. Convolutions are initialized as in He et al. (2015, normal, fan
    out), the head's bias with 0, the rest with torch's defaults.

    Source: X. Gastaldi, *Shake-Shake regularization*, https://arxiv.org/abs/1705.07485, and
    github.com/xgastaldi/shake-shake for what the text leaves open.

    Args:
        channels: Channels of the images.
        classes: Classes to tell apart.
        depth: 6n+2 for a whole n >= 1.
        width: Channels of the first stage, an even number.

    Raises:
        UserError: No network has this depth or width.
    """

    def __init__(self, channels: int, classes: int, *, depth: int = 26, width: int = 64):
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise UserError(f"model.depth must be 6n+2 (8, 14, 20, 26, 32, ...), got {depth}")
        if width < 2 or width % 2:
            raise UserError(f"model.width must be an even number of at least 2, got {width}")
        self.stem = nn.Conv2d(channels, STEM, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(STEM)
        blocks, inputs = [], STEM
        for stage in range(3):
            outputs = width * 2**stage
            for i in range((depth - 2) // 6):
                blocks.append(ShakeBlock(inputs, outputs, stride=2 if stage and not i else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(inputs, classes)
        nn.init.zeros_(self.head.bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, channels, H, W), normalized, to logits (B, classes)."""
        coefficients: Any = [None] * len(self.blocks)
        if self.training:
            drawn = self.draw(len(images), None) if self.drawn is None else self.drawn
            coefficients = drawn[0].to(images.device)
        x = self.norm(self.stem(images))
        for block, pair in zip(self.blocks, coefficients, strict=True):
            x = block(x, pair)
        return self.head(F.adaptive_avg_pool2d(F.relu(x), 1).flatten(1))

    def draw(self, size: int, generator: torch.Generator | None) -> Draws:
        """Draw alpha and beta of every block and image, (blocks, 2, B)."""
        return (torch.rand((len(self.blocks), 2, size), generator=generator),)
