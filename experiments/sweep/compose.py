"""The configurations of a sweep's cells, thousands in a second, as Hydra would compose each.

Hydra takes a tenth of a second for one. Here what is chosen from groups is composed once, and a
plain value that nothing else refers to is checked once and then written into a copy.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from experiments.record.files import checksum
from experiments.record.identity import cell_name, identity

FOLDER = "${cell:}"


@dataclass(frozen=True)
class Cell:
    """One combination of a sweep.

    Attributes:
        overrides: What distinguishes it, as ``key=value``.
        job: Its configuration without Hydra's part, resolved to plain values; cells share parts
            of it, which nobody may change.
        sweep: The folder of the run folders.
        subdir: Its run folder in there, if it is not named after the run.
    """

    overrides: tuple[str, ...]
    job: dict[str, Any]
    sweep: Path
    subdir: str | None = None

    @cached_property
    def run_id(self) -> str:
        """Its identity, for which the data are read."""
        from experiments.run.identify import run_identity  # brings torch in
        from experiments.run.schema import RunConfig

        return run_identity(RunConfig.from_plain(self.job))

    @cached_property
    def folder(self) -> Path:
        """Its run folder, whose name has digits of the identity."""
        if self.subdir is not None:
            return self.sweep / self.subdir
        try:
            run_id = self.run_id
        except Exception:  # the run itself says what is wrong with its task, and leaves no folder
            run_id = identity(self.job, None)
        return self.sweep / cell_name(self.job, run_id)


def register_resolvers() -> None:
    """Make ``${cell:}``, a run's folder, and ``${checksum:PATH}`` known to OmegaConf."""
    OmegaConf.register_new_resolver("cell", _cell, replace=True)
    OmegaConf.register_new_resolver("checksum", checksum, replace=True)


def _cell(*, _root_: DictConfig) -> str:
    return Cell((), plain(_root_), Path()).folder.name


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a composed configuration without Hydra's part, resolved to plain values."""
    job = copy.copy(config)
    with open_dict(job):
        job.pop("hydra", None)
    return OmegaConf.to_container(job, resolve=True)


def compose(
    loader: ConfigLoader, overrides: Sequence[Sequence[str]], hydra_overrides: Sequence[str] = ()
) -> list[Cell]:
    """Compose every cell.

    Args:
        loader: Hydra's, which knows where the entries lie.
        overrides: One sequence a cell.
        hydra_overrides: Overrides of Hydra's own keys, shared by all cells.

    Raises:
        HydraException: An entry, a key or a value is not known.
    """
    parse = cache(OverridesParser.create().parse_override)
    is_group = cache(lambda key: bool(loader.get_group_options(key)))
    bases: dict[tuple[str, ...], DictConfig] = {}
    variants: dict[tuple[str, ...], _Variant] = {}
    cells = []
    for words in overrides:
        chosen = [parse(word) for word in words]
        groups = tuple(o.input_line for o in chosen if _special(o) or is_group(o.key_or_group))
        values = [o for o in chosen if o.input_line not in groups]
        if groups not in bases:
            bases[groups] = _base(loader, [*hydra_overrides, *groups])
            variants[groups] = _Variant(bases[groups])
        free = variants[groups]
        bound = [o for o in values if not free.is_free(o)]
        key = (*groups, *(o.input_line for o in bound))
        if key not in variants:
            variants[key] = _Variant(_updated(bases[groups], bound))
        cells.append(variants[key].cell(words, [o for o in values if o not in bound]))
    return cells


def _special(override: Override) -> bool:
    return override.is_add() or override.is_force_add() or override.is_delete()


def _base(loader: ConfigLoader, overrides: Sequence[str]) -> DictConfig:
    config = loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)
    with read_write(config), open_dict(config):
        config.hydra = {"sweep": config.hydra.sweep}
    return config


def _updated(config: DictConfig, values: Sequence[Override]) -> DictConfig:
    config = copy.deepcopy(config)
    for override in values:
        _update(config, override)
    return config


def _update(config: DictConfig, override: Override) -> None:
    try:
        OmegaConf.update(config, override.key_or_group, override.value())
    except OmegaConfBaseException as error:
        raise ConfigCompositionException(str(error)) from error


class _Variant:
    """A composed configuration, and what becomes of it as plain values change."""

    def __init__(self, config: DictConfig):
        self._config = config
        self._values: dict[str, Any] = {}
        self._free: dict[str, bool] = {}
        raw = OmegaConf.to_container(config, resolve=False)
        self._named_by_cell = raw["hydra"]["sweep"]["subdir"] == FOLDER
        raw["hydra"]["sweep"]["subdir"] = ""
        self._mentioned = set(_mentioned(raw))
        self._named_by_cell &= "cell" not in self._mentioned

    def is_free(self, override: Override) -> bool:
        """Whether a value can be written without composing anew: a leaf nobody refers to."""
        line = override.input_line
        if line not in self._free:
            key, value = override.key_or_group, override.value()
            self._free[line] = (
                self._named_by_cell
                and not key.startswith("hydra.")
                and not self._mentioned & set(key.split("."))
                and isinstance(value, int | float | str | bool | None)
                and "${" not in str(value)
                and self._is_leaf(key)
            )
        return self._free[line]

    def _is_leaf(self, key: str) -> bool:
        node: Any = self._config
        for part in key.split("."):
            if not OmegaConf.is_dict(node) or part not in node.keys():  # noqa: SIM118
                return False
            node = node._get_node(part)
        return not OmegaConf.is_config(node)

    def cell(self, words: Sequence[str], values: Sequence[Override]) -> Cell:
        """Return the cell with some free values."""
        if not hasattr(self, "_job"):
            self._job = plain(self._config)
            self._sweep = Path(self._config.hydra.sweep.dir)
        job = dict(self._job)
        for override in values:
            *parents, name = override.key_or_group.split(".")
            node = job
            for parent in parents:
                node[parent] = node = dict(node[parent])
            node[name] = self._value(override)
        subdir = None if self._named_by_cell else self._config.hydra.sweep.subdir
        return Cell(tuple(words), job, self._sweep, subdir)

    def _value(self, override: Override) -> Any:
        """Return a value as its key's type has it, checked."""
        line = override.input_line
        if line not in self._values:
            _update(self._config, override)
            self._values[line] = OmegaConf.select(self._config, override.key_or_group)
        return self._values[line]


def _mentioned(node: Any) -> Iterator[str]:
    """Yield every word that occurs in an interpolation."""
    if isinstance(node, Mapping):
        for child in node.values():
            yield from _mentioned(child)
    elif isinstance(node, list):
        for child in node:
            yield from _mentioned(child)
    elif isinstance(node, str) and "${" in node:
        yield from re.findall(r"\w+", node)
