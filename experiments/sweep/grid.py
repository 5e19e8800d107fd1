"""Which cells a sweep has, and what its preset says."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.errors import UserError
from experiments.record.folder import run_folders
from experiments.record.schema import GROUPS
from experiments.run.schema import register
from experiments.sweep.cell import Cell
from experiments.sweep.compose import compose, mentions
from experiments.sweep.grammar import parser, texts

CONFIGS = Path(__file__).parents[2] / "configs"


def cells(loader: ConfigLoaderImpl, master: DictConfig, arguments: Sequence[str]) -> list[Cell]:
    """Return the cells that ``train.py -m ARGUMENTS`` runs, each once.

    Args:
        loader: Hydra's, which knows where the entries lie.
        master: The sweep's own configuration.
        arguments: Overrides: a preset, and axes.

    Raises:
        HydraException: An entry, a key or a value is not known.
        UserError: An argument is no list.
    """
    preset = [word for word in arguments if word.startswith("experiment=")]
    if any("," in word for word in preset):
        raise UserError(f"one preset a command, got {preset[0]}")
    typed = [word for word in arguments if word not in preset]
    chosen = combinations(loader, *axes_of(master.hydra.sweeper, typed), typed)
    return _each_once(compose(loader, master, [[*preset, *words] for words in chosen]))


def combinations(
    loader: ConfigLoader,
    params: Mapping[str, Any],
    grids: Sequence[Mapping[str, Any]],
    arguments: Sequence[str],
) -> list[tuple[str, ...]]:
    """Return every combination of a sweep as overrides, each once, in the order of the grids.

    An argument takes the place of an axis of ``params``. On an axis of ``grids`` it selects: values
    that some grid has keep only the grids that have them; values that no grid has replace the axis
    in all of them.

    Args:
        loader: Hydra's, which knows the entries that ``glob(...)`` chooses from.
        params: Axis -> values in Hydra's grammar, shared by all grids.
        grids: Tables of such axes, each a product of its own.
        arguments: Overrides of the command line.

    Raises:
        UserError: An argument is no list, or mixes values of the grids with others.
    """
    typed, shared = _axes(loader, arguments), _axes(loader, _overrides(params))
    tables = [_axes(loader, _overrides(grid)) for grid in grids] or [{}]
    known = {axis: set().union(*(table.get(axis, {}) for table in tables)) for axis in typed}
    for axis, values in typed.items():
        foreign = [word for value, word in values.items() if value not in known[axis]]
        if foreign and len(foreign) < len(values):
            raise UserError(
                f"{axis}={','.join(word.partition('=')[2] for word in foreign)} is in no grid of "
                "the preset and the other values are; give values of the grids, or only new ones"
            )
    seen: dict[tuple[str, ...], None] = {}
    for table in tables:
        axes = shared | table
        for axis, values in typed.items():
            own, selects = table.get(axis, {}), known[axis] & set(values)
            axes[axis] = {
                value: own.get(value, word)
                for value, word in values.items()
                if not selects or value in own
            }
        for cell in itertools.product(*(values.values() for values in axes.values())):
            seen.setdefault(cell)
    return list(seen)


def _overrides(table: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in table.items()]


def _axes(loader: ConfigLoader, overrides: Sequence[str]) -> dict[str, dict[Any, str]]:
    """Return axis -> what a value means -> the override that sets it."""
    parse = parser(loader)
    axes: dict[str, dict[Any, str]] = {}
    for override in parse.parse_overrides(list(overrides)):
        key = override.get_key_element()
        if override.is_delete():
            raise UserError(f"a sweep cannot remove keys, got {override.input_line}")
        values = axes[key.removeprefix("++")] = {}
        for word in (f"{key}={text}" for text in texts(override)):
            values.setdefault(_meaning(parse.parse_override(word).value()), word)
        if not values:
            raise UserError(f"{override.input_line} stands for no value at all")
    return axes


def _meaning(value: Any) -> Any:
    """Return what tells values apart: 0 and 0.0 are one, adam and 'adam' too, 1 and true not."""
    if isinstance(value, list | dict):
        return type(value), repr(value)
    return isinstance(value, bool), value


def axes_of(
    sweeper: DictConfig, arguments: Sequence[str] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the params and the grids of ``hydra.sweeper``, in Hydra's grammar.

    An interpolation of an axis, as in ``wd: ${lr}``, stays one, to be resolved in every cell; any
    other is resolved here.

    Args:
        sweeper: The node of a preset.
        arguments: Overrides of the command line, which are axes, too.
    """
    params: Any = sweeper.get("params") or {}
    grids: Any = sweeper.get("grids") or []
    keys = [*arguments, *params, *itertools.chain(*grids)]
    axes = {re.sub(r"\W*(\w*).*", r"\1", key, flags=re.S) for key in keys}

    def read(table: DictConfig) -> dict[str, Any]:
        raw = cast(dict[str, Any], OmegaConf.to_container(table, resolve=False))
        linked = {key for key, value in raw.items() if axes & mentions([value])}
        return {key: raw[key] if key in linked else table[key] for key in raw}

    return read(params) if params else {}, [read(grid) for grid in grids]


def _each_once(cells: Iterable[Cell]) -> list[Cell]:
    """Leave out what is written twice, as ``wd=1e-3,${lr}`` does at lr 1e-3."""
    return list({(cell.sweep, cell.subdir, repr(cell.job)): cell for cell in cells}.values())


