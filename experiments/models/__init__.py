"""Networks: one file a family."""

from experiments.models.resnet import ResNet
from experiments.models.shake_shake import ShakeShake
from experiments.models.transformer import Transformer

__all__ = ["ResNet", "ShakeShake", "Transformer"]
