"""A run's configuration: plain values outside, one frozen object inside.

Hydra composes plain values and refuses a key or a type that :class:`RunConfig` does not have; files
and identities hold plain values, too. :meth:`RunConfig.from_plain` is the way in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from difflib import get_close_matches
from types import NoneType
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from experiments.errors import UserError
from experiments.record.schema import OWN_KEYS

SCALARS = (str, int, float, NoneType)


class FrozenDict(Mapping[str, Any]):
    """A mapping of plain values that nobody can change, so that it can be the key of a cache.

    Args:
        values: Numbers, words, None, and lists and mappings of them; lists are kept as tuples.
    """

    def __init__(self, values: Mapping[str, Any]):
        self._values = {key: _frozen(value) for key, value in values.items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == (other._values if isinstance(other, FrozenDict) else other)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self.plain())

    def plain(self) -> dict[str, Any]:
        """Return a copy with dictionaries and lists."""
        return {key: _plain(value) for key, value in self._values.items()}


class Entry(FrozenDict):
    """What was chosen from a group of configs/: what to build, and the settings to build it with.

    It is the mapping that the entry's file holds, overrides applied.
    """

    @property
    def name(self) -> str:
        """The entry's file name, without its suffix."""
        return str(self._values.get("name", ""))

    @property
    def target(self) -> str:
        """Dotted name of what the entry builds; empty where it builds nothing."""
        return str(self._values.get("_target_", ""))

    @property
    def convention(self) -> str:
        """Of an optimizer: where weight decay enters its step."""
        return str(self._values.get("convention", ""))

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of what the entry builds, as plain values."""
        return {key: _plain(value) for key, value in self._values.items() if key not in OWN_KEYS}


@dataclass(frozen=True)
class RunConfig:
    """What configs/train.yaml and the entries it lists may set; the meanings are written there."""

    task: Entry
    model: Entry
    optim: Entry
    schedule: Entry
    decay: Entry
    tracker: Entry
    probe: Entry
    name: str
    lr: float
    wd: float
    seed: int
    epochs: float
    batch_size: int
    warmup_epochs: float
    betas: tuple[float, float]
    no_decay: str
    loss_scale: float
    validation_size: int
    eval_every: float
    eval_train: bool
    precision: str
    compile: bool
    capture: str
    device: str
    threads: int | None
    data_dir: str
    text_file: str | None
    cache_dir: str
    runs_dir: str
    results_dir: str
    checkpoint_every: float
    progress: bool
    analysis: FrozenDict

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Return the configuration that plain values describe, every key given.

        Raises:
            UserError: There is no such key, or a key has no value.
        """
        known = cls.__dataclass_fields__
        for name in sorted(set(values) - set(known)):
            raise UserError(f"there is no key {name}{did_you_mean(name, set(known))}")
        made: dict[str, Any] = {}
        for name, key in known.items():
            value = values.get(name, MISSING)
            if value == MISSING:
                raise UserError(f"{name} has no value; give one with {name}=VALUE")
            made[name] = Entry(value) if key.type is Entry else _frozen(value)
        return cls(**made)

    def plain(self) -> dict[str, Any]:
        """Return the values as :meth:`from_plain` takes them: what is written down and hashed."""
        return {key.name: _plain(getattr(self, key.name)) for key in fields(self)}


def register() -> None:
    """Make the schema known to Hydra as the entry ``run_schema``: there entries are plain."""
    keys = [
        (key.name, dict[str, Any], field(default_factory=dict))
        if key.type in (Entry, FrozenDict)
        else (key.name, key.type, field(default=MISSING))
        for key in fields(RunConfig)
    ]
    ConfigStore.instance().store(name="run_schema", node=make_dataclass("RunSchema", keys))


def did_you_mean(key: str, known: set[str], prefix: str = "") -> str:
    """Return the end of a message that names the key which ``key`` resembles, if one does."""
    near = get_close_matches(key, known, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _frozen(value: Any) -> Any:
    if isinstance(value, SCALARS):
        return value
    return FrozenDict(value) if isinstance(value, Mapping) else tuple(map(_frozen, value))


def _plain(value: Any) -> Any:
    if isinstance(value, SCALARS):
        return value
    return value.plain() if isinstance(value, FrozenDict) else list(map(_plain, value))
