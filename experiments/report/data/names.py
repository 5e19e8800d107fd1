"""Names of optimizers and settings, and the order in which a report shows them."""

from collections.abc import Mapping
from typing import Any

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
SCHEDULES = ("constant", "step", "cosine", "warm_restarts")
#: The paper prints its figure S3 with AdamW above SGDW, and figure 2 the other way round.
FIRST = {"figureS3": ("adamw", "sgdw")}


def label(optim: str) -> str:
    """Return the name of an optimizer as a reader knows it."""
    return LABELS.get(optim, optim)


def setting(name: str, value: Any) -> str:
    """Return one setting of a protocol as a title prints it, e.g. ``100 epochs`` or ``cosine``."""
    if isinstance(value, float):
        value = f"{value:g}"
    if name in ("task", "schedule", "model", "decay"):
        words = {"normalized": "normalized wd", "raw": "raw wd", "warm_restarts": "warm restarts"}
        return words.get(str(value), str(value))
    if name == "epochs":
        return f"{value} epoch{'s' * (value != '1')}"
    if name == "figure":
        return str(value).replace("figure", "Figure ")
    return f"{name.replace('_', ' ')} {value}"


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
