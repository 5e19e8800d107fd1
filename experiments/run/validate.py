"""Ranges and combinations that types cannot express, checked before anything runs."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from hydra.utils import get_object

from experiments.errors import UserError
from experiments.record.schema import NAME
from experiments.run.schema import RunConfig
from optim.groups import NO_DECAY

PRECISIONS = ("auto", "fp32", "bf16")
#: Values that an annotation can be held to, and what a person calls them.
KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    NoneType: "null",
}
#: Keys of a group's entry that are for us, not for what the entry builds.
OWN_KEYS = {"name", "convention", "_target_", "_partial_"}
#: What experiments.run.cell passes to a constructor beside the entry's own keys.
GIVEN = {
    "task": {"seed", "data_dir", "cache_dir", "text_file"},
    "model": {"vocabulary", "positions", "channels", "classes", "size", "causal", "every"},
    "optim": {"params", "lr", "weight_decay"},
    "schedule": {"steps", "warmup_steps"},
    "tracker": {"folder", "id", "name", "group", "job_type", "tags", "config"},
    "probe": {"optimizer", "layers", "steps", "seed", "write"},
}


def validate(config: Mapping[str, Any]) -> None:
    """Refuse a configuration that cannot be run.

    Args:
        config: A resolved configuration, as plain values.

    Raises:
        UserError: Names the key, its value and what is allowed.
    """
    known = {key.name for key in fields(RunConfig)}
    for key in sorted(set(config) - known):
        raise UserError(f"there is no key {key}{_did_you_mean(key, known)}")
    _positive(config, "lr", "epochs", "eval_every", "checkpoint_every", "loss_scale")
    _at_least(config, 0, "wd", "warmup_epochs", "validation_size", "seed")
    _at_least(config, 1, "batch_size")
    if config["threads"] is not None:
        _at_least(config, 1, "threads")
    _one_of(config, "precision", PRECISIONS)
    _one_of(config, "no_decay", NO_DECAY)
    if config["warmup_epochs"] >= config["epochs"]:
        raise UserError(
            f"warmup_epochs must be less than epochs={config['epochs']:g}, "
            f"got {config['warmup_epochs']:g}"
        )
    if not NAME.fullmatch(config["name"]):
        raise UserError(
            f"name must be a plain folder name of up to 100 letters, digits and ._-, "
            f"got {config['name'][:120]!r}"
        )
    for group in ("task", "model", "optim", "schedule", "tracker"):
        _check_entry(group, config[group])
    if config["probe"].get("name") != "none":
        _check_entry("probe", config["probe"])
    if config["compile"] and config["model"].get("dropout"):
        raise UserError(
            f"compile=true does not go with model.dropout={config['model']['dropout']}: torch "
            "cannot compile what draws its zeros from the seed"
        )
    task = config["task"]
    if config["text_file"] is not None and "text_file" not in parameters(
        get_object(task["_target_"])
    ):
        raise UserError(
            f"task={task.get('name')} reads no text_file; for {config['text_file']} use task=text"
        )
    if config["decay"].get("name") not in ("raw", "normalized"):
        raise UserError(f"decay must be raw or normalized, got {config['decay']}")


def _positive(config: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if not 0 < config[key] < math.inf:
            raise UserError(f"{key} must be positive and finite, got {config[key]:g}")


def _at_least(config: Mapping[str, Any], low: int, *keys: str) -> None:
    for key in keys:
        if not low <= config[key] < math.inf:
            raise UserError(f"{key} must be at least {low} and finite, got {config[key]:g}")


def _one_of(config: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> None:
    if config[key] not in allowed:
        raise UserError(f"{key} must be one of {', '.join(allowed)}, got {config[key]!r}")


def _check_entry(group: str, entry: Mapping[str, Any]) -> None:
    """Refuse a key that the thing which the entry builds does not read."""
    if "_target_" not in entry:
        raise UserError(f"{group} has no _target_; choose an entry of configs/{group}")
    _check_keys(group, entry["_target_"], str(entry.get("name")), frozenset(entry))
    if group in ("task", "model"):
        _check_kinds(group, entry)


def _check_kinds(group: str, entry: Mapping[str, Any]) -> None:
    """Refuse a value of another kind than the annotation of its parameter, where that is plain."""
    for key, kinds in _kinds(entry["_target_"]).items():
        kind = type(entry.get(key))
        if key in entry and kind not in kinds and not (kind is int and float in kinds):
            allowed = " or ".join(KINDS[kind] for kind in KINDS if kind in kinds)
            raise UserError(f"{group}.{key} must be {allowed}, got {entry[key]!r}")


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
    accepted = parameters(get_object(target)) - GIVEN.get(group, set())
    for key in sorted(keys - OWN_KEYS - accepted):
        hint = _did_you_mean(key, accepted, f"{group}.")
        raise UserError(f"{group}={name} reads no key {group}.{key}{hint}")


def _did_you_mean(key: str, known: set[str], prefix: str = "") -> str:
    near = get_close_matches(key, known, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


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
