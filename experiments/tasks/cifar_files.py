"""Finds CIFAR on disk in any of its usual layouts, and reads it.

Four layouts are looked for, in this order, each in ``<data_dir>/cifar10`` (``cifar100``) and in
``<data_dir>`` itself:

- torchvision's: ``cifar-10-batches-py/`` or ``cifar-100-python/``, whose checksums torchvision
  verifies before it reads them;
- the binary version: ``cifar-10-batches-bin/`` or ``cifar-100-binary/``;
- Hugging Face's: ``train-*.parquet`` and ``test-*.parquet`` in any number of shards, also below
  ``plain_text/``, ``data/`` or ``cifar100/``, with an image column ``img`` or ``image`` and a label
  column ``label`` or ``labels`` (``fine_label`` for CIFAR-100);
- one folder a class: ``train/CLASS/*.png`` and ``test/CLASS/*.png``, as torchvision's ImageFolder
  reads them.

If there is none, torchvision downloads its own where the network allows. Where a layout names the
classes, names and order must be the official ones. The same images in the same order are the same
data in any layout.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.errors import UserError
from experiments.record.files import expanded
from experiments.tasks import cifar_layouts
from experiments.tasks.cifar_layouts import BINARY, NAMES, TORCHVISION, Found
from experiments.tasks.image_cache import Chunk, Images, cached, hash_files, noise

SIZES = (50_000, 10_000)  # training and test images
LAYOUTS = (
    *(cifar_layouts.torchvision, cifar_layouts.binary),
    *(cifar_layouts.parquet, cifar_layouts.folders),
)


def load(classes: int, data_dir: str | None, cache_dir: str) -> Images:
    """Return CIFAR-10 or CIFAR-100, memory-mapped copy-on-write from the cache.

    Without a ``data_dir`` that is noise of the same size; no command takes such a configuration.

    Raises:
        UserError: No data are found, or a file is damaged or not CIFAR.
    """
    if data_dir is None:
        return noise(*SIZES, classes)
    found = find(classes, expanded(data_dir))
    files_hash = hash_files(found.files, found.root)
    chunks = _all_classes(found.chunks, classes)
    return cached(f"cifar{classes}", files_hash, classes, cache_dir, chunks)


def find(classes: int, data_dir: Path) -> Found:
    """Return the first layout that is there, or download one.

    Raises:
        UserError: There is none, and it cannot be downloaded; or one is incomplete.
    """
    if classes not in NAMES:
        raise UserError(f"task.classes must be 10 or 100, got {classes}")
    folders = [data_dir / f"cifar{classes}", data_dir]
    if data_dir.name in (TORCHVISION[classes], BINARY[classes]):
        folders.append(data_dir.parent)
    for layout in LAYOUTS:
        for folder in folders:
            found = layout(classes, folder)
            if found is not None:
                return found
    _download(classes, data_dir)
    return cifar_layouts.batches(classes, data_dir)


def _download(classes: int, data_dir: Path) -> None:
    try:
        cifar_layouts.torchvision_class(classes)(str(data_dir), download=True)
    except (OSError, RuntimeError) as error:
        name = f"cifar{classes}"
        raise UserError(
            f"no CIFAR-{classes} in {data_dir}, and downloading it failed "
            f"({type(error).__name__}). Looked there and in {data_dir / name} for "
            f"{TORCHVISION[classes]}/ (torchvision), {BINARY[classes]}/ (binary version), "
            f"train-*.parquet, also in plain_text/, data/ or {name}/ (Hugging Face), and "
            f"train/{NAMES[classes][0]}/*.png (a folder a class). Put one of them there, or set "
            f"data_dir=PATH or DATA_DIR to where it is, or unpack cifar-{classes}-python.tar.gz "
            "of https://www.cs.toronto.edu/~kriz/cifar.html there"
        ) from error


def _all_classes(chunks: Iterable[Chunk], classes: int) -> Iterator[Chunk]:
    """Pass on what is read; refuse a training set without the last class, such as CIFAR-10's."""
    last = 0
    for chunk in chunks:
        if chunk.part == "train":
            last = max(last, int(chunk.labels.max(initial=0)))
        yield chunk
    if last < classes - 1:
        raise UserError(
            f"{chunk.file} and the training files with it have no label above {last}, "
            f"CIFAR-{classes} goes to {classes - 1}"
        )
