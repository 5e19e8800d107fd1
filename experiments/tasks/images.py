"""Small colour images: kept on the device as bytes, normalized and augmented a batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.seeding import Draws
from experiments.tasks.base import Examples, Task
from experiments.tasks.image_cache import Images

PADDING = 4


def image_task(
    images: Images,
    *,
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    train_size: int | None = None,
    pool: int = 1,
    flip: bool = True,
    crop: bool = True,
    top: int = 1,
    reference: str | None = None,
) -> Task:
    """Return the task of classifying images, with the paper's augmentation.

    Args:
        images: Training and test images, 32x32.
        classes: Classes to tell apart.
        mean: Of the three channels, of 255.
        std: Of the three channels, of 255.
        train_size: Keep only the first ``train_size`` training images; None keeps all.
        pool: Average ``pool`` x ``pool`` pixels into one: 2 makes 16x16 images.
        flip: Mirror half of the images of a training batch.
        crop: Shift them by up to 4 / ``pool`` pixels; zeros fill what is uncovered.
        top: An image counts as an error if its class is not among the ``top`` likeliest ones.
        reference: As for :class:`experiments.tasks.Task`.

    Raises:
        UserError: The reduction is impossible.
    """
    if train_size is not None and not 0 < train_size <= len(images.train_labels):
        raise UserError(
            f"task.train_size must lie in [1, {len(images.train_labels)}], got {train_size}"
        )
    if pool not in (1, 2, 4, 8):
        raise UserError(f"task.pool must be 1, 2, 4 or 8, got {pool}")
    if not 0 < top < classes:
        raise UserError(f"task.top must lie in [1, {classes}), the classes, got {top}")
    kept = slice(train_size)
    padding = PADDING // pool if crop else 0
    return Task(
        train=Examples(
            _store(images.train[kept], pool), torch.from_numpy(images.train_labels[kept])
        ),
        test=Examples(_store(images.test, pool), torch.from_numpy(images.test_labels)),
        network={"channels": 3, "classes": classes},
        prepare=Normalize(mean, std),
        augment=FlipAndCrop(flip, padding) if flip or padding else None,
        fingerprint=images.fingerprint,
        reference=reference,
        files_hash=images.files_hash,
        top=top,
        network_options={"size": images.train.shape[1] // pool},
    )


def _store(images: np.ndarray, pool: int) -> Tensor:
    """Keep (N, H, W, 3) bytes as they are, or pooled to fp32 of the same range, as (N, 3, H, W)."""
    stored = torch.from_numpy(images).permute(0, 3, 1, 2)
    if pool == 1:
        return stored
    return F.avg_pool2d(stored.float(), pool).contiguous(memory_format=torch.channels_last)


class Normalize(nn.Module):
    """Maps (B, 3, H, W) in 0..255 to (image - mean) / std a channel, fp32, channels last."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class FlipAndCrop:
    """Mirrors each image of (B, C, H, W) with probability 1/2, then shifts it.

    What a shift uncovers is zero, the mean colour of normalized images, as in fb.resnet.torch.
    Random numbers are drawn on the CPU, so that every device sees the same batches.

    Attributes:
        flip: Whether to mirror.
        padding: Pixels by which an image is shifted at most, up or down and left or right.
    """

    flip: bool
    padding: int

    def draw(self, size: int, generator: torch.Generator) -> Draws:
        """Draw which images to mirror, (B,), and where each crop begins, (2, B)."""
        draws: Draws = ()
        if self.flip:
            draws += (torch.rand(size, generator=generator) < 0.5,)
        if self.padding:
            draws += (torch.randint(0, 2 * self.padding + 1, (2, size), generator=generator),)
        return draws

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        if self.flip:
            images = torch.where(draws[0].view(-1, 1, 1, 1), images.flip(-1), images)
        if self.padding:
            top, left = draws[-1].unbind()
            height, width = images.shape[2:]
            padded = F.pad(images, [self.padding] * 4).permute(0, 2, 3, 1)  # (B, H', W', C)
            rows = top.view(-1, 1, 1) + torch.arange(height, device=images.device).view(1, -1, 1)
            columns = left.view(-1, 1, 1) + torch.arange(width, device=images.device)
            batch = torch.arange(len(images), device=images.device).view(-1, 1, 1)
            images = padded[batch, rows, columns].permute(0, 3, 1, 2)
        return images
