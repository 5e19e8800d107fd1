"""Tasks: data on the device, what the network must look like, how a batch is drawn."""

from experiments.tasks.base import IGNORED, Examples, Sampled, Task

__all__ = ["IGNORED", "Examples", "Sampled", "Task"]
