"""Reads the downsampled ImageNet of Chrabaszcz, Loshchilov & Hutter (2017) from disk.

``<data_dir>/imagenet32`` holds ``train_data_batch_1`` to ``train_data_batch_10`` and ``val_data``
as image-net.org hands them out, unpacked: pickles, or the same names with ``.npz``. Each has
``data``, (N, 3072) uint8 with all reds first, then greens, then blues, and ``labels`` 1 to 1000.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import UserError
from experiments.tasks import plain_pickle
from experiments.tasks.image_cache import Chunk, Images, cached, noise

FOLDER, CLASSES = "imagenet32", 1000
SIZES = (1_281_167, 50_000)  # training and validation images
NAMES = (*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data")


def load(data_dir: str | None, cache_dir: str) -> Images:
    """Return ImageNet32x32 with labels 0 to 999, memory-mapped copy-on-write from the cache.

    Without a ``data_dir`` that is noise of the same size; no command takes such a configuration.

    Raises:
        UserError: A file is missing, damaged, or not ImageNet32x32.
    """
    if data_dir is None:
        return noise(*SIZES, CLASSES)
    files = find(Path(data_dir).expanduser() / FOLDER)
    return cached(FOLDER, files, CLASSES, cache_dir, map(_chunk, files))


def find(folder: Path) -> list[Path]:
    """Return the ten training files and the validation file, each in either format."""
    files = []
    for name in NAMES:
        found = [file for file in (folder / name, folder / f"{name}.npz") if file.is_file()]
        if not found:
            raise UserError(
                f"no ImageNet32x32 at {folder}: {name} is not there, nor {name}.npz. Unpack "
                "Imagenet32_train.zip and Imagenet32_val.zip (or the _npz ones) of "
                "https://image-net.org/download-images into that folder, or set data_dir=PATH or "
                "DATA_DIR to the folder that holds it"
            )
        files.append(found[0])
    return files


def _chunk(file: Path) -> Chunk:
    content = _read_npz(file) if file.suffix == ".npz" else plain_pickle.read(file)
    try:
        data, labels = np.asarray(content["data"]), np.asarray(content["labels"])
        if data.dtype != np.uint8 or (len(labels) and labels.dtype.kind not in "iu"):
            raise ValueError(f"data are {data.dtype}, labels {labels.dtype}")
        images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    except KeyError as error:
        raise UserError(f"{file} needs data and labels, it lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{file} does not hold ImageNet32x32: {error}".splitlines()[0]) from error
    if len(labels) and not (labels.min() >= 1 and labels.max() <= CLASSES):
        raise UserError(f"{file} is damaged: a label lies outside 1..{CLASSES}")
    part = "test" if file.stem == NAMES[-1] else "train"
    return Chunk(part, images, labels.ravel().astype(np.int64) - 1, file)


def _read_npz(file: Path) -> Mapping[str, Any]:
    try:
        with np.load(file) as archive:  # which refuses objects
            return {name: archive[name] for name in ("data", "labels") if name in archive}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} is damaged: {error}".splitlines()[0]) from error
