"""Which processor, which precision: resolved once, recorded with the run."""

import platform
from contextlib import AbstractContextManager
from typing import Any

import torch

from experiments.errors import UserError
from experiments.record.provenance import bf16_units


def resolve_device(device: str) -> torch.device:
    """Return the device named, ``auto`` being a GPU if there is one.

    Raises:
        UserError: torch knows no such device, or it is not here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device must be auto, cpu or a GPU that is here, got {device}"
            f" ({str(error).splitlines()[0]})"
        ) from error
    return resolved


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16``; ``auto`` is bf16 where the hardware multiplies it natively."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if bf16_units() else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context in which a forward pass runs; weights stay fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def device_name(device: torch.device) -> str:
    """Return what a person would call the device, such as ``AMD EPYC`` or ``NVIDIA H100``.

    An older torch knows no name of a CPU; there it is the architecture, such as ``x86_64``.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return capabilities.get("cpu_name") or platform.machine()