def refuse_shared_folders(cells: Iterable[Cell]) -> None:
    """Refuse cells that would be run in one folder.

    Raises:
        UserError: Names two of them.
    """
    found: dict[Path, Cell] = {}
    for cell in cells:
        other = found.setdefault(cell.folder, cell)
        if other is cell:
            continue
        pair = " and ".join(" ".join(_apart(*two)) for two in ((other, cell), (cell, other)))
        if other.run_id == cell.run_id:
            raise UserError(f"{pair} are one run: what they differ in changes no number of it")
        raise UserError(
            f"{pair} would share the run folder {cell.folder}; let hydra.sweep.subdir tell them "
            "apart, as ${cell:} does"
        )


def _apart(cell: Cell, other: Cell) -> list[str]:
    return [word for word in cell.overrides if word not in other.overrides] or ["the same words"]


def loader() -> ConfigLoaderImpl:
    """Return a loader of the entries of configs/."""
    register()
    return ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONFIGS)))


def default(*overrides: str) -> DictConfig:
    """Return the composed configuration of ``train.py`` under some overrides."""
    return loader().load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)


def shortest(overrides: Sequence[str]) -> list[str]:
    """Leave out overrides of ``train.py`` that say what is so without them.

    Args:
        overrides: A single value each: entries of groups, then keys that these have. Task and
            optimizer are kept, as a reader looks for them; all are if an entry or key is unknown.
    """
    parse, kept = parser(loader()).parse_override, list[str]()
    try:
        for word in overrides:
            override = parse(word)
            group = override.key_or_group in GROUPS
            key = f"{override.key_or_group}.name" if group else override.key_or_group
            there = OmegaConf.select(_composed(tuple(w for w in kept if _is_group(w))), key)
            if there != override.value() or override.key_or_group in ("task", "optim"):
                kept.append(word)
        _composed(tuple(w for w in kept if _is_group(w)))
    except HydraException:
        return list(overrides)
    return kept


def _is_group(word: str) -> bool:
    return word.partition("=")[0] in GROUPS


@lru_cache(maxsize=256)
def _composed(words: tuple[str, ...]) -> DictConfig:
    return default(*words)


def _preset(name: str) -> DictConfig | None:
    if not (CONFIGS / "experiment" / f"{name}.yaml").exists():
        return None
    return default(f"experiment={name}")


def planned(name: str) -> list[dict[str, Any]] | None:
    """Return the cells of a preset as typed values by axis, or None if there is no such preset.

    An axis that only some grids of the preset have gets its default in the others: None where
    the entries that a cell chooses have no such key.
    """
    preset = _preset(name)
    if preset is None:
        return None
    files = loader()
    chosen = combinations(files, *axes_of(preset.hydra.sweeper), [])
    cells = [_values(files, preset, [f"experiment={name}"], words) for words in chosen if words]
    axes = dict.fromkeys(axis for cell in cells for axis in cell)
    defaults: dict[tuple[str, ...], DictConfig] = {}
    for cell in cells:
        entries = tuple(f"{axis}={cell[axis]}" for axis in GROUPS if axis in cell)
        for axis in axes.keys() - cell.keys():
            if entries not in defaults:
                defaults[entries] = default(f"experiment={name}", *entries)
            value = OmegaConf.select(defaults[entries], axis)
            cell[axis] = value.name if OmegaConf.is_dict(value) else value
    return cells


def _values(
    loader: ConfigLoaderImpl, master: DictConfig, preset: list[str], words: Sequence[str]
) -> dict[str, Any]:
    """Return the values of a cell's axes, composed where one is given by another."""
    values: dict[str, Any] = {
        o.key_or_group: o.value() for o in parser(loader).parse_overrides(list(words))
    }
    linked = [key for key, value in values.items() if "${" in str(value)]
    if linked:
        job = OmegaConf.create(compose(loader, master, [[*preset, *words]])[0].job)
        values |= {key: OmegaConf.select(job, key) for key in linked}
    return {key: value.name if OmegaConf.is_dict(value) else value for key, value in values.items()}


def cost(name: str) -> str:
    """Return the line of a preset's head that says what it costs."""
    lines = (CONFIGS / "experiment" / f"{name}.yaml").read_text().splitlines()
    found = (line for line in lines if line.startswith("#") and "core-" in line)
    return next(found, "").removeprefix("#").strip()


def jobs(name: str, *overrides: str) -> list[dict[str, Any]]:
    """Return every cell of a preset as a resolved configuration, which nobody may change.

    Args:
        name: The preset.
        overrides: Shared by all cells.

    Raises:
        UserError: There is no such preset.
    """
    preset = _preset(name)
    if preset is None:
        known = ", ".join(sorted(file.stem for file in (CONFIGS / "experiment").glob("*.yaml")))
        raise UserError(f"there is no preset {name}; there are: {known}")
    return [cell.job for cell in cells(loader(), preset, [f"experiment={name}", *overrides])]


def analysis(name: str, runs_dir: str = "runs") -> dict[str, Any]:
    """Return how an experiment is to be analyzed, as its preset says or else one of its runs."""
    preset = _preset(name)
    if preset is None:
        begun = (run for run in run_folders(Path(runs_dir) / name) if run.is_begun())
        run = next(begun, None)
        preset = cast(
            DictConfig,
            OmegaConf.load(run.config_file) if run else OmegaConf.create({"analysis": {}}),
        )
    return cast(dict[str, Any], OmegaConf.to_container(preset.analysis, resolve=True))
