"""The layouts in which CIFAR lies on disk: each is looked for in a folder, and read.

Where a layout names the classes, names and order must be the official ones.
"""

import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import UserError
from experiments.tasks.image_cache import Chunk

PARTS = ("train", "test")
TORCHVISION = {10: "cifar-10-batches-py", 100: "cifar-100-python"}
BINARY = {10: "cifar-10-batches-bin", 100: "cifar-100-binary"}
IMAGE = ("img", "image")
LABEL = {10: ("label", "labels"), 100: ("fine_label", "fine_labels", "label", "labels")}
WORDS = {
    10: "airplane automobile bird cat deer dog frog horse ship truck",
    100: """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge
        bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach
        couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
        kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
        mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
        plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew
        skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
        telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf
        woman worm""",
}
#: The official names of the classes in the order of their labels.
NAMES = {classes: tuple(words.split()) for classes, words in WORDS.items()}
MISSPELT = {"cra": "crab"}  # in Hugging Face's CIFAR-100
CHUNK = 2000  # images of a folder layout that are held at a time


@dataclass(frozen=True)
class Found:
    """A data set on disk.

    Attributes:
        files: All its files, in an order that does not change.
        chunks: What they hold, read as it is asked for.
        root: Given where the names of the files below it are part of the data.
    """

    files: list[Path]
    chunks: Iterator[Chunk]
    root: Path | None = None


def check_names(names: Iterable[str], classes: int, where: Path) -> None:
    """Refuse names of classes that are not the official ones in the official order."""
    official = NAMES[classes]
    given = [_plain(name) for name in names]
    if len(given) != classes:
        raise UserError(f"{where} names {len(given)} classes, CIFAR-{classes} has {classes}")
    for label, (name, right) in enumerate(zip(given, official, strict=True)):
        if name != right:
            raise UserError(
                f"{where} names class {label} {name!r}; in CIFAR-{classes} it is {right!r}"
            )


def _plain(name: str) -> str:
    name = re.sub(r"[ -]", "_", name.strip().lower())
    return MISSPELT.get(name, name)


def torchvision_class(classes: int) -> Callable[..., Any]:
    """Return what torchvision reads CIFAR-10 or CIFAR-100 with."""
    from torchvision.datasets import CIFAR10, CIFAR100

    kinds: dict[int, Callable[..., Any]] = {10: CIFAR10, 100: CIFAR100}
    return kinds[classes]


def torchvision(classes: int, folder: Path) -> Found | None:
    """Find the pickled batches that torchvision unpacks."""
    return batches(classes, folder) if (folder / TORCHVISION[classes]).is_dir() else None


def batches(classes: int, folder: Path) -> Found:
    """Return the pickled batches below a folder, whether they are there or not."""
    here = folder / TORCHVISION[classes]
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"] if classes == 10 else PARTS
    files = [here / name for name in names]
    return Found(files, _read_torchvision(classes, files))


def _read_torchvision(classes: int, files: list[Path]) -> Iterator[Chunk]:
    """Let torchvision verify the checksums before it unpickles anything."""
    root, kind = str(files[0].parent.parent), torchvision_class(classes)
    try:
        train, test = kind(root, train=True), kind(root, train=False)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{files[0].parent} is damaged or incomplete: {error}") from error
    check_names(train.classes, classes, files[0].parent)
    for part, data, file in (("train", train, files[0]), ("test", test, files[-1])):
        yield Chunk(part, data.data, np.asarray(data.targets, dtype=np.int64), file)


def binary(classes: int, folder: Path) -> Found | None:
    """Find the binary version, made for programs in C."""
    here = folder / BINARY[classes]
    if not here.is_dir():
        return None
    if classes == 10:
        train = [here / f"data_batch_{i}.bin" for i in range(1, 6)]
        test, names = here / "test_batch.bin", here / "batches.meta.txt"
    else:
        train, test, names = (
            [here / "train.bin"], here / "test.bin", here / "fine_label_names.txt"
        )  # fmt: skip
    return Found([*train, test], _read_binary(classes, train, test, names))


