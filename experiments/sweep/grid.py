"""Which cells a sweep has, and what its preset says."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.errors import UserError
from experiments.record.folder import run_folders
from experiments.run.schema import register
from experiments.sweep.compose import compose, register_resolvers

#: Axes whose values are entries of configs/, which bring defaults of other axes with them.
GROUPS = ("task", "model", "optim", "schedule", "decay")
CONFIGS = Path(__file__).parents[2] / "configs"


def combinations(
    params: Mapping[str, Any], grids: Sequence[Mapping[str, Any]], arguments: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return every combination of a sweep as overrides, each once, in the order of the grids.

    An argument takes the place of an axis of ``params``. On an axis of ``grids`` it selects: values
    that some grid has keep only the grids that have them; values that no grid has replace the axis
    in all of them.

    Args:
        params: Axis -> values in Hydra's grammar, shared by all grids.
        grids: Tables of such axes, each a product of its own.
        arguments: Overrides of the command line.

    Raises:
        UserError: An argument is no list, or mixes values of the grids with others.
    """
    typed = _axes(OverridesParser.create().parse_overrides(list(arguments)))
    tables = [_parse(grid) for grid in grids] or [{}]
    known = {axis: set().union(*(table.get(axis, {}) for table in tables)) for axis in typed}
    for axis, values in typed.items():
        foreign = [text for value, text in values.items() if value not in known[axis]]
        if foreign and len(foreign) < len(values):
            raise UserError(
                f"{axis}={','.join(foreign)} is in no grid of the preset and the other values are; "
                "give values of the grids, or only new ones"
            )
    seen: dict[tuple[str, ...], None] = {}
    for table in tables:
        cells = _parse(params) | table
        for axis, values in typed.items():
            selects = known[axis] & set(values)
            cells[axis] = {v: t for v, t in values.items() if not selects or v in table[axis]}
        for cell in itertools.product(
            *([f"{k}={t}" for t in v.values()] for k, v in cells.items())
        ):
            seen.setdefault(cell)
    return list(seen)


def _parse(table: Mapping[str, Any]) -> dict[str, dict[Any, str]]:
    words = [f"{key}={value}" for key, value in table.items()]
    return _axes(OverridesParser.create().parse_overrides(words))


def _axes(overrides: Iterable[Override]) -> dict[str, dict[Any, str]]:
    """Return each override's values, each with the way in which Hydra writes it."""
    axes = {}
    for override in overrides:
        key = override.get_key_element().removeprefix("++")
        if override.is_delete():
            raise UserError(f"a sweep cannot remove keys, got {override.input_line}")
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(
                f"{override.input_line} is no list; give values as in lr=1e-3,3e-3 or range(3)"
            )
        texts = (
            override.sweep_string_iterator()
            if override.is_sweep_override()
            else [override.get_value_element_as_str()]
        )
        values = {_value(f"{key}={text}"): text for text in texts}
        axes[key] = {v: v if re.fullmatch(r"[\w.-]+", str(v)) and isinstance(v, str) else text
                     for v, text in values.items()}  # fmt: skip
    return axes


def _value(word: str) -> Any:
    """Return what a value means, so that 0 and 0.0, adam and 'adam' are the same."""
    value = OverridesParser.create().parse_override(word).value()
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def default(*overrides: str) -> DictConfig:
    """Return the composed configuration of ``train.py`` under some overrides."""
    return _loader().load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)


def _loader() -> ConfigLoaderImpl:
    register()
    register_resolvers()
    return ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONFIGS)))


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
    sweeper = preset.hydra.sweeper
    parser = OverridesParser.create()
    cells = [
        {o.get_key_element(): o.value() for o in parser.parse_overrides(list(cell))}
        for cell in combinations(sweeper.params, sweeper.grids, [])
        if cell
    ]
    axes = dict.fromkeys(axis for cell in cells for axis in cell)
    defaults: dict[tuple[str, ...], DictConfig] = {}
    for cell in cells:
        chosen = tuple(f"{axis}={cell[axis]}" for axis in GROUPS if axis in cell)
        for axis in axes.keys() - cell.keys():
            if chosen not in defaults:
                defaults[chosen] = default(f"experiment={name}", *chosen)
            value = OmegaConf.select(defaults[chosen], axis)
            cell[axis] = value.name if OmegaConf.is_dict(value) else value
    return cells


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
    cells = combinations(preset.hydra.sweeper.params, preset.hydra.sweeper.grids, [])
    words = [[f"experiment={name}", *overrides, *cell] for cell in cells]
    return [cell.job for cell in compose(_loader(), words)]


def analysis(name: str, runs_dir: str = "runs") -> dict[str, Any]:
    """Return how an experiment is to be analyzed, as its preset says or else one of its runs."""
    preset = _preset(name)
    if preset is None:
        begun = (run for run in run_folders(Path(runs_dir) / name) if run.is_begun())
        run = next(begun, None)
        preset = OmegaConf.load(run.config_file) if run else OmegaConf.create({"analysis": {}})
    return OmegaConf.to_container(preset.analysis, resolve=True)
