"""The laboratory: tasks, networks, the training loop, runs and sweeps of them.

``from experiments import train, draw`` is the way in for notebooks and scripts.
"""

from typing import Any

__all__ = ["draw", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and torch and matplotlib only then."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from experiments import notebook

    return getattr(notebook, name)
