"""Reads the downsampled ImageNet of Chrabaszcz, Loshchilov & Hutter (2017) from disk.

``<data_dir>/imagenet32`` holds ``train_data_batch_1.npz`` to ``train_data_batch_10.npz`` and
``val_data.npz``, as image-net.org hands them out, unpacked. Each has ``data``, (N, 3072) uint8 with
all reds first, then greens, then blues, and ``labels`` 1 to 1000. The same files without ``.npz``,
which image-net.org has, too, are pickles: a pickle can run code when it is read, so none is read
here.
"""

import shlex
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import UserError
from experiments.record.files import expanded
from experiments.tasks.image_cache import Chunk, Images, cached, hash_files, noise

FOLDER, CLASSES = "imagenet32", 1000
SIZES = (1_281_167, 50_000)  # training and validation images
NAMES = (*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data")
#: Writes NAME.npz beside each pickle NAME.
CONVERT = (
    "python -c \"import numpy, pickle, sys; [numpy.savez(name, **pickle.load(open(name, 'rb'), "
    "encoding='latin1')) for name in sys.argv[1:]]\" "
    "train_data_batch_? train_data_batch_10 val_data"
)


def load(data_dir: str | None, cache_dir: str) -> Images:
    """Return ImageNet32x32 with labels 0 to 999, memory-mapped copy-on-write from the cache.

    Without a ``data_dir`` that is noise of the same size; no command takes such a configuration.

    Raises:
        UserError: A file is missing, damaged, or not ImageNet32x32.
    """
    if data_dir is None:
        return noise(*SIZES, CLASSES)
    files = find(expanded(data_dir) / FOLDER)
    return cached(FOLDER, hash_files(files), CLASSES, cache_dir, map(_chunk, files))


def find(folder: Path) -> list[Path]:
    """Return the ten training files and the validation file.

    Raises:
        UserError: One is missing; where its pickle is there, the message says how to convert it.
    """
    for name in NAMES:
        if (folder / f"{name}.npz").is_file():
            continue
        if (folder / name).is_file():
            raise UserError(
                f"{folder / name} is a pickle, which can run code when it is read; only .npz files "
                "are read here. If you trust where the pickles came from, convert them once: "
                f"cd {shlex.quote(str(folder))} && {CONVERT}"
            )
        raise UserError(
            f"no ImageNet32x32 at {folder}: {name}.npz is not there. Unpack "
            "Imagenet32_train_npz.zip and Imagenet32_val_npz.zip of "
            "https://image-net.org/download-images into that folder, or set data_dir=PATH or "
            "DATA_DIR to the folder that holds it"
        )
    return [folder / f"{name}.npz" for name in NAMES]


def _chunk(file: Path) -> Chunk:
    content = _read(file)
    try:
        data, labels = content["data"], content["labels"]
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


def _read(file: Path) -> Mapping[str, Any]:
    if not zipfile.is_zipfile(file):  # which numpy would take for something else
        raise UserError(f"{file} is damaged: it is not what numpy.savez writes")
    try:
        with np.load(file) as archive:  # which refuses objects
            return {name: archive[name] for name in ("data", "labels") if name in archive}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file} is damaged: {error}".splitlines()[0]) from error
