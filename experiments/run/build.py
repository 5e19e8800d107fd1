"""Turns a configuration into the objects of a run; the only place where names become things."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from torch import nn
from torch.optim import Optimizer

from experiments.errors import UserError
from experiments.run.compiled import compiled
from experiments.run.decay_lint import cut_restart, lint
from experiments.run.device import autocast, resolve_precision
from experiments.run.trainer import Budget, Observer, Trainer
from experiments.run.validate import GIVEN, OWN_KEYS, parameters, validate
from experiments.seeding import seeded
from experiments.tasks import Task
from optim import normalized_weight_decay, parameter_groups
from optim.schedule import Schedule

Config = Mapping[str, Any]


def check(config: Config) -> str | None:
    """Refuse a configuration that cannot be run, without training: what a sweep does at its start.

    Returns:
        What looks like a mistake, if anything does: a weight decay that reads like another
        convention's, a last restart that is cut short.

    Raises:
        UserError: Names what is wrong, its value and what is allowed.
    """
    validate(config)
    task, reserved = _whole_task(config), config["validation_size"]
    task.check_split(reserved)
    task = replace(task, train=task.train[reserved:])  # as many as the split would leave
    _check_model(json.dumps([config["model"], config["task"], task.network, dict(task.offers)]))
    budget = build_budget(config, task)
    schedule = build_schedule(config, budget)
    weight_decay, scale = build_decay(config, budget, len(task.train), schedule)
    _check_convention(json.dumps([config["optim"], config["no_decay"]]), config["lr"], weight_decay)
    _check_probe(json.dumps([config["optim"], config["probe"]]))
    normalizer = _normalizer(budget, len(task.train), schedule)
    doubts = [lint(config, eta_sum(schedule, scale), normalizer)]
    if "t_0" in config["schedule"]:
        doubts.append(cut_restart(schedule, budget.steps_per_epoch))
    return "; ".join(filter(None, doubts)) or None


def planned_steps(config: Config) -> int:
    """Return how many optimizer steps a run takes."""
    task = _whole_task(config)
    return build_budget(config, replace(task, train=task.train[config["validation_size"] :])).steps


@lru_cache(maxsize=1 << 16)
def _check_convention(key: str, lr: float, weight_decay: float) -> None:
    """Take one step without a gradient: does the optimizer shrink a weight as its entry says?

    Cells that differ by their seed share the answer.
    """
    optim, no_decay = json.loads(key)
    config = {"optim": optim, "no_decay": no_decay, "lr": lr}
    layer = nn.Linear(1, 1)
    weight = nn.init.ones_(layer.weight)
    optimizer = build_optimizer(config, layer, weight_decay)
    share = {"decoupled": weight_decay, "lr_coupled": config["lr"] * weight_decay}
    expected = share.get(config["optim"]["convention"])
    if expected is None:
        return
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    if not math.isclose(1 - weight.item(), expected, rel_tol=1e-3, abs_tol=1e-6):
        raise UserError(
            f"optim.convention={config['optim']['convention']} is wrong of optim="
            f"{config['optim']['name']}: a step without gradient shrinks a weight by "
            f"{1 - weight.item():g}, not {expected:g}"
        )


@lru_cache(maxsize=256)
def _check_probe(key: str) -> None:
    """Let the probe refuse an optimizer that it does not know."""
    optim, probe = json.loads(key)
    layer = nn.Linear(1, 1)
    config = {"optim": optim, "probe": probe, "no_decay": "none", "lr": 0.1, "seed": 0}
    build_probe(config, layer, build_optimizer(config, layer, 0.0), 1, lambda rows: None)


@lru_cache(maxsize=256)
def _check_model(key: str) -> None:
    """Build a network and drop it; the cells of a sweep mostly share theirs."""
    with torch.device("meta"):  # without its weights, which may be large
        _network(*json.loads(key))


def build_task(config: Config) -> Task:
    """Return the task on the CPU, its validation split carved; the last few are kept."""
    return _whole_task(config).split(config["validation_size"], config["seed"])


def _whole_task(config: Config) -> Task:
    given = {name: config[name] for name in _wanted(config["task"]["_target_"])}
    return _task(json.dumps([config["task"], given]))


@cache
def _wanted(target: str) -> list[str]:
    return sorted(GIVEN["task"] & parameters(get_object(target)))


@lru_cache(maxsize=16)
def _task(key: str) -> Task:
    entry, given = json.loads(key)
    return _make("task", entry, **given)


def build_model(config: Config, task: Task) -> nn.Module:
    """Return the network with the weights that the seed gives it, on the CPU."""
    with seeded(config["seed"], "init"):
        return _network(config["model"], config["task"], task.network, task.offers)


def _network(
    model: Config, task: Config, network: Mapping[str, int], offers: Mapping[str, int]
) -> nn.Module:
    make = _make("model", model)
    taken = parameters(get_object(model["_target_"]))
    if set(network) - taken:
        raise UserError(
            f"model={model.get('name')} does not fit task={task.get('name')}, "
            f"which offers {', '.join(network)}"
        )
    with _named("model", model):
        return make(**network, **{key: offers[key] for key in taken & set(offers)})


def build_budget(config: Config, task: Task) -> Budget:
    """Return how long to train: durations are given in epochs, the loop counts steps."""
    steps_per_epoch = math.ceil(len(task.train) / config["batch_size"])
    return Budget(
        steps=max(1, round(config["epochs"] * steps_per_epoch)),
        steps_per_epoch=steps_per_epoch,
        batch_size=config["batch_size"],
        eval_steps=max(1, round(config["eval_every"] * steps_per_epoch)),
        eval_train=config["eval_train"],
    )


def build_schedule(config: Config, budget: Budget) -> Schedule:
    """Return eta as a function of the step."""
    entry = dict(config["schedule"])
    if "t_0" in entry:
        if not isinstance(entry["t_0"], int | float):
            raise UserError(f"schedule.t_0 must be a number of epochs, got {entry['t_0']}")
        steps = entry["t_0"] * budget.steps_per_epoch
        if not 0.5 < steps < math.inf:
            raise UserError(
                f"schedule.t_0 must be a finite number of epochs that makes at least one step, "
                f"got {entry['t_0']:g}"
            )
        entry["t_0"] = round(steps)
    warmup_steps = round(config["warmup_epochs"] * budget.steps_per_epoch)
    return _schedule(json.dumps([entry, budget.steps, warmup_steps]))


@lru_cache(maxsize=64)
def _schedule(key: str) -> Schedule:
    entry, steps, warmup_steps = json.loads(key)
    return _make("schedule", entry, steps=steps, warmup_steps=warmup_steps)


def eta_sum(schedule: Schedule, scale: Callable[[int], float]) -> float:
    """Return the sum over the budget of eta_t, times the factor of the decay where it has one."""
    return _eta_sum(schedule, scale is not _one)


@lru_cache(maxsize=64)
def _eta_sum(schedule: Schedule, normalized: bool) -> float:
    scale = _per_restart(schedule) if normalized else _one
    return sum(scale(step) * schedule(step) for step in range(schedule.steps))


def _per_restart(schedule: Schedule) -> Callable[[int], float]:
    first = schedule.period(0)
    return lambda step: math.sqrt(first / schedule.period(step))


def build_decay(
    config: Config, budget: Budget, train_size: int, schedule: Schedule
) -> tuple[float, Callable[[int], float]]:
    """Return the weight decay of the first step, and its factor as a function of the step.

    Normalized decay takes T of the current restart (Appendix B.1), so that it shrinks by
    sqrt(T_0 / T_i) as the restarts grow longer; without restarts the factor is 1.
    """
    if config["decay"]["name"] == "raw":
        return config["wd"], _one
    weight_decay = config["wd"] * _normalizer(budget, train_size, schedule)
    return weight_decay, _per_restart(schedule)


def _normalizer(budget: Budget, train_size: int, schedule: Schedule) -> float:
    return normalized_weight_decay(
        1.0,
        batch_size=min(budget.batch_size, train_size),
        train_size=train_size,
        epochs=schedule.period(0) / budget.steps_per_epoch,
    )


def build_optimizer(config: Config, model: nn.Module, weight_decay: float) -> Optimizer:
    """Return the optimizer over the model's parameters, grouped by whether they decay."""
    groups = parameter_groups(model, weight_decay, config["no_decay"])
    try:
        make = _optimizer(json.dumps(config["optim"]))
        return make(groups, lr=config["lr"], weight_decay=weight_decay)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"optim={config['optim'].get('name')}: {error}") from error


