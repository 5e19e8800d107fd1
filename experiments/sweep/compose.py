"""The configurations of a sweep's cells, thousands in a second, as Hydra would compose each.

Hydra takes a tenth of a second for one. Here a choice of groups is composed once, and values that
stand alone are written into copies of what was composed. Where that could differ from what Hydra
does, as with ``${hydra:runtime.cwd}``, Hydra composes.
"""

import copy
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from experiments.errors import UserError
from experiments.record.files import checksum
from experiments.sweep.cell import MARK, Cell
from experiments.sweep.grammar import parser

CELL = "${cell:}"
#: An interpolation that may refer to any key: its key is computed (``${optim.${key}}``), or its
#: resolver is none of those that read nothing but what stands in their brackets.
COMPUTED = re.compile(r"\$\{(?!\s*(?:oc\.env|from_env|checksum|now)\s*:)[^{}]*?(?:\$\{|:)")
ANY = "*"


def _name_of_cell(*, _root_: DictConfig) -> str:
    job = plain(_root_)
    for key in ("lr", "wd", "seed"):
        if not isinstance(job.get(key), int | float):
            raise UserError(f"a run needs {key}, got {job.get(key, 'none')}")
    return Cell(job, Path(), MARK).name


def _from_env(name: str, default: str) -> str:
    """Return a variable of the environment; one that is empty is not set."""
    return os.environ.get(name) or default


# What an interpolation may call, beside what OmegaConf and Hydra have. It is made known here, so
# that processes which other launchers start know it, too.
setup_globals()
OmegaConf.register_new_resolver("cell", _name_of_cell, replace=True)  # the name of a run's folder
OmegaConf.register_new_resolver("checksum", checksum, replace=True)  # the hash of a file
OmegaConf.register_new_resolver("from_env", _from_env, replace=True)  # NAME,DEFAULT


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a composed configuration without Hydra's part, resolved to plain values."""
    job = copy.copy(config)
    with open_dict(job):
        job.pop("hydra", None)
    return cast(dict[str, Any], OmegaConf.to_container(job, resolve=True))


def compose(
    loader: ConfigLoaderImpl,
    master: DictConfig,
    overrides: Sequence[Sequence[str]],
    first: int = 0,
) -> list[Cell]:
    """Compose every cell.

    Args:
        loader: Hydra's, which knows where the entries lie.
        master: The sweep's own configuration, whose overrides of Hydra's keys hold for all cells.
        overrides: One sequence a cell.
        first: The number of the first cell, which is its ``hydra.job.num``.

    Raises:
        HydraException: An entry, a key or a value is not known.
        UserError: A cell would have no folder of its own below the sweep's.
    """
    str(master.hydra.sweep.dir)  # reads the clock if it names the time, once for all cells
    composer = _Composer(loader, master)
    return [composer.cell(words, first + i) for i, words in enumerate(overrides)]


def compose_run(loader: ConfigLoaderImpl, overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """Compose a single run; return its configuration and its folder, ``hydra.run.dir``.

    Raises:
        HydraException: An entry, a key or a value is not known.
    """
    config = loader.load_configuration("train", list(overrides), run_mode=RunMode.RUN)
    with _current(config):
        return plain(config), Path(config.hydra.run.dir)


class _Composer:
    """Composes cells, and keeps what several of them share."""

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig):
        self._loader, self._master = loader, master
        self._parse = parser(loader).parse_override
        self._words: dict[str, _Word] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._variants: dict[tuple[Any, ...], _Variant] = {}

    def cell(self, overrides: Sequence[str], number: int) -> Cell:
        """Compose one cell.

        Args:
            overrides: Its overrides.
            number: Its ``hydra.job.num``.
        """
        words = [self._word(text) for text in overrides]
        values = [word for word in words if not word.chooses]
        groups = tuple(word.text for word in words if word.chooses)
        if groups not in self._bases:
            self._bases[groups] = _Base(self._loader.load_sweep_config(self._master, list(groups)))
        base = self._bases[groups]
        mentioned = base.mentioned.union(*(word.mentioned for word in values))
        if not mentioned.isdisjoint(("hydra", ANY)):
            return self._by_hydra(overrides, number)
        free = [word for word in values if base.is_free(word, mentioned, values)]
        bound = tuple(word.text for word in values if word not in free)
        key = (groups, bound, tuple(word.key for word in free))
        if key not in self._variants:
            self._variants[key] = _Variant(base.config, values)
        return self._variants[key].cell(overrides, {w.key: base.value(w) for w in free})

    def _word(self, text: str) -> "_Word":
        if text not in self._words:
            override = self._parse(text)
            is_group = self._loader.repository.group_exists(override.key_or_group)
            self._words[text] = _Word(override, is_group)
        return self._words[text]

    def _by_hydra(self, overrides: Sequence[str], number: int) -> Cell:
        """Compose a cell as Hydra's own launchers do."""
        config = self._loader.load_sweep_config(self._master, list(overrides))
        with open_dict(config):
            config.hydra.job.num, config.hydra.job.id = number, str(number)
        with _current(config):
            sweep = config.hydra.sweep
            return _cell_below(plain(config), sweep.dir, str(sweep.subdir), overrides)


