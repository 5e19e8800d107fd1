"""Single-run speed as a share of what the machine multiplies, and the optimizers' steps."""

import functools
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Timing, time_together
from experiments.models import ResNet, ShakeShake, Transformer
from experiments.run.device import autocast, resolve_precision
from optim import SGD, SGDW, Adam, AdamW

CPU = torch.device("cpu")
PROCESSES = 2
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor], int, str]] = {
    "ResNet-20, 32x32": (
        lambda: ResNet(3, 10, depth=20), lambda: torch.randn(128, 3, 32, 32), 10, "auto",
    ),
    "ResNet-8, 16x16": (
        lambda: ResNet(3, 10, depth=8), lambda: torch.randn(128, 3, 16, 16), 10, "auto",
    ),
    "Shake-Shake 26 2x32d, 32x32": (
        lambda: ShakeShake(3, 10, width=32), lambda: torch.randn(128, 3, 32, 32), 10, "auto",
    ),
    "transformer, modular": (
        lambda: Transformer(48, 3, 47), lambda: torch.randint(0, 48, (512, 3)), 47, "fp32",
    ),
}  # fmt: skip


def training_step(name: str, device: torch.device = CPU) -> tuple[Callable[[], None], str]:
    """Return a function that takes one whole training step, and its precision."""
    make, inputs, classes, precision = NETWORKS[name]
    precision = resolve_precision(precision, device)
    model = make().to(device)
    x = inputs().to(device)
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (len(x),), device=device)
    optimizer = AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)

    def step() -> None:
        with autocast(precision, device):
            logits = model(x)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, precision


def multiplication(precision: str) -> tuple[Callable[[], object], int]:
    """Return a square matrix product and its operations."""
    size = 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    return lambda: torch.mm(a, b), 2 * size**3


def _rate(what: str, seconds: float, barrier: Any, results: Any) -> None:
    """Measure calls a second of one thing in a process of one thread, while the others do too."""
    torch.set_num_threads(1)
    kind, _, name = what.partition(":")
    action = multiplication(name)[0] if kind == "mm" else training_step(name)[0]
    for _ in range(3):
        action()
    barrier.wait()
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        action()
        calls += 1
    results.put(calls / (time.perf_counter() - started))


def rate(what: str, seconds: float) -> float:
    """Return calls a second of ``mm:PRECISION`` or ``step:NETWORK``, a process on every core."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(PROCESSES), context.Queue()
    arguments = (what, seconds, barrier, results)
    workers = [context.Process(target=_rate, args=arguments) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total


def flops(name: str) -> int:
    """Return the floating-point operations of a training step, counted by torch."""
    step, _ = training_step(name)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def utilization(rounds: int, seconds: float = 3.0) -> list[dict[str, Any]]:
    """Compare what training steps achieve with the machine's matrix products, both in turn."""
    rows = []
    for name in NETWORKS:
        precision = training_step(name)[1]
        operations, per_product = flops(name), multiplication(precision)[1]
        achieved, possible = [], []
        for _ in range(rounds):
            achieved.append(operations * rate(f"step:{name}", seconds) / 1e9)
            possible.append(per_product * rate(f"mm:{precision}", seconds) / 1e9)
        shares = Timing.of([a / b for a, b in zip(achieved, possible, strict=True)])
        rows.append(
            {
                "what": f"{name}: GFLOP/s in training, a process a core",
                "ours": Timing.of(achieved).median,
                "baseline": Timing.of(possible).median,
                "against": f"{precision} matrix product",
                "ratio": shares.median,
                "spread": shares.spread,
                "target": 0.45 if name.startswith("ResNet-20") else None,
            }
        )
    return rows


PARAMETERS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-20 (0.27 M)": lambda: ResNet(3, 10, depth=20),
    "Shake-Shake 26 2x64d (11.65 M)": lambda: ShakeShake(3, 10, width=64),
    "transformer of 10 M": lambda: Transformer(256, 64, 256, width=320, heads=8, layers=8),
}
RIVALS: dict[str, tuple[type, type]] = {
    "SGD": (SGD, torch.optim.SGD),
    "SGDW": (SGDW, torch.optim.SGD),
    "Adam": (Adam, torch.optim.Adam),
    "AdamW": (AdamW, torch.optim.AdamW),
}


def optimizer_steps(rounds: int) -> list[dict[str, Any]]:
    """Time one step of each optimizer against torch's foreach and fused, one thread, in turn."""
    torch.set_num_threads(1)
    rows = []
    for network, make in PARAMETERS.items():
        for name, (ours, theirs) in RIVALS.items():
            steps = {
                "ours": _stepper(make(), ours),
                "foreach": _stepper(make(), theirs, foreach=True),
                "fused": _stepper(make(), theirs, fused=True),
            }
            timings = time_together(steps, repeats=rounds, number=3)
            for rival, target in (("foreach", 1.0), ("fused", 1.2 if "Adam" in name else None)):
                rows.append(
                    {
                        "what": f"{name} step on {network}, ms",
                        "ours": 1e3 * timings["ours"].median,
                        "baseline": 1e3 * timings[rival].median,
                        "against": f"torch {rival}",
                        "ratio": timings["ours"].median / timings[rival].median,
                        "spread": timings["ours"].spread,
                        "target": target,
                        "lower_is_better": True,
                    }
                )
    return rows


def _stepper(model: nn.Module, optimizer_class: type, **options: bool) -> Callable[[], object]:
    extra = {"momentum": 0.9} if "SGD" in optimizer_class.__name__ else {}
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer = optimizer_class(model.parameters(), lr=1e-4, weight_decay=1e-4, **extra, **options)
    return functools.partial(_take, model, optimizer)


def _take(model: nn.Module, optimizer: torch.optim.Optimizer) -> object:
    """Step; the model comes along so that its parameters live."""
    return optimizer.step()
