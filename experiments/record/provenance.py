"""Where a number comes from: commit, library, processor."""

import hashlib
import subprocess
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import torch


@cache
def commit() -> str:
    """Return the abbreviated git commit of this code, + appended when files differ from it.

    It is looked up once a process: what was imported does not change after that.
    """
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def sources() -> str:
    """Return a hash of the code that a run consists of, whether committed or not."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for package in ("optim", "experiments", "hydra_plugins"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def provenance(device: str, precision: str) -> dict[str, str | int]:
    """Return the provenance columns of the runs table for a run that ends now."""
    return {
        "commit": commit(),
        "torch": torch.__version__,
        "device": device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
