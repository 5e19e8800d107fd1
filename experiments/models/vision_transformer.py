"""The transformer over patches of an image (Dosovitskiy et al., 2021)."""

from functools import partial

from torch import Tensor, nn

from experiments.errors import UserError
from experiments.models.trunk import Trunk


class VisionTransformer(Trunk):
    """Patches, projected and with learned positions, through pre-norm blocks; their mean is read.

    The mean takes the place of a class token (Beyer et al., 2022, "Better plain ViT baselines").

    Args:
        channels: Of an image.
        classes: Distinct outputs.
        size: Side of the images in pixels, a multiple of ``patch``.
        patch: Side of a patch in pixels.
        width: Channels of the residual stream, a multiple of ``heads``.
        heads: Attention heads.
        layers: Blocks.
        dropout: Share of elements dropped in training, in [0, 1).
        activation: Of the perceptrons: ``relu`` or ``gelu``.
        init: ``torch`` or ``gpt2``, see :class:`experiments.models.trunk.Trunk`.

    Raises:
        UserError: No network has these settings.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int,
        *,
        patch: int = 4,
        width: int = 64,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
        activation: str = "gelu",
        init: str = "torch",
    ):
        if not 1 <= patch <= size or size % patch:
            raise UserError(f"model.patch must divide the side of the images, {size}, got {patch}")
        super().__init__(
            partial(nn.Linear, channels * patch * patch), (size // patch) ** 2, classes,
            width=width, heads=heads, layers=layers, dropout=dropout, activation=activation,
            init=init,
        )  # fmt: skip
        self.patch = patch

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, channels, size, size) to logits (B, classes)."""
        dropout = self.new_dropout()
        x = self.embed(self.tokens(patches(images, self.patch)), dropout)
        for block in self.blocks:
            x = block(x, x.shape[1], dropout)
        return self.head(self.norm(x).mean(1))


def patches(images: Tensor, side: int) -> Tensor:
    """Cut (B, C, H, W) into squares, row by row: (B, H W / side^2, side^2 C)."""
    batch, channels, height, width = images.shape
    cut = images.view(batch, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, side * side * channels)
