"""CIFAR-10 and CIFAR-100."""

from experiments.tasks.base import Task
from experiments.tasks.cifar_files import load
from experiments.tasks.images import image_task

#: Classes -> fingerprint of the images that the committed results were made with: CIFAR-10 encoded
#: as JPEG of quality 75. There are no results with CIFAR-100.
REFERENCE = {10: "89e5990e25bdce18"}
#: Mean and standard deviation of the channels over the training sets, of 255 (fb.resnet.torch).
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


def cifar(
    *,
    classes: int,
    data_dir: str | None,
    cache_dir: str,
    train_size: int | None = None,
    pool: int = 1,
    flip: bool = True,
    crop: bool = True,
) -> Task:
    """Return CIFAR with the standard augmentation, at full size or reduced.

    Args:
        classes: 10 or 100.
        data_dir: Where the files lie; see :func:`experiments.tasks.cifar_files.load`.
        cache_dir: Where the decoded images are kept.
        train_size: As for :func:`experiments.tasks.images.image_task`, like what follows.
        pool: Likewise.
        flip: Likewise.
        crop: Likewise.

    Raises:
        UserError: The data are missing or damaged, or the reduction is impossible.
    """
    return image_task(
        load(classes, data_dir, cache_dir), reference=REFERENCE.get(classes),
        classes=classes, mean=MEAN, std=STD,
        train_size=train_size, pool=pool, flip=flip, crop=crop,
    )  # fmt: skip
