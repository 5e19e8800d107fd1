"""ImageNet32x32: the 1,000 classes of ImageNet at the size of CIFAR's images."""

from experiments.tasks.base import Task
from experiments.tasks.imagenet32_files import CLASSES, load
from experiments.tasks.images import image_task

#: What the authors' code normalizes with, of 255: the usual means, and no scale beyond 0..1.
MEAN, STD = (122.7, 116.65, 104.0), (255.0, 255.0, 255.0)


def imagenet32(
    *,
    data_dir: str | None,
    cache_dir: str,
    train_size: int | None = None,
    pool: int = 1,
    flip: bool = True,
    crop: bool = True,
    top: int = 5,
) -> Task:
    """Return ImageNet32x32 with the augmentation of CIFAR, at full size or reduced.

    Args:
        data_dir: Where the files lie; see :mod:`experiments.tasks.imagenet32_files`.
        cache_dir: Where the decoded images are kept, 4 GB.
        train_size: As for :func:`experiments.tasks.images.image_task`, like what follows.
        pool: Likewise.
        flip: Likewise.
        crop: Likewise.
        top: Likewise; the paper reports the top-5 error.

    Raises:
        UserError: The data are missing or damaged, or the reduction is impossible.
    """
    return image_task(
        load(data_dir, cache_dir),
        classes=CLASSES, mean=MEAN, std=STD,
        train_size=train_size, pool=pool, flip=flip, crop=crop, top=top,
    )  # fmt: skip