def _read_binary(classes: int, train: list[Path], test: Path, names: Path) -> Iterator[Chunk]:
    """Read records of labels, a byte each and the fine one last, and 3,072 bytes of planes."""
    if names.is_file():
        check_names(names.read_text().split(), classes, names)
    labels = 1 if classes == 10 else 2
    for file in [*train, test]:
        content = np.fromfile(file, dtype=np.uint8)
        if len(content) % (labels + 3072):
            raise UserError(
                f"{file} is damaged: its {len(content)} bytes are no multiple of {labels + 3072}"
            )
        records = content.reshape(-1, labels + 3072)
        images = records[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        part = "test" if file == test else "train"
        yield Chunk(part, images, records[:, labels - 1].astype(np.int64), file)


def parquet(classes: int, folder: Path) -> Found | None:
    """Find Hugging Face's parquet files.

    Raises:
        UserError: Some are missing.
    """
    for below in ("", "plain_text", "data", f"cifar{classes}"):
        here = folder / below
        shards = {part: _shards(here, part) for part in PARTS}
        if shards["train"] and not shards["test"]:
            raise UserError(f"{shards['train'][0]} is there, but no test-*.parquet in {here}")
        if shards["train"]:
            files = [*shards["train"], *shards["test"]]
            return Found(files, _read_parquet(classes, shards))
    return None


def _shards(folder: Path, part: str) -> list[Path]:
    """Return the parquet files of a part in order; none may be missing of those numbered."""
    patterns = (f"{part}.parquet", f"{part}-*.parquet", f"{part}/*.parquet")
    files = next(filter(None, (list(folder.glob(pattern)) for pattern in patterns)), [])
    files.sort(key=_numbers)
    for file in files:
        of = re.search(r"-of-(\d+)\.parquet$", file.name)
        if of and len(files) != int(of[1]):
            raise UserError(
                f"{folder} has {len(files)} of the {int(of[1])} shards that {file.name} speaks of"
            )
    return files


def _read_parquet(classes: int, shards: dict[str, list[Path]]) -> Iterator[Chunk]:
    for part, files in shards.items():
        for file in files:
            yield Chunk(part, *_decode_parquet(file, classes), file)


def _decode_parquet(file: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(file)
        image = next((name for name in IMAGE if name in schema.names), None)
        label = next((name for name in LABEL[classes] if name in schema.names), None)
        if image is None or label is None:
            raise UserError(
                f"{file} needs a column {' or '.join(IMAGE)} and one "
                f"{' or '.join(LABEL[classes])}, has {schema.names}"
            )
        table = pyarrow.parquet.read_table(file, columns=[image, label])
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{file} is damaged or no parquet file: {error}".splitlines()[0]) from error
    names = _names_in(schema.metadata or {}, label)
    if names is not None:
        check_names(names, classes, file)
    try:
        if not pyarrow.types.is_integer(schema.field(label).type):
            raise ValueError(f"column {label} holds {schema.field(label).type}, no whole numbers")
        column = table[image].combine_chunks()
        encoded = column.field("bytes") if pyarrow.types.is_struct(column.type) else column
        images = np.stack([_pixels(io.BytesIO(content)) for content in encoded.to_pylist()])
        labels = table[label].to_numpy().astype(np.int64)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserError(f"{file} is damaged: {error}".splitlines()[0]) from error
    return images, labels


def _names_in(metadata: dict[bytes, bytes], label: str) -> list[str] | None:
    """Return the classes that Hugging Face's ``datasets`` names in a schema's metadata, if any."""
    with suppress(KeyError, TypeError, ValueError):
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    return None


def folders(classes: int, folder: Path) -> Found | None:
    """Find images in one folder a class.

    Raises:
        UserError: A class has no folder, or an empty one.
    """
    train = folder / "train"
    known = train.is_dir() and {_plain(d.name) for d in train.iterdir() if d.is_dir()}
    if not known or known.isdisjoint(NAMES[classes]):
        return None
    samples = {part: _samples(classes, folder / part) for part in PARTS}
    files = [file for part in PARTS for file, _ in samples[part]]
    return Found(files, _read_folders(samples), root=folder)


def _samples(classes: int, folder: Path) -> list[tuple[Path, int]]:
    """Return the images of a part and their labels, in the order in which they are read."""
    from torchvision.datasets import ImageFolder

    try:
        images = ImageFolder(str(folder))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read a folder of images a class in {folder}: {reason}") from error
    check_names(sorted(map(_plain, images.classes)), classes, folder)
    labels = [NAMES[classes].index(_plain(name)) for name in images.classes]
    return _in_order([(Path(file), labels[place]) for file, place in images.samples])


def _in_order(samples: Sequence[tuple[Path, int]]) -> list[tuple[Path, int]]:
    """Restore the order of the data set, in which the classes are mixed.

    Where each file has a number of its own, as in ``train/frog/00000.png``, that is the order.
    Where every class counts from the start, it is the first image of each class, the second ones,
    and so on. In the order of the folders, the first images would all be of one class.
    """
    if len({_numbers(file) for file, _ in samples} - {()}) == len(samples):
        return sorted(samples, key=lambda sample: _numbers(sample[0]))
    of_class = defaultdict(list)
    for file, label in samples:
        of_class[label].append(file)
    ranked = [
        (rank, label, file)
        for label, files in of_class.items()
        for rank, file in enumerate(sorted(files, key=lambda file: (_numbers(file), file.name)))
    ]
    return [(file, label) for _, label, file in sorted(ranked)]


def _numbers(file: Path) -> tuple[int, ...]:
    """Return the whole numbers in a file's name."""
    return tuple(map(int, re.findall(r"\d+", file.stem)))


def _read_folders(samples: dict[str, list[tuple[Path, int]]]) -> Iterator[Chunk]:
    for part, all_samples in samples.items():
        for start in range(0, len(all_samples), CHUNK):
            some = all_samples[start : start + CHUNK]
            images = []
            for file, _ in some:
                try:
                    images.append(_pixels(file))
                except (OSError, ValueError) as error:
                    raise UserError(f"{file} is damaged: {error}".splitlines()[0]) from error
                if images[-1].shape != (32, 32, 3):
                    raise UserError(f"{file} is no 32x32 image")
            yield Chunk(part, np.stack(images), np.array([label for _, label in some]), some[0][0])


def _pixels(source: io.BytesIO | Path) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8."""
    from PIL import Image

    with Image.open(source) as image:
        return np.asarray(image.convert("RGB"))
