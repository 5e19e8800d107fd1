"""Residual networks for small images, after He et al. (2016), section 4.2."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError

INITS = ("fan_out", "torch")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a parameter-free shortcut (option A of the paper).

    A block keeps its channels or doubles them.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride, self.grows = stride, outputs != inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        out = self.norm2(self.conv2(out))
        if self.grows:  # every other pixel, new channels zero; kept in channels_last both ways
            x = F.avg_pool2d(x, 1, self.stride)
            x = torch.cat([x, torch.zeros_like(x)], 1)
        return F.relu(out.add_(x), inplace=True)


class ResNet(nn.Module):
    """CIFAR ResNet of depth 6n+2: three stages of n blocks, 1x, 2x and 4x the width.

    ResNet-20 of width 16 has 0.27 M parameters. Under ``init=fan_out`` convolutions start as in He
    et al. (2015): normal with variance 2 / fan out, about 2.4 times as large as ``init=torch``,
    torch's default (uniform, variance 1 / (3 fan in)). All else starts as torch has it.

    Args:
        channels: Channels of the images.
        classes: Classes to tell apart.
        depth: 6n+2 for a whole n >= 1.
        width: Channels of the first stage.
        init: How convolutions start: ``fan_out`` or ``torch``.

    Raises:
        UserError: No network has this depth, width or start.
    """

    def __init__(
        self, channels: int, classes: int, *, depth: int = 20, width: int = 16,
        init: str = "fan_out",
    ):  # fmt: skip
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise UserError(f"model.depth must be 6n+2 (8, 14, 20, 32, 44, 56, 110), got {depth}")
        if width < 1:
            raise UserError(f"model.width must be at least 1, got {width}")
        if init not in INITS:
            raise UserError(f"model.init must be one of {', '.join(INITS)}, got {init}")
        n = (depth - 2) // 6
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for stage in range(3):
            outputs = width * 2**stage
            for i in range(n):
                blocks.append(BasicBlock(inputs, outputs, stride=2 if stage and not i else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if init == "fan_out" and isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, channels, H, W), normalized, to logits (B, classes)."""
        x = F.relu(self.norm(self.stem(images)), inplace=True)
        x = self.blocks(x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
