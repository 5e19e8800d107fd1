"""What a sweep costs: its operations, counted by torch, and its hours, from steps timed here."""

import copy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.errors import UserError
from experiments.progress import progress_bar
from experiments.run import build
from experiments.run.bundle import Steps
from experiments.run.capture import WARM_UP
from experiments.run.device import device_name, resolve_device, resolve_precision
from experiments.run.schema import RunConfig
from experiments.run.trainer import Diverged, Trainer
from experiments.sweep import grid
from experiments.sweep.packing import in_a_process
from experiments.sweep.slots import slots
from experiments.tasks import Task

SECONDS = 10.0  # that the steps of each kind of cell are timed
#: What decides how long a step takes; cells that agree on it are of one kind.
PACE = ("task", "model", "optim", "no_decay", "batch_size", "precision", "compile", "threads")
#: Tasks that make noise of the size of their data where a configuration names no data.
IMAGES = ("experiments.tasks.cifar.cifar", "experiments.tasks.imagenet32.imagenet32")


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of a training step on a full batch, and of reading an example."""

    step: float
    example: float


@dataclass(frozen=True)
class Kind:
    """Cells whose steps take equally long.

    Attributes:
        name: Task, network and optimizer.
        runs: How many there are.
        steps: Optimizer steps of all of them.
        trained: Operations of these steps.
        evaluated: Operations of their evaluations.
        step_seconds: Of one step of one cell, measured.
        at_once: How many cells took their steps together as that was measured.
    """

    name: str
    runs: int
    steps: int
    trained: float
    evaluated: float
    step_seconds: float
    at_once: int = 1

    @property
    def flops(self) -> float:
        """All operations."""
        return self.trained + self.evaluated

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.trained / (self.steps * self.step_seconds)

    @property
    def hours(self) -> float:
        """Of all its runs, one after the other; evaluations go at the rate of steps."""
        return self.flops / self.rate / 3600


def cost_of(name: str, seconds: float = SECONDS) -> str:
    """Return what a preset costs on the device at hand, as text.

    Args:
        name: The preset.
        seconds: How long to time the steps of each kind of cell.

    Raises:
        UserError: There is no such preset, or its data are needed and not there.
    """
    if name == "???":
        raise UserError("give experiment=NAME")
    cells = [RunConfig.from_plain(job) for job in grid.jobs(name)]
    first = cells[0]
    device = resolve_device(first.device)
    alike: dict[tuple[object, ...], list[RunConfig]] = {}
    for cell in cells:
        alike.setdefault(attrgetter(*PACE)(cell), []).append(cell)
    kinds = []
    with progress_bar(len(alike), "kind") as bar:
        for of_a_kind in alike.values():
            kinds.append(price(of_a_kind, device, seconds))
            bar.update()
    processes = min(len(slots(first.device, "auto", 1)), len(cells))
    return text(name, kinds, processes, _conditions(first, device, seconds))


def price(cells: Sequence[RunConfig], device: torch.device, seconds: float) -> Kind:
    """Return what cells of one kind have to do, and how long a step of theirs takes.

    On a GPU as many take it together as would in a sweep.
    """
    first = cells[0]
    fill = in_a_process("auto", 1, gpu=device.type == "cuda")(first)
    trainers = [_trainer(first, device) for _ in range(min(fill, len(cells)))]
    operations = count(trainers[0])
    steps, trained, evaluated = (
        sum(part) for part in zip(*(needed(cell, operations) for cell in cells), strict=True)
    )
    name = " ".join(entry.name for entry in (first.task, first.model, first.optim))
    pace = seconds_per_step(trainers, seconds)
    return Kind(name, len(cells), steps, trained, evaluated, pace, len(trainers))


def _trainer(config: RunConfig, device: torch.device) -> Trainer:
    """Return what a run in a sweep would train with, on noise where that suffices."""
    if device.type == "cpu":
        torch.set_num_threads(config.threads or 1)
    return build.build_trainer(config, _task(config), device)


def _task(config: RunConfig) -> Task:
    noise = {"data_dir": None} if config.task.target in IMAGES else {}
    return build.build_task(config, **noise)


def count(trainer: Trainer) -> Operations:
    """Count the operations of a network that has not trained yet, without computing them."""
    inputs = trainer.batches.at(0).inputs.to("meta")
    model = copy.deepcopy(trainer.model).to("meta")
    with FlopCounterMode(display=False) as training:
        model.train()(inputs).sum().backward()
    with FlopCounterMode(display=False) as evaluation, torch.no_grad():
        model.eval()(inputs)
    whole = trainer.budget.batch_size / len(inputs)  # more than 1 where the data are less
    return Operations(
        step=training.get_total_flops() * whole,
        example=evaluation.get_total_flops() / len(inputs),
    )


def needed(config: RunConfig, operations: Operations) -> tuple[int, float, float]:
    """Return the steps of a run, their operations, and those of its evaluations.

    The test set is read at every evaluation, training and validation set at the end unless the run
    asks for more.
    """
    task = _task(config)
    budget = build.build_budget(config, task)
    examples = budget.steps / budget.steps_per_epoch * len(task.train)
    evaluations = (budget.steps - 1) // budget.eval_steps + 1
    others = len(task.train.measured()) + config.validation_size
    read = evaluations * len(task.test) + (evaluations if budget.eval_train else 1) * others
    trained = examples * operations.step / budget.batch_size
    return budget.steps, trained, read * operations.example


def seconds_per_step(
    trainers: Sequence[Trainer], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Train, without evaluating, for so many seconds; return those of a step of one trainer.

    The first steps, in which all starts, are left out.

    Raises:
        UserError: The loss is no longer a number, or a step fails.
    """
    for trainer in trainers:
        trainer.budget = replace(trainer.budget, steps=10**9)  # more than there is time for
    device = trainers[0].task.test.labels.device
    group, together = dict(enumerate(trainers)), Steps()

    def take() -> None:
        for error in together.take(group).values():
            raise UserError(f"the steps cannot be timed: {error}") from error

    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    timed = 0
    try:
        for _ in range(WARM_UP + 1 if trainers[0].captured else 1):
            take()
        wait()
        started = clock()
        while clock() - started < seconds:
            take()
            for trainer in trainers:
                trainer.check()
            timed += 1
        wait()
        return (clock() - started) / timed / len(trainers)
    except Diverged as reason:
        raise UserError(f"the steps cannot be timed: {reason}") from reason


