"""Names of optimizers, tasks and settings, and the order in which a report shows them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.report.data.text import short

#: Name of each optimizer of configs/optim, in the order of the panels.
LABELS = {
    "sgd": "SGD + L2",
    "sgdw": "SGDW",
    "adam": "Adam + L2",
    "adam_l2_m": "Adam, L2 in m only",
    "adam_l2_v": "Adam, L2 in v only",
    "adam_preconditioned": "Adam, L2 over root v",
    "adamw": "AdamW",
    "torch_sgd": "torch SGD",
    "torch_adam": "torch Adam",
    "torch_adamw": "torch AdamW",
    "rmsprop": "RMSprop + L2",
    "rmspropw": "RMSpropW",
    "nadam": "NAdam + L2",
    "nadamw": "NAdamW",
    "radam": "RAdam + L2",
    "radamw": "RAdamW",
    "adagrad": "Adagrad + L2",
    "adagradw": "AdagradW",
}
#: Name of each task of configs/task; p is a modulus.
TASKS = {
    "modular": "a + b mod {p}",
    "modular_subtract": "a - b mod {p}",
    "modular_multiply": "a * b mod {p}",
    "modular_divide": "a / b mod {p}",
    "shakespeare": "Shakespeare",
    "shakespeare_masked": "masked Shakespeare",
    "cifar10": "CIFAR-10",
    "cifar10_medium": "medium CIFAR-10",
    "cifar10_small": "small CIFAR-10",
    "cifar10_tiny": "tiny CIFAR-10",
    "cifar10_vit": "CIFAR-10 in patches",
    "cifar10_small_vit": "small CIFAR-10 in patches",
    "cifar100": "CIFAR-100",
    "imagenet32": "ImageNet32",
}
MODELS = {
    "transformer": "transformer",
    "gpt": "GPT",
    "bert": "BERT",
    "vit": "ViT",
    "resnet8": "ResNet-8",
    "resnet20": "ResNet-20",
    "shake_shake_32d": "Shake-Shake 2x32d",
    "shake_shake_64d": "Shake-Shake 2x64d",
    "shake_shake_96d": "Shake-Shake 2x96d",
    "shake_shake_26_2x64d": "Shake-Shake 26 2x64d",
}
#: What a value of ``no_decay`` spares from decay.
SPARED = {"norm_and_bias": "norms and biases", "embeddings_too": "norms, biases and embeddings"}
#: Values that are words, by their setting.
VALUES = {
    "model": MODELS,
    "decay": {"normalized": "normalized wd", "raw": "raw wd"},
    "schedule": {"warm_restarts": "warm restarts"},
    "no_decay": {"none": "all decay"} | {name: f"{of} spared" for name, of in SPARED.items()},
}
SCHEDULES = ("constant", "step", "cosine", "warm_restarts")
#: The paper prints its figure S3 with AdamW above SGDW, and figure 2 the other way round.
FIRST = {"figureS3": ("adamw", "sgdw")}


def label(optim: str) -> str:
    """Return the name of an optimizer as a reader knows it."""
    return LABELS.get(optim, optim)


def is_text(task: str) -> bool:
    """Whether a task is about text, as its name says."""
    return task.startswith(("shakespeare", "text"))


def task(name: str, modulus: float | None = None) -> str:
    """Return the name of a task; its modulus is p where it is not given."""
    p = "p" if pd.isna(modulus) else short(modulus)
    return TASKS.get(name, name.replace("_", " ")).format(p=p)


def setting(name: str, value: Any, run: pd.Series | None = None) -> str:
    """Return one setting of a protocol as a title prints it, e.g. ``100 epochs`` or ``cosine``.

    Args:
        name: Column of the runs table.
        value: What stands in it.
        run: A run that has it, for what the name of its task says besides.
    """
    if isinstance(value, float):
        value = short(value)
    if name == "task":
        return task(str(value), None if run is None else run.get("task.modulus"))
    if name in VALUES:
        return VALUES[name].get(str(value), str(value).replace("_", " "))
    if name == "epochs":
        return f"{value} epoch{'s' * (value != '1')}"
    if name == "figure":
        return str(value).replace("figure", "Figure ")
    if name == "train_size" and run is not None:
        size = run.get("task.train_size")
        if is_text(str(run["task"])) and pd.notna(size):
            return f"{float(size):,.0f} characters"
    words = {"optim.eps": "epsilon"}.get(name, name.rpartition(".")[2].replace("_", " "))
    return f"{words} {value}"


def order(key: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort key of panels: figure, task, optimizer, then raw before normalized, then schedules."""
    optims = list(dict.fromkeys([*FIRST.get(str(key.get("figure")), ()), *LABELS]))
    optim, schedule = str(key["optim"]), str(key.get("schedule", ""))
    rest = [
        f"{value:024.10f}" if isinstance(value, float) else str(value)
        for name, value in key.items()
        if name not in ("figure", "task", "optim", "decay", "schedule")
    ]
    return (
        str(key.get("figure", "")),
        str(key.get("task", "")),
        optims.index(optim) if optim in optims else len(optims),
        optim,
        key.get("decay", "") == "normalized",
        SCHEDULES.index(schedule) if schedule in SCHEDULES else len(SCHEDULES),
        rest,
    )
