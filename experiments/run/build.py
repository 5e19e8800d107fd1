"""Turns a configuration into the objects of a run; the only place where names become things."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from torch import nn
from torch.optim import Optimizer

from experiments.errors import UserError
from experiments.record.identity import cell_name
from experiments.run.capture import Captured, resolve_capture
from experiments.run.compiled import Compiled, check_compiler
from experiments.run.decay_lint import cut_restart, lint
from experiments.run.device import autocast, resolve_device, resolve_precision
from experiments.run.schema import Entry, FrozenDict, RunConfig
from experiments.run.trainer import Budget, Observer, Trainer, add_up
from experiments.run.validate import INJECTED, parameters, validate
from experiments.seeding import seeded
from experiments.tasks import Task
from experiments.tracking.mirror import NoTracker, WandbTracker
from optim import normalized_weight_decay, parameter_groups
from optim.base import decay_multiplier
from optim.schedule import Schedule


def check(config: RunConfig) -> str | None:
    """Refuse a configuration that cannot be run, without training: what a sweep does at its start.

    Returns:
        See :func:`rehearse`.

    Raises:
        UserError: Names what is wrong, its value and what is allowed.
    """
    validate(config)
    return rehearse(config)


def rehearse(config: RunConfig) -> str | None:
    """Build all that a valid configuration names, and let each thing refuse what it cannot be.

    Returns:
        What looks like a mistake, if anything does: a weight decay that reads like another
        convention's, a last restart that is cut short.

    Raises:
        UserError: As for :func:`check`.
    """
    if config.compile:
        check_compiler(resolve_device(config.device))
    task = _split_size(config)
    _check_model(
        config.model, config.task, FrozenDict(task.network), FrozenDict(task.network_options)
    )
    budget = build_budget(config, task)
    schedule = build_schedule(config, budget)
    weight_decay, scale = build_decay(config, budget, len(task.train), schedule)
    _check_convention(config.optim, config.no_decay, config.lr, weight_decay)
    _check_probe(config.optim, config.probe)
    _check_tracker(config.tracker)
    normalizer = _normalizer(budget, len(task.train), schedule)
    doubts = [lint(config, eta_sum(schedule, scale, decay_power(config.optim)), normalizer)]
    if "t_0" in config.schedule:
        doubts.append(cut_restart(schedule, budget.steps_per_epoch))
    return "; ".join(filter(None, doubts)) or None


def planned_steps(config: RunConfig) -> int:
    """Return how many optimizer steps a run takes."""
    return build_budget(config, _split_size(config)).steps


def _split_size(config: RunConfig) -> Task:
    """Return the task with as many training examples as the split would leave, without splitting.

    Raises:
        UserError: There are too few examples for the split.
    """
    task, reserved = whole_task(config), config.validation_size
    task.check_split(reserved)
    return replace(task, train=task.train[reserved:]) if reserved else task


@cache
def _check_tracker(tracker: Entry) -> None:
    """Refuse what a tracker does not take, before anything runs."""
    _make("tracker", tracker)(**dict.fromkeys(INJECTED["tracker"], ""))


@lru_cache(maxsize=1 << 16)
def _check_convention(optim: Entry, no_decay: str, lr: float, weight_decay: float) -> None:
    """Take one step without a gradient: does the optimizer shrink a weight as its entry says?

    Cells that differ by their seed share the answer.
    """
    layer = nn.Linear(1, 1)
    weight = nn.init.ones_(layer.weight)
    optimizer = _optimize(layer, optim, no_decay, lr, weight_decay)
    share = {"decoupled": weight_decay, "lr_coupled": lr * weight_decay}
    expected = share.get(optim.convention)
    if expected is None:
        return
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    if not math.isclose(1 - weight.item(), expected, rel_tol=1e-3, abs_tol=1e-6):
        raise UserError(
            f"optim.convention={optim.convention} is wrong of optim={optim.name}: a step without "
            f"gradient shrinks a weight by {1 - weight.item():g}, not {expected:g}"
        )


@lru_cache(maxsize=256)
def _check_probe(optim: Entry, probe: Entry) -> None:
    """Let the probe refuse an optimizer that it does not know."""
    layer = nn.Linear(1, 1)
    optimizer = _optimize(layer, optim, "none", 0.1, 0.0)
    build_probe(probe, layer, optimizer, steps=1, seed=0, write=lambda rows: None)


@lru_cache(maxsize=256)
def _check_model(model: Entry, task: Entry, required: FrozenDict, options: FrozenDict) -> None:
    """Build a network and drop it; the cells of a sweep mostly share theirs."""
    with torch.device("meta"):  # without its weights, which may be large
        _network(model, task, required, options)


def build_task(config: RunConfig, **instead: Any) -> Task:
    """Return the task on the CPU, its validation split carved.

    Args:
        config: A valid configuration.
        instead: Takes the place of what the task would be given of the configuration, such as
            ``data_dir=None`` for noise of the data's size.
    """
    return whole_task(config, **instead).split(config.validation_size, config.seed)


def whole_task(config: RunConfig, **instead: Any) -> Task:
    """Return the task on the CPU before its validation split is carved; the last ones are kept."""
    given = {name: getattr(config, name) for name in _wanted(config.task.target)}
    return _task(config.task, FrozenDict(given | instead))


def task_on(config: RunConfig, device: torch.device) -> Task:
    """Return the task of a run on a device; on a GPU, runs of one task share its memory."""
    if device.type == "cpu":
        return build_task(config)
    given = {name: getattr(config, name) for name in _wanted(config.task.target)}
    seed = config.seed if config.validation_size else 0
    return _task_on(config.task, FrozenDict(given), config.validation_size, seed, device)


@lru_cache(maxsize=8)
def _task_on(entry: Entry, given: FrozenDict, size: int, seed: int, device: torch.device) -> Task:
    return _task(entry, given).split(size, seed).to(device)


@cache
def _wanted(target: str) -> list[str]:
    return sorted(INJECTED["task"] & parameters(get_object(target)))


@lru_cache(maxsize=256)  # small ones; those that are large do not depend on the seed
def _task(entry: Entry, given: FrozenDict) -> Task:
    return _make("task", entry, **given)


def build_model(config: RunConfig, task: Task) -> nn.Module:
    """Return the network with the weights that the seed gives it, on the CPU."""
    with seeded(config.seed, "init"):
        return _network(config.model, config.task, task.network, task.network_options)


def _network(
    model: Entry, task: Entry, required: Mapping[str, int], options: Mapping[str, int]
) -> nn.Module:
    make = _make("model", model)
    taken = parameters(get_object(model.target))
    if set(required) - taken:
        raise UserError(
            f"model={model.name} does not fit task={task.name}, which gives a network "
            f"{', '.join(required)}"
        )
    with _named("model", model):
        return make(**required, **{key: options[key] for key in taken & set(options)})


def size_of_network(config: RunConfig) -> tuple[int, bool]:
    """Return how many weights the network of a valid configuration has, and if it reads images."""
    task = whole_task(config)
    with torch.device("meta"):
        model = _network(config.model, config.task, task.network, task.network_options)
    return sum(weight.numel() for weight in model.parameters()), "channels" in task.network


def build_budget(config: RunConfig, task: Task) -> Budget:
    """Return how long to train: durations are given in epochs, the loop counts steps."""
    steps_per_epoch = math.ceil(len(task.train) / config.batch_size)
    return Budget(
        steps=max(1, round(config.epochs * steps_per_epoch)),
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        eval_steps=max(1, round(config.eval_every * steps_per_epoch)),
        eval_train=config.eval_train,
    )


def build_schedule(config: RunConfig, budget: Budget) -> Schedule:
    """Return eta as a function of the step."""
    entry = config.schedule
    if "t_0" in entry:
        if not isinstance(entry["t_0"], int | float):
            raise UserError(f"schedule.t_0 must be a number of epochs, got {entry['t_0']}")
        steps = entry["t_0"] * budget.steps_per_epoch
        if not 0.5 < steps < math.inf:
            raise UserError(
                f"schedule.t_0 must be a finite number of epochs that makes at least one step, "
                f"got {entry['t_0']:g}"
            )
        entry = Entry({**entry, "t_0": round(steps)})
    return _schedule(entry, budget.steps, round(config.warmup_epochs * budget.steps_per_epoch))


@lru_cache(maxsize=64)
def _schedule(entry: Entry, steps: int, warmup_steps: int) -> Schedule:
    return _make("schedule", entry, steps=steps, warmup_steps=warmup_steps)


def build_decay(
    config: RunConfig, budget: Budget, train_size: int, schedule: Schedule
) -> tuple[float, Callable[[int], float]]:
    """Return the weight decay of the first step, and its factor as a function of the step.

    Normalized decay takes T of the current restart (Appendix B.1), so that it shrinks by
    sqrt(T_0 / T_i) as the restarts grow longer; without restarts the factor is 1.
    """
    if config.decay.name == "raw":
        return config.wd, unscaled
    weight_decay = config.wd * _normalizer(budget, train_size, schedule)
    return weight_decay, PerRestart(schedule)


def unscaled(step: int) -> float:
    """Return 1, the factor of a decay that stays what it is."""
    return 1.0


@dataclass(frozen=True)
class PerRestart:
    """The factor of normalized decay: sqrt(T_0 / T_i) in a restart of T_i epochs."""

    schedule: Schedule

    def __call__(self, step: int) -> float:
        return math.sqrt(self.schedule.period(0) / self.schedule.period(step))


def decay_power(optim: Entry) -> float:
    """Return the power of eta_t with which an optimizer decays."""
    return float(optim.get("decay_power", 1))


@lru_cache(maxsize=64)
def eta_sum(schedule: Schedule, scale: Callable[[int], float], power: float) -> float:
    """Return the sum over the budget of eta_t^power, each times the factor of the decay."""
    return add_up(
        scale(step) * decay_multiplier(schedule(step), power) for step in range(schedule.steps)
    )


def _normalizer(budget: Budget, train_size: int, schedule: Schedule) -> float:
    return normalized_weight_decay(
        1.0,
        batch_size=min(budget.batch_size, train_size),
        train_size=train_size,
        epochs=schedule.period(0) / budget.steps_per_epoch,
    )


def build_optimizer(config: RunConfig, model: nn.Module, weight_decay: float) -> Optimizer:
    """Return the optimizer over the model's parameters, grouped by whether they decay."""
    return _optimize(model, config.optim, config.no_decay, config.lr, weight_decay)


