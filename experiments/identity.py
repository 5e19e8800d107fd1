"""Which run is it: a hash of everything in a configuration that can change the run's numbers."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

#: Keys that can change a run's numbers. Paths, device, tracker, and how often to look cannot.
DECISIVE = (
    *("task", "model", "optim", "schedule", "decay", "lr", "wd", "no_decay", "seed", "epochs"),
    *("batch_size", "warmup_epochs", "validation_size", "precision"),
)


def identity(config: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that two runs share if and only if they are the same run.

    Args:
        config: A resolved configuration, as plain values.
    """
    decisive = {key: config[key] for key in DECISIVE}
    canonical = json.dumps(decisive, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def cell_name(config: Mapping[str, Any]) -> str:
    """Return a folder name that a person can read and that no other run has.

    It holds letters, digits and ``.-_=+`` only, so that no value can lead out of the runs folder.
    """
    axes = [config["optim"].get("name", "")]
    axes += [f"{key}={config[key]:g}" for key in ("lr", "wd", "seed")]
    readable = re.sub(r"[^A-Za-z0-9.=_+-]", "_", "-".join(axes))[:100]
    return f"{readable}-{identity(config)[:8]}"
