"""How many cells a machine runs side by side, and on which of its devices."""

from collections.abc import Sequence

from experiments.errors import UserError


def slots(device: str, jobs: int | str, jobs_per_gpu: int) -> list[str]:
    """Return the device of each process that runs cells.

    Args:
        device: What the cells' configurations say. ``auto`` and ``cuda`` are dealt to the GPUs of
            this machine in turn, if there are any; else every process has what they say.
        jobs: Processes, or ``auto``: ``jobs_per_gpu`` for every GPU, else one for each core that
            this process may use (its affinity, and the quota of a container, count).
        jobs_per_gpu: Processes that share a GPU.
    """
    from loky import cpu_count

    gpus = _gpus(device)
    if jobs == "auto":
        jobs = len(gpus) * jobs_per_gpu or cpu_count()
    devices = gpus or [device]
    return [devices[i % len(devices)] for i in range(int(jobs))]


def on_gpus(slots: Sequence[str]) -> bool:
    """Whether processes on these devices train on GPUs."""
    return slots[0].startswith("cuda")


def at_least_one(key: str, value: int | float) -> None:
    """Refuse a count below one.

    Raises:
        UserError: Names the key.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{key} must be at least 1, got {value}")


def _gpus(device: str) -> list[str]:
    """Return the GPUs to use; none for a CPU."""
    if device not in ("auto", "cuda"):
        return [device] if device.startswith("cuda:") else []
    import torch

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
