"""Tasks: data on the device, what the network must look like, how a batch is drawn."""

from experiments.tasks.base import Examples, Task

__all__ = ["Examples", "Task"]
