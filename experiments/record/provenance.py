"""Where a number comes from: code, library, processor.

The same code, torch, data and settings give the same bits on the same device, on processors of one
type, with the same number of threads. A *type* of processor is what decides which kernels torch and
the libraries below it (oneDNN, MKL) choose, and so in which order they add up: the maker, family
and model of the processor, and the instruction set in use, which a hypervisor or an environment
variable may cut down. Its name is no type: an "AMD EPYC" may have AVX-512 or not.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
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


#: Environment variables that keep libraries from what the processor can do.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
CPUINFO = Path("/proc/cpuinfo")
#: What of it names family and model: on x86, and on ARM.
X86 = ("vendor_id", "cpu family", "model")
ARM = ("CPU implementer", "CPU part")
#: Between what a column says of a run that went on elsewhere than where it was begun.
THEN = " then "


@cache
def processor() -> str:
    """Return the type of the processor: ``GenuineIntel family 6 model 143, AVX512+BF16+AMX``."""
    return f"{_model()}, {_instructions()}"


def _model() -> str:
    try:
        first = CPUINFO.read_text().split("\n\n")[0]  # a paragraph is a core
        told = dict(re.findall(r"^(.+?)\s*:[ \t]*(.*)$", first, re.MULTILINE))
        for form, names in (("{} family {} model {}", X86), ("implementer {} part {}", ARM)):
            if told.keys() >= {*names}:
                return form.format(*(told[name] for name in names))
    except OSError:  # no Linux
        pass
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
        return name or platform.machine()
    # of Windows: "Intel64 Family 6 Model 143 Stepping 8, GenuineIntel"
    return re.sub(r" Stepping \d+", "", platform.processor()) or platform.machine()


def _instructions() -> str:
    """Return the instruction set in use: torch's own choice, and what oneDNN may use beside it."""
    words = [torch.backends.cpu.get_cpu_capability(), *bf16_units()]
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
    return " ".join(["+".join(words), *limits])


def bf16_units() -> list[str]:
    """Return the extensions by which the processor multiplies bf16 numbers: ``BF16``, ``AMX``."""
    asked = {"BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    # a torch that cannot be asked says no
    return [word for word, name in asked.items() if getattr(torch.cpu, name, bool)()]


def provenance(device: str, precision: str) -> dict[str, str | int]:
    """Return the provenance columns of the runs table, but for the date.

    Args:
        device: The name of the processor or GPU.
        precision: As it was resolved.
    """
    return {
        "commit": commit(),
        "torch": str(torch.__version__),  # a class of torch's own, which no checkpoint may hold
        "device": device,
        "processor": processor(),
        "precision": precision,
        "threads": torch.get_num_threads(),
    }


def continued(
    before: Mapping[str, str | int], now: Mapping[str, str | int]
) -> tuple[dict[str, str | int], list[str]]:
    """Return the provenance of a run that goes on, and what is not as it was.

    Args:
        before: The provenance up to the checkpoint; a column that it lacks is not compared.
        now: That of this process.

    Returns:
        The columns, where a text that changed says both (``A then B``) and a number the latter; and
        a sentence's part for each change.
    """
    whole, changes = dict(now), []
    for name, value in now.items():
        last = str(before.get(name, value)).rsplit(THEN, 1)[-1]
        if last != str(value):
            changes.append(f"{name} was {last} and is {value}")
        if isinstance(value, str) and name in before:
            whole[name] = before[name] if last == value else f"{before[name]}{THEN}{value}"
    return whole, changes


def now() -> str:
    """Return the time as the column ``date`` has it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
