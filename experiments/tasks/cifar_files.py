"""Reads CIFAR from disk in either of its usual layouts and caches the decoded arrays.

Two layouts are understood, looked for in this order:

- torchvision's: ``<data_dir>/cifar-10-batches-py`` or ``cifar-100-python``, whose archive
  torchvision verifies by checksum and downloads when it is absent and the network allows;
- Hugging Face's: ``<data_dir>/cifar10/{train,test}-00000-of-00001.parquet``, with columns
  ``img.bytes`` (an encoded image) and ``label`` (``fine_label`` for CIFAR-100).
"""

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.errors import UserError

TORCHVISION = {10: "cifar-10-batches-py", 100: "cifar-100-python"}
PARQUET = {10: "cifar10", 100: "cifar100"}
LABEL = {10: "label", 100: "fine_label"}
ARRAYS = ("train", "train_labels", "test", "test_labels")


@dataclass(frozen=True)
class Images:
    """Decoded CIFAR: images (N, 32, 32, 3) uint8, labels (N,) int64, and a hash of the files."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    fingerprint: str


def load(classes: int, data_dir: str, cache_dir: str) -> Images:
    """Return CIFAR-10 or CIFAR-100, memory-mapped copy-on-write from the cache.

    The cache is keyed by the hash of the source files, so a changed file is decoded anew, and
    processes that train side by side share one copy in memory.

    Raises:
        UserError: No data are found, or a file is damaged or not CIFAR.
    """
    files = find(classes, Path(data_dir).expanduser())
    fingerprint = _hash(files)
    folder = Path(cache_dir).expanduser() / f"cifar{classes}-{fingerprint}"
    if not folder.is_dir():
        _decode_into(folder, classes, files)
    arrays = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
    return Images(**arrays, fingerprint=fingerprint)


def _mapped(file: Path) -> np.ndarray:
    """Return a cached array; numpy refuses one that holds objects, which could be code."""
    try:
        return np.load(file, mmap_mode="c")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged; remove {file.parent} to decode it anew") from error


def find(classes: int, data_dir: Path) -> list[Path]:
    """Return the files of the first layout that is there: training files, then the test file."""
    if classes not in TORCHVISION:
        raise UserError(f"task.classes must be 10 or 100, got {classes}")
    batches = data_dir / TORCHVISION[classes]
    parquet = [
        data_dir / PARQUET[classes] / f"{part}-00000-of-00001.parquet" for part in ("train", "test")
    ]
    if not batches.is_dir() and all(file.is_file() for file in parquet):
        return parquet
    if not batches.is_dir():
        _download(classes, data_dir, looked=[batches, parquet[0]])
    if classes == 10:
        return [batches / f"data_batch_{i}" for i in range(1, 6)] + [batches / "test_batch"]
    return [batches / "train", batches / "test"]


def _download(classes: int, data_dir: Path, looked: list[Path]) -> None:
    from torchvision.datasets import CIFAR10, CIFAR100

    try:
        (CIFAR10 if classes == 10 else CIFAR100)(str(data_dir), download=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"no CIFAR-{classes} at {looked[0]} or {looked[1]}, and downloading it failed "
            f"({type(error).__name__}). Three ways to get it: set data_dir=PATH or DATA_DIR to a "
            f"folder that holds either layout; run once with network access; or unpack "
            f"cifar-{classes}-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html there"
        ) from error


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror}") from error
    return digest.hexdigest()[:16]


def _decode_into(folder: Path, classes: int, files: list[Path]) -> None:
    """Decode all files aside and rename the folder, so that a cache is whole or absent."""
    if files[0].suffix == ".parquet":
        parts = [_read_parquet(file, LABEL[classes]) for file in files]
    else:
        parts = _read_torchvision(classes, files)
    for (images, labels), file in zip(parts, files[:: max(len(files) - 1, 1)], strict=True):
        if labels.min() < 0 or labels.max() >= classes:
            raise UserError(f"{file} is damaged: a label lies outside 0..{classes - 1}")
        if images.shape[1:] != (32, 32, 3):
            raise UserError(f"{file} does not hold 32x32 colour images")
    arrays = dict(zip(ARRAYS, (array for part in parts for array in part), strict=True))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            half = Path(temporary) / "half"
            half.mkdir()
            for name, array in arrays.items():
                np.save(half / f"{name}.npy", array)
            if not folder.is_dir():  # another process may have been quicker
                os.rename(half, folder)
    except OSError as error:
        if not folder.is_dir():
            raise UserError(
                f"cannot write the cache {folder}: {error.strerror}; set cache_dir=PATH"
            ) from error


def _read_parquet(file: Path, label: str) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    try:
        table = pyarrow.parquet.read_table(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{file} is damaged or no parquet file: {error}".splitlines()[0]) from error
    if "img" not in table.column_names or label not in table.column_names:
        raise UserError(f"{file} needs columns img and {label}, has {table.column_names}")
    try:
        if not pyarrow.types.is_integer(table[label].type):
            raise ValueError(f"column {label} holds {table[label].type}, no whole numbers")
        encoded = table["img"].combine_chunks().field("bytes").to_pylist()
        images = np.stack([np.asarray(Image.open(io.BytesIO(e)).convert("RGB")) for e in encoded])
        labels = table[label].to_numpy().astype(np.int64)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserError(f"{file} is damaged: {error}".splitlines()[0]) from error
    return images, labels


def _read_torchvision(classes: int, files: list[Path]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Let torchvision verify the checksums before it unpickles anything."""
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if classes == 10 else CIFAR100
    try:
        parts = [kind(str(files[0].parent.parent), train=train) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise UserError(f"{files[0].parent} is damaged or incomplete: {error}") from error
    return [(part.data, np.asarray(part.targets, dtype=np.int64)) for part in parts]