class _Word:
    """An override of a cell.

    Attributes:
        override: As Hydra parses it.
        text: As it is written.
        key: What it sets.
        chooses: Whether it chooses an entry from a group; else it sets a value.
        mentioned: What its value refers to, and ``hydra`` if it sets one of Hydra's keys.
        plain: Whether it gives a key that is there another value, which is a single one.
    """

    def __init__(self, override: Override, is_group: bool):
        value = override.value()
        self.override, self.key = override, override.key_or_group
        self.text = str(override.input_line)
        self.chooses = is_group and not isinstance(value, dict)
        self.mentioned = mentions([value]) | ({"hydra"} if override.is_hydra_override() else set())
        self.plain = (
            override.type is OverrideType.CHANGE
            and override.package is None
            and isinstance(value, int | float | str | bool | None)
            and not self.mentioned
            and value != "???"
        )


@contextmanager
def _current(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` speak of a configuration inside the block."""
    state = HydraConfig.instance()
    before, state.cfg = state.cfg, None
    try:
        state.set_config(config)
        yield
    finally:
        state.cfg = before


def _cell_below(job: dict[str, Any], sweep: str, subdir: str, overrides: Sequence[str]) -> Cell:
    """Return a cell whose folder lies below the sweep's.

    Raises:
        UserError: It does not.
    """
    path = Path(subdir)
    if path.is_absolute() or ".." in path.parts or path == Path() or not subdir.isprintable():
        raise UserError(
            f"hydra.sweep.subdir must name a folder for each cell below hydra.sweep.dir={sweep}, "
            f"got {subdir!r}"
        )
    return Cell(job, Path(sweep), str(path), tuple(overrides))


class _Base:
    """What a choice of groups is composed to, before any value is set."""

    def __init__(self, config: DictConfig):
        raw = cast(dict[str, Any], OmegaConf.to_container(config, resolve=False))
        sweep = raw.pop("hydra")["sweep"]
        sweep["subdir"] = str(sweep["subdir"]).replace(CELL, MARK)
        with read_write(config), open_dict(config):
            config.hydra = {"sweep": sweep}
        self.config = config
        self.mentioned = mentions([raw, sweep["dir"], sweep["subdir"]])
        self._typed = copy.deepcopy(config)
        self._values: dict[str, Any] = {}

    def is_free(self, word: _Word, mentioned: set[str], others: Sequence[_Word]) -> bool:
        """Whether a value only has to be written down: one leaf that nothing else refers to."""
        return (
            word.plain
            and mentioned.isdisjoint(re.findall(r"\w+", word.key))
            and not any(_overlap(word.key, other.key) for other in others if other is not word)
            and self._is_leaf(word.key)
        )

    def _is_leaf(self, key: str) -> bool:
        node: Any = self.config
        for part in key.split("."):
            if not OmegaConf.is_dict(node) or part not in node.keys():  # noqa: SIM118
                return False
            node = node._get_node(part)
        return not OmegaConf.is_config(node)

    def value(self, word: _Word) -> Any:
        """Return a free value as its key's type has it, checked."""
        if word.text not in self._values:
            _apply([word], self._typed)
            self._values[word.text] = OmegaConf.select(self._typed, word.key)
        return self._values[word.text]


class _Variant:
    """A composed configuration, of which cells are copies with other free values."""

    def __init__(self, base: DictConfig, values: Sequence[_Word]):
        config = copy.deepcopy(base)
        _apply(values, config)
        self._job = plain(config)
        self._sweep, self._subdir = config.hydra.sweep.dir, str(config.hydra.sweep.subdir)

    def cell(self, overrides: Sequence[str], values: Mapping[str, Any]) -> Cell:
        """Return the cell with some free values."""
        job = dict(self._job)
        for key, value in values.items():
            *parents, name = key.split(".")
            node = job
            for parent in parents:
                node[parent] = node = dict(node[parent])
            node[name] = value
        return _cell_below(job, self._sweep, self._subdir, overrides)


def _apply(words: Sequence[_Word], config: DictConfig) -> None:
    """Set values as Hydra does when it composes."""
    ConfigLoaderImpl._apply_overrides_to_config([word.override for word in words], config)


def _overlap(one: str, other: str) -> bool:
    """Whether two keys are one, or one lies in the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def mentions(nodes: Iterable[Any]) -> set[str]:
    """Return the words in the interpolations of values, :data:`ANY` if one may name any key."""
    words: set[str] = set()
    for text in _interpolations(nodes):
        words.update(re.findall(r"\w+", text))
        if COMPUTED.search(text):
            words.add(ANY)
    return words


def _interpolations(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Mapping):
            yield from _interpolations(node.values())
        elif isinstance(node, list):
            yield from _interpolations(node)
        elif isinstance(node, str) and "${" in node:
            yield node
