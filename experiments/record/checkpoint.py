"""Checkpoints of a run: two generations, each with a checksum, read as data and never as code."""

import hashlib
import io
import logging
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from experiments.record.files import write_atomically

log = logging.getLogger(__name__)

#: A file begins with this line, then comes the SHA-256 of the rest, which ``torch.save`` wrote.
MAGIC = b"decay-lab checkpoint 1\n"
HEAD = len(MAGIC) + hashlib.sha256().digest_size


class Damaged(Exception):
    """A file is not, or no longer, what was written; the message says how."""


class Checkpoints:
    """The newest checkpoint of a run, and beside it the one before.

    Args:
        newest: The file of the newest, such as ``checkpoint.pt``.
    """

    def __init__(self, newest: Path):
        self.newest = newest
        self.previous = newest.with_stem(f"{newest.stem}.previous")
        self._next = newest.with_stem(f"{newest.stem}.next")

    def save(self, state: dict[str, Any]) -> None:
        """Write a dict of numbers, strings, tensors and state dicts; keep the one before.

        At every instant one of the two files is whole. Whoever goes on from a state needs the files
        that it counts on, so these must be on disk before this is called.

        Raises:
            OSError: There is no room or no permission; what was there is still valid.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        write_atomically(self._next, MAGIC, hashlib.sha256(content).digest(), content)
        if self.newest.exists():
            os.replace(self.newest, self.previous)
        os.replace(self._next, self.newest)

    def states(self, device: torch.device) -> Iterator[dict[str, Any]]:
        """Yield what the checkpoints hold, the newest first; name and remove a damaged one.

        If a damaged newest one stayed, the next :meth:`save` would put it in the place of the one
        before, which is good.
        """
        for path in (self.newest, self.previous):
            try:
                yield load(path, device)
            except FileNotFoundError:
                continue
            except Damaged as damage:
                log.warning("%s is damaged (%s) and is left out", path, damage)
                path.unlink()

    def remove(self) -> None:
        """Remove all that is there."""
        for path in (self.newest, self.previous, self._next):
            path.unlink(missing_ok=True)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read one checkpoint.

    Raises:
        FileNotFoundError: There is none.
        Damaged: It was cut short, or a bit of it changed, or it is something else.
    """
    content = memoryview(path.read_bytes())
    if content[: len(MAGIC)] != MAGIC:
        raise Damaged("it does not begin like a checkpoint")
    if hashlib.sha256(content[HEAD:]).digest() != content[len(MAGIC) : HEAD]:
        raise Damaged("its checksum is wrong")
    try:
        return torch.load(io.BytesIO(content[HEAD:]), map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        raise Damaged("it holds something else than data") from None