def _optimize(
    model: nn.Module, entry: Entry, no_decay: str, lr: float, weight_decay: float
) -> Optimizer:
    groups = parameter_groups(model, weight_decay, no_decay)
    with _named("optim", entry):
        return _optimizer(entry)(groups, lr=lr, weight_decay=weight_decay)


@lru_cache(maxsize=64)
def _optimizer(entry: Entry) -> Callable[..., Optimizer]:
    return _make("optim", entry)


def build_probe(
    entry: Entry,
    model: nn.Module,
    optimizer: Optimizer,
    steps: int,
    seed: int,
    write: Callable[..., None],
) -> Observer | None:
    """Return what watches the run's steps and hands what it sees to ``write``, or None."""
    if entry.name == "none":
        return None
    layers = dict(model.named_parameters())
    given = {"optimizer": optimizer, "layers": layers, "steps": steps, "seed": seed, "write": write}
    # no instantiate: it would look into what is given, and copy it
    with _named("probe", entry):
        return get_object(entry.target)(**given, **entry.settings)


def build_trainer(
    config: RunConfig, task: Task, device: torch.device, write: Callable[..., None] | None = None
) -> Trainer:
    """Return all that moves in a run of ``config``, at its first step.

    The optimizer's default ``weight_decay`` is that of the first step.

    Args:
        config: A valid configuration.
        task: From :func:`build_task`, on any device.
        device: Where to train.
        write: Takes what the run's probe sees; without it nobody watches.
    """
    task = task.to(device)
    budget = build_budget(config, task)
    schedule = build_schedule(config, budget)
    weight_decay, scale = build_decay(config, budget, len(task.train), schedule)
    model = build_model(config, task).to(device)
    optimizer = build_optimizer(config, model, weight_decay)
    precision = resolve_precision(config.precision, device)
    observer = None
    if write is not None:
        observer = build_probe(config.probe, model, optimizer, budget.steps, config.seed, write)
    capture, watched = config.capture.lower(), observer is not None
    recorded = resolve_capture(capture, device, optimizer, watched=watched)
    if recorded and device.index is not None:
        torch.cuda.set_device(device)  # a graph is recorded on the device that is set
    return Trainer(
        model, task, optimizer, schedule, scale, budget, config.seed,
        autocast=lambda: autocast(precision, device), loss_scale=config.loss_scale,
        observer=observer, forward=Compiled(model) if config.compile else None,
        captured=Captured(required=capture == "true") if recorded else None,
    )  # fmt: skip


def build_tracker(config: RunConfig, run_id: str, folder: Path) -> NoTracker | WandbTracker:
    """Return what mirrors a run while it is open.

    Args:
        config: The run's configuration.
        run_id: Its identity. Two sweeps may share a run, which then is one of each in the mirror.
        folder: The run folder.
    """
    plain = config.plain()
    tracker: NoTracker | WandbTracker = _make("tracker", config.tracker)(
        folder=folder, id=f"{config.name}-{run_id}", name=cell_name(plain, run_id),
        group=config.name, job_type="train", tags=[config.optim.name], config=plain,
    )  # fmt: skip
    return tracker


def _make(group: str, entry: Entry, **given: Any) -> Any:
    """Instantiate an entry; what its constructor refuses is the person's mistake."""
    call = {"_target_": entry.target, "_partial_": entry.get("_partial_", False)} | entry.settings
    with _named(group, entry):
        try:
            return instantiate(call, **given, _convert_="all")
        except InstantiationException as error:
            raise (error.__cause__ or error) from None


@contextmanager
def _named(group: str, entry: Entry) -> Iterator[None]:
    """Say which entry it was that refused its values."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{group}={entry.name}: {reason}") from error
