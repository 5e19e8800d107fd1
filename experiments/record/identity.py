"""Which run is it: a hash of everything in a configuration that can change the run's numbers."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

#: Keys that can change a run's numbers. Paths, device, tracker, and how often to look cannot.
DECISIVE = (
    *("task", "model", "optim", "schedule", "decay", "lr", "wd", "no_decay", "seed", "epochs"),
    *("batch_size", "warmup_epochs", "validation_size", "precision", "loss_scale", "compile"),
)
#: Keys that came when there were runs already, each with the value at which a run is what it was
#: before: there the key is left out, and the runs keep their identity.
ADDED_LATER = {
    "loss_scale": 1.0,
    "task.operation": "add",
    "compile": False,
    "model.init": "fan_out",
}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of :data:`DECISIVE` has no column of its own in the runs table, by dotted key."""
    decisive = _decisive(config)
    alone = ("warmup_epochs", "validation_size", "loss_scale", "compile")
    found = {key: decisive[key] for key in alone if key in decisive}
    for group in ("task", "model", "optim", "schedule", "decay"):
        for key, value in decisive[group].items():
            if key not in ("name", "convention", "_target_", "_partial_"):
                found[f"{group}.{key}"] = json.dumps(value) if isinstance(value, list) else value
    return found


def identity(config: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that two runs share if and only if they are the same run.

    ``precision=auto`` counts as itself: what it came to is recorded, and a run that was begun under
    one precision is not continued under another.

    Args:
        config: A resolved configuration, as plain values.
    """
    canonical = json.dumps(_unsigned(_decisive(config)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    decisive = {key: config[key] for key in DECISIVE}
    for dotted, before in ADDED_LATER.items():
        *groups, key = dotted.split(".")
        node = decisive
        for group in groups:
            node[group] = node = dict(node[group])
        if node.get(key) == before:
            del node[key]
    return decisive


def _unsigned(value: Any) -> Any:
    """Write zero one way: -0.0 is the same number as 0.0."""
    if isinstance(value, Mapping):
        return {key: _unsigned(child) for key, child in value.items()}
    return value + 0.0 if isinstance(value, float) else value


def cell_name(config: Mapping[str, Any]) -> str:
    """Return a folder name that a person can read and that no other run has.

    It holds letters, digits and ``.-_=+`` only, so that no value can lead out of the runs folder.
    """
    axes = [config["optim"].get("name", "")]
    axes += [f"{key}={config[key] + 0:g}" for key in ("lr", "wd", "seed")]
    readable = re.sub(r"[^A-Za-z0-9.=_+-]", "_", "-".join(axes))[:100]
    return f"{readable}-{identity(config)[:8]}"