def _conditions(config: RunConfig, device: torch.device, seconds: float) -> str:
    precision = resolve_precision(config.precision, device)
    told = f"{device_name(device)}, {precision}, one process, {seconds:g} seconds of each kind"
    used: int | None
    if device.type == "cuda":
        used, what = torch.cuda.max_memory_allocated(device), "of the GPU's memory"
    else:
        used, what = _most_memory(), "of memory"
    return f"{told}; at most {used / 2**30:.1f} GB {what} was in use" if used else told


def _most_memory() -> int | None:
    """Return the most bytes that this process has had so far; None where nobody counts."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def text(name: str, kinds: Sequence[Kind], processes: int, conditions: str) -> str:
    """Return the table that a person reads, and what it rests on."""
    runs, steps = sum(kind.runs for kind in kinds), sum(kind.steps for kind in kinds)
    hours, flops = sum(kind.hours for kind in kinds), sum(kind.flops for kind in kinds)
    lines = [("kind", "runs", "steps a run", "FLOP a run", "ms a step", "FLOP/s", "a run")]
    for kind in kinds:
        each = (kind.steps / kind.runs, kind.flops / kind.runs, kind.hours / kind.runs)
        pace = f"{1e3 * kind.step_seconds:,.{1 if kind.step_seconds < 0.1 else 0}f}"
        together = f", {kind.at_once} together" if kind.at_once > 1 else ""
        lines.append((kind.name + together, f"{kind.runs:,}", f"{each[0]:,.0f}", _prefixed(each[1]),
                      pace, _prefixed(kind.rate), _duration(each[2])))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join(
        [
            f"{name}: {runs:,} runs, {steps:,} steps, {_prefixed(flops)}FLOP in all",
            *("  ".join(row) for row in rows),
            f"{_duration(hours)} in one process, {_duration(hours / processes)} in the {processes} "
            "that hydra/launcher=local would start here",
            f"measured: a step, on {conditions}",
            "counted by torch: FLOP, with evaluations; estimated: all times but a step's, as if "
            "everything went at its rate and processes side by side slowed none",
        ]
    )


def _duration(hours: float) -> str:
    """Write a time with three digits or so, in the unit that suits it."""
    for unit, of_an_hour in (("h", 1), ("min", 60), ("s", 3600)):
        value = hours * of_an_hour
        if value >= 1 or unit == "s":
            break
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _prefixed(value: float) -> str:
    """Write a number of operations with three digits and a prefix."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {prefix}"
    return f"{value:.3g} "
