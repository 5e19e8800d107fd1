"""Networks: one file a family."""

from experiments.models.base import DrawsNumbers
from experiments.models.resnet import ResNet
from experiments.models.shake_shake import ShakeShake
from experiments.models.transformer import Transformer
from experiments.models.vision_transformer import VisionTransformer

__all__ = ["DrawsNumbers", "ResNet", "ShakeShake", "Transformer", "VisionTransformer"]
