"""Which run is it: a hash of everything that can change the run's numbers."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from experiments.record.schema import GROUPS, OWN_KEYS, SETTINGS

#: Keys that can change a run's numbers. Paths, device, tracker, and how often to measure cannot.
DECISIVE = (
    *(*GROUPS, "lr", "wd", "no_decay", "seed", "epochs", "batch_size", "warmup_epochs"),
    *("validation_size", "precision", "loss_scale", "compile"),
)
#: Keys added after the first runs were recorded, each with the value that those runs had. At that
#: value a key is left out of the hash, so that old runs keep their identities.
ADDED_LATER = {
    "loss_scale": 1.0,
    "task.operation": "add",
    "compile": False,
    "model.init": "fan_out",
    "optim.decay_power": 1,
    "optim.cautious": False,
}
#: Keys whose whole numbers are hashed as floats (0.0). All others are hashed as integers (0): this
#: is how the identities of the first runs were made, and they must stay.
FLOATS = {"lr", "wd", "epochs", "warmup_epochs", "loss_scale", "model.dropout"}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of :data:`DECISIVE` has no column of its own in the runs table, by dotted key."""
    decisive = _decisive(config)
    found = {key: value for key, value in decisive.items() if key in SETTINGS}
    for group in GROUPS:
        for key, value in decisive[group].items():
            if key not in OWN_KEYS:
                found[f"{group}.{key}"] = json.dumps(value) if isinstance(value, list) else value
    return found


def identity(config: Mapping[str, Any], data: str | None) -> str:
    """Return 16 hexadecimal digits that two runs share if and only if they are the same run.

    How a number is written does not matter: 0, 0.0 and -0.0 are the same.

    ``precision=auto`` counts as itself: what it came to is recorded, and a run that was begun under
    one precision is not continued under another.

    Args:
        config: A resolved configuration, as plain values.
        data: Fingerprint of the data where the configuration does not say which they are, else
            None: :attr:`experiments.tasks.Task.data`.
    """
    decisive = _decisive(config) | ({} if data is None else {"data": data})
    canonical = json.dumps(decisive, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    decisive = {key: _one_spelling(config[key], key) for key in DECISIVE}
    for dotted, before in ADDED_LATER.items():
        *groups, key = dotted.split(".")
        node = decisive
        for group in groups:
            node = node[group]
        if node.get(key) == before:
            del node[key]
    return decisive


def _one_spelling(value: Any, key: str) -> Any:
    """Return a copy in which every number is written one way, however it was typed."""
    if isinstance(value, Mapping):
        return {name: _one_spelling(child, f"{key}.{name}") for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(child, key) for child in value]
    if isinstance(value, int | float) and key in FLOATS:
        return float(value) + 0.0  # -0.0 becomes 0.0
    return int(value) if isinstance(value, float) and value.is_integer() else value


def cell_name(config: Mapping[str, Any], run_id: str) -> str:
    """Return a folder name that a person can read and that no other run has.

    It holds letters, digits and ``.-_=+`` only, so that no value can lead out of the runs folder.

    Args:
        config: A resolved configuration, as plain values.
        run_id: The run's identity.
    """
    axes = [config["optim"].get("name", "")]
    axes += [f"{key}={config[key] + 0:g}" for key in ("lr", "wd", "seed")]
    readable = re.sub(r"[^A-Za-z0-9.=_+-]", "_", "-".join(axes))[:100]
    return f"{readable}-{run_id[:8]}"
