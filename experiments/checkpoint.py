"""Files that are whole or absent: everything is written aside, flushed, and renamed into place."""

import io
import os
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` so that a crash leaves the old file or the new one.

    Raises:
        OSError: There is no room or no permission; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint: a dict of numbers, strings, tensors and state dicts."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Read a checkpoint as data, never as code; None if there is none."""
    if not path.exists():
        return None
    return torch.load(path, map_location=device, weights_only=True)
