"""Tasks: data on the device, what the network must look like, how a batch is drawn."""

from experiments.tasks.base import IGNORED, Augmentation, Examples, Sampled, Task

__all__ = ["IGNORED", "Augmentation", "Examples", "Sampled", "Task"]