@lru_cache(maxsize=64)
def _optimizer(key: str) -> Callable[..., Optimizer]:
    return _make("optim", json.loads(key))


def build_probe(
    config: Config, model: nn.Module, optimizer: Optimizer, steps: int, write: Callable[..., None]
) -> Observer | None:
    """Return what watches the run's steps and hands what it sees to ``write``, or None."""
    if config["probe"]["name"] == "none":
        return None
    given = {"optimizer": optimizer, "steps": steps, "seed": config["seed"], "write": write}
    # no instantiate: it would look into what is given, and copy it
    probe = get_object(config["probe"]["_target_"])
    own = {key: value for key, value in config["probe"].items() if key not in OWN_KEYS}
    with _named("probe", config["probe"]):
        return probe(layers=dict(model.named_parameters()), **given, **own)


def build_trainer(
    config: Config, task: Task, device: torch.device, write: Callable[..., None] | None = None
) -> Trainer:
    """Return all that moves in a run of ``config``, at its first step.

    The optimizer's default ``weight_decay`` is that of the first step.

    Args:
        config: A resolved configuration, as plain values.
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
    precision = resolve_precision(config["precision"], device)
    return Trainer(
        model, task, optimizer, schedule, scale, budget, config["seed"],
        autocast=lambda: autocast(precision, device), loss_scale=config["loss_scale"],
        observer=write and build_probe(config, model, optimizer, budget.steps, write),
        forward=compiled(model) if config["compile"] else None,
    )  # fmt: skip


def build_tracker(config: Config) -> Callable[..., Any]:
    """Return what makes the run's tracker, given the run's folder and description."""
    return _make("tracker", config["tracker"])


def _one(step: int) -> float:
    return 1.0


def _make(group: str, entry: Config, **given: Any) -> Any:
    """Instantiate an entry; what its constructor refuses is the person's mistake."""
    own = OWN_KEYS - {"_target_", "_partial_"}
    config, entry = entry, {key: value for key, value in entry.items() if key not in own}
    with _named(group, config):
        try:
            return instantiate(entry, **given, _convert_="all")
        except InstantiationException as error:
            raise (error.__cause__ or error) from None


@contextmanager
def _named(group: str, entry: Config) -> Iterator[None]:
    """Say which entry it was that refused its values."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{group}={entry.get('name')}: {reason}") from error
