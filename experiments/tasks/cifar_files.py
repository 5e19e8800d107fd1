"""Reads CIFAR from disk in either of its usual layouts.

Two layouts are understood, looked for in this order:

- torchvision's: ``<data_dir>/cifar-10-batches-py`` or ``cifar-100-python``, whose archive
  torchvision verifies by checksum and downloads when it is absent and the network allows;
- Hugging Face's: ``<data_dir>/cifar10/{train,test}-00000-of-00001.parquet``, with columns
  ``img.bytes`` (an encoded image) and ``label`` (``fine_label`` for CIFAR-100).
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.errors import UserError
from experiments.tasks.image_cache import Chunk, Images, cached, noise

TORCHVISION = {10: "cifar-10-batches-py", 100: "cifar-100-python"}
PARQUET = {10: "cifar10", 100: "cifar100"}
LABEL = {10: "label", 100: "fine_label"}
SIZES = (50_000, 10_000)  # training and test images


def load(classes: int, data_dir: str | None, cache_dir: str) -> Images:
    """Return CIFAR-10 or CIFAR-100, memory-mapped copy-on-write from the cache.

    Without a ``data_dir`` that is noise of the same size; no command takes such a configuration.

    Raises:
        UserError: No data are found, or a file is damaged or not CIFAR.
    """
    if data_dir is None:
        return noise(*SIZES, classes)
    files = find(classes, Path(data_dir).expanduser())
    read = _read_parquet if files[0].suffix == ".parquet" else _read_torchvision
    return cached(f"cifar{classes}", files, classes, cache_dir, read(classes, files))


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


def _read_parquet(classes: int, files: list[Path]) -> Iterator[Chunk]:
    for part, file in zip(("train", "test"), files, strict=True):
        yield Chunk(part, *_decode_parquet(file, LABEL[classes]), file)


def _decode_parquet(file: Path, label: str) -> tuple[np.ndarray, np.ndarray]:
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


def _read_torchvision(classes: int, files: list[Path]) -> Iterator[Chunk]:
    """Let torchvision verify the checksums before it unpickles anything."""
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if classes == 10 else CIFAR100
    try:
        parts = [kind(str(files[0].parent.parent), train=train) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise UserError(f"{files[0].parent} is damaged or incomplete: {error}") from error
    for name, part, file in zip(("train", "test"), parts, (files[0], files[-1]), strict=True):
        yield Chunk(name, part.data, np.asarray(part.targets, dtype=np.int64), file)
