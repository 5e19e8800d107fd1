"""Ranges and combinations that types cannot express, checked before anything runs."""

import inspect
import math
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from hydra.utils import get_object

from experiments.errors import UserError
from experiments.record.schema import NAME, OWN_KEYS
from experiments.run.capture import CAPTURES
from experiments.run.schema import Entry, RunConfig, did_you_mean
from optim.groups import NO_DECAY

PRECISIONS = ("auto", "fp32", "bf16")
CONVENTIONS = ("l2", "decoupled", "lr_coupled")
DECAYS = ("raw", "normalized")
#: Values that an annotation can be held to, and what a person calls them.
KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    NoneType: "null",
}
#: Arguments that :mod:`experiments.run.build` gives a constructor beside the entry's settings.
INJECTED = {
    "task": {"seed", "data_dir", "cache_dir", "text_file"},
    "model": {
        *("vocabulary", "positions", "channels", "classes"),
        *("size", "causal", "all_positions"),
    },
    "optim": {"params", "lr", "weight_decay"},
    "schedule": {"steps", "warmup_steps"},
    "tracker": {"folder", "id", "name", "group", "job_type", "tags", "config"},
    "probe": {"optimizer", "layers", "steps", "seed", "write"},
}


def validate(config: RunConfig) -> None:
    """Refuse a configuration that cannot be run.

    Raises:
        UserError: Names the key, its value and what is allowed.
    """
    _positive(config, "lr", "epochs", "eval_every", "checkpoint_every", "loss_scale")
    _at_least(config, 0, "wd", "warmup_epochs", "validation_size", "seed")
    _at_least(config, 1, "batch_size")
    if config.threads is not None:
        _at_least(config, 1, "threads")
    _one_of("precision", config.precision, PRECISIONS)
    _one_of("capture", config.capture.lower(), CAPTURES)  # a bool's text begins with a capital
    _one_of("no_decay", config.no_decay, NO_DECAY)
    if config.warmup_epochs >= config.epochs:
        raise UserError(
            f"warmup_epochs must be less than epochs={config.epochs:g}, "
            f"got {config.warmup_epochs:g}; if you have not set it, that is the default of "
            f"task={config.task.name}: set warmup_epochs=0"
        )
    if not NAME.fullmatch(config.name):
        raise UserError(
            f"name must be a plain folder name of up to 100 letters, digits and ._-, "
            f"got {config.name[:120]!r}"
        )
    for group in ("task", "model", "optim", "schedule", "tracker"):
        _check_entry(group, getattr(config, group))
    if config.probe.name != "none":
        _check_entry("probe", config.probe)
    _one_of("optim.convention", config.optim.convention, CONVENTIONS)
    _one_of("decay", config.decay.name, DECAYS)
    if config.compile and config.model.get("dropout"):
        raise UserError(
            f"compile=true does not go with model.dropout={config.model['dropout']}: torch "
            "cannot compile what draws its zeros from the seed"
        )
    if config.text_file is not None and "text_file" not in parameters(
        get_object(config.task.target)
    ):
        raise UserError(
            f"task={config.task.name} reads no text_file; for {config.text_file} use task=text"
        )


def _positive(config: RunConfig, *keys: str) -> None:
    for key in keys:
        value = getattr(config, key)
        if not 0 < value < math.inf:
            raise UserError(f"{key} must be positive and finite, got {value:g}")


def _at_least(config: RunConfig, low: int, *keys: str) -> None:
    for key in keys:
        value = getattr(config, key)
        if not low <= value < math.inf:
            raise UserError(f"{key} must be at least {low} and finite, got {value:g}")


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{key} must be one of {', '.join(allowed)}, got {value!r}")


def _check_entry(group: str, entry: Entry) -> None:
    """Refuse a key that the thing which the entry builds does not read."""
    if not entry.target or not entry.name:
        lacking = "_target_" if entry.name else "name"
        raise UserError(f"{group} has no {lacking}; choose an entry of configs/{group}")
    _check_keys(group, entry.target, entry.name, frozenset(entry))
    if group in ("task", "model"):
        _check_kinds(group, entry)


def _check_kinds(group: str, entry: Entry) -> None:
    """Refuse a value of another kind than the annotation of its parameter, where that is plain."""
    kinds_of = _kinds(entry.target)
    for key, value in entry.settings.items():
        kind, kinds = type(value), kinds_of.get(key, {type(value)})
        if kind not in kinds and not (kind is int and float in kinds):
            allowed = " or ".join(KINDS[kind] for kind in KINDS if kind in kinds)
            raise UserError(f"{group}.{key} must be {allowed}, got {value!r}")


@cache
def _kinds(target: str) -> dict[str, set[type]]:
    """Return what each parameter may be, of those that are plain values by their annotations."""
    built = get_object(target)
    try:
        hints = get_type_hints(built.__init__ if inspect.isclass(built) else built)
    except NameError:  # of a name that is there for type checkers only
        return {}
    found = {
        name: {*get_args(hint)} if isinstance(hint, UnionType) else {hint}
        for name, hint in hints.items()
        if isinstance(hint, type | UnionType)
    }
    return {name: kinds for name, kinds in found.items() if kinds <= set(KINDS)}


@cache
def _check_keys(group: str, target: str, name: str, keys: frozenset[str]) -> None:
    accepted = parameters(get_object(target)) - INJECTED.get(group, set())
    for key in sorted(keys - OWN_KEYS - accepted):
        hint = did_you_mean(key, accepted, f"{group}.")
        raise UserError(f"{group}={name} reads no key {group}.{key}{hint}")


def parameters(target: Callable[..., Any]) -> set[str]:
    """Return the names of a callable's parameters, following ``**kwargs`` to its base classes."""
    names: set[str] = set()
    for cls in inspect.getmro(target) if inspect.isclass(target) else (target,):
        if cls is object:
            break
        parameters = inspect.signature(cls).parameters.values()
        names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names
