"""Decodes a set of images once, into arrays that processes side by side map into memory."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import UserError
from experiments.record.files import expanded, write_atomically

ARRAYS = ("train", "train_labels", "test", "test_labels")


@dataclass(frozen=True)
class Images:
    """Decoded images (N, 32, 32, 3) uint8 and labels (N,) int64, training and test.

    Attributes:
        fingerprint: Hash of the four arrays: the same images in the same order have the same one,
            in whatever files they came.
        files_hash: Hash of the files, which names the cache; None without files.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    fingerprint: str
    files_hash: str | None = None


@dataclass(frozen=True)
class Chunk:
    """Images (n, 32, 32, 3) uint8 and labels (n,) of ``train`` or ``test``, and their file."""

    part: str
    images: np.ndarray
    labels: np.ndarray
    file: Path


def cached(
    name: str, files_hash: str, classes: int, cache_dir: str, chunks: Iterable[Chunk]
) -> Images:
    """Return what the files hold, memory-mapped copy-on-write from the cache.

    The cache is keyed by the hash of the files, so a changed file is decoded anew, and processes
    that train side by side share one copy in memory. Decoding holds one chunk at a time.

    Args:
        name: Of the data set: how its folder in the cache begins.
        files_hash: Of the source files; see :func:`hash_files`.
        classes: Labels lie in 0..classes-1.
        cache_dir: Where the decoded arrays are kept.
        chunks: What the files hold, read as it is asked for; the images of a part come in order.

    Raises:
        UserError: A file is damaged, or the cache cannot be written or read.
    """
    folder = expanded(cache_dir) / f"{name}-{files_hash}"
    if not folder.is_dir():
        _decode_into(folder, classes, chunks)
    arrays = {array: _mapped(folder / f"{array}.npy") for array in ARRAYS}
    fingerprint = _fingerprint(folder / "fingerprint", list(arrays.values()))
    return Images(**arrays, fingerprint=fingerprint, files_hash=files_hash)


def noise(train: int, test: int, classes: int) -> Images:
    """Return random images and labels, to time steps without data: all differ, in little memory.

    Neighbours overlap, since image i begins at byte i of one row of random bytes.
    """
    draw = np.random.default_rng(0)
    size = 32 * 32 * 3
    arrays: list[np.ndarray] = []
    for count in (train, test):
        pixels = draw.integers(0, 256, count + size, dtype=np.uint8)
        strides = (1, 32 * 3, 3, 1)
        arrays += [
            np.lib.stride_tricks.as_strided(pixels, (count, 32, 32, 3), strides),
            draw.integers(0, classes, count),
        ]
    return Images(arrays[0], arrays[1], arrays[2], arrays[3], fingerprint="noise")


def hash_files(files: Iterable[Path], root: Path | None = None) -> str:
    """Return a hash of the contents of files, and of their names below ``root`` if it is given.

    Raises:
        UserError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        if root is not None:
            digest.update(str(file.relative_to(root)).encode() + b"\0")
        try:
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror}") from error
    return digest.hexdigest()[:16]


def _fingerprint(file: Path, arrays: Sequence[np.ndarray]) -> str:
    """Return the hash of the arrays, which is kept beside them for the next time."""
    with suppress(OSError):
        kept = file.read_text()
        if re.fullmatch(r"[0-9a-f]{16}", kept):
            return kept
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(hashlib.sha256(array.data).digest())
    fingerprint = digest.hexdigest()[:16]
    with suppress(OSError):  # a cache that cannot be written is hashed each time
        write_atomically(file, fingerprint.encode())
    return fingerprint


def _mapped(file: Path) -> np.ndarray:
    """Return a cached array; numpy refuses one that holds objects, which could be code."""
    try:
        array: np.ndarray = np.load(file, mmap_mode="c")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged; remove {file.parent} to decode it anew") from error
    return array


def _decode_into(folder: Path, classes: int, chunks: Iterable[Chunk]) -> None:
    """Write all chunks aside and rename the folder, so that a cache is whole or absent."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            half = Path(temporary) / "half"
            half.mkdir()
            with ExitStack() as files:
                append = {a: files.enter_context(_growing(half / f"{a}.npy")) for a in ARRAYS}
                for chunk in chunks:
                    _check(chunk, classes)
                    append[chunk.part](chunk.images)
                    append[f"{chunk.part}_labels"](chunk.labels.astype(np.int64))
            if not folder.is_dir():  # another process may have been quicker
                os.rename(half, folder)
    except OSError as error:
        if not folder.is_dir():
            raise UserError(
                f"cannot write the cache {folder}: {error.strerror}; set cache_dir=PATH"
            ) from error


def _check(chunk: Chunk, classes: int) -> None:
    if chunk.images.shape[1:] != (32, 32, 3):
        raise UserError(f"{chunk.file} does not hold 32x32 colour images")
    if not len(chunk.labels) or len(chunk.labels) != len(chunk.images):
        raise UserError(
            f"{chunk.file} is damaged: {len(chunk.images)} images, {len(chunk.labels)} labels"
        )
    if chunk.labels.min() < 0 or chunk.labels.max() >= classes:
        raise UserError(f"{chunk.file} is damaged: a label lies outside 0..{classes - 1}")


@contextmanager
def _growing(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an .npy file row by row; its header is written last, for which numpy leaves room."""
    header: dict[str, Any] = {}

    def append(rows: np.ndarray) -> None:
        if not header:
            header.update(np.lib.format.header_data_from_array_1_0(rows), fortran_order=False)
            header["shape"] = (0, *rows.shape[1:])
            np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(rows).data)
        header["shape"] = (header["shape"][0] + len(rows), *rows.shape[1:])

    with path.open("wb") as file:
        yield append
        if header:
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header)
