"""Which cells a sweep has, and what its preset says."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments.compose import register_resolvers
from experiments.errors import UserError
from experiments.runs_table import COLUMNS
from experiments.schema import register

CONFIGS = Path(__file__).parents[1] / "configs"


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
    """
    typed = _axes(OverridesParser.create().parse_overrides(list(arguments)))
    seen: dict[tuple[str, ...], None] = {}
    for table in _select(params, grids, typed):
        for cell in itertools.product(*([f"{k}={v}" for v in vs] for k, vs in table.items())):
            seen.setdefault(cell)
    return list(seen)


def _select(
    params: Mapping[str, Any], grids: Sequence[Mapping[str, Any]], typed: dict[str, list[str]]
) -> Iterable[dict[str, list[str]]]:
    tables = [_parse(grid) for grid in grids] or [{}]
    for table in tables:
        shared = _parse(params) | table | typed
        for axis, values in typed.items():
            if any(set(values) & set(other.get(axis, ())) for other in tables):
                shared[axis] = [value for value in values if value in table.get(axis, ())]
        yield shared


def _parse(table: Mapping[str, Any]) -> dict[str, list[str]]:
    words = [f"{key}={value}" for key, value in table.items()]
    return _axes(OverridesParser.create().parse_overrides(words))


def _axes(overrides: Iterable[Override]) -> dict[str, list[str]]:
    """Return each override's values, written the one way in which Hydra writes them."""
    axes = {}
    for override in overrides:
        key = override.get_key_element()
        if override.is_sweep_override():
            if not override.is_discrete_sweep():
                raise UserError(
                    f"{override.input_line} is no list; give values as in lr=1e-3,3e-3 or range(3)"
                )
            axes[key] = list(override.sweep_string_iterator())
        else:
            axes[key] = [override.get_value_element_as_str()]
    return axes


def swept_keys(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Return the keys that vary over a sweep and have no column of their own in the runs table."""
    values: dict[str, set[str]] = {}
    for cell in overrides:
        for override in cell:
            key, value = override.split("=", 1)
            values.setdefault(key.lstrip("+"), set()).add(value)
    return sorted(key for key, seen in values.items() if len(seen) > 1 and key not in COLUMNS)


def default(*overrides: str) -> DictConfig:
    """Return the composed configuration of ``train.py`` under some overrides."""
    register()
    register_resolvers()
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONFIGS)))
    return loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)


def _preset(name: str) -> DictConfig | None:
    if not (CONFIGS / "experiment" / f"{name}.yaml").exists():
        return None
    return default(f"experiment={name}")


def planned(name: str) -> list[dict[str, Any]] | None:
    """Return the cells of a preset as typed values by axis, or None if there is no such preset."""
    preset = _preset(name)
    if preset is None:
        return None
    sweeper = preset.hydra.sweeper
    parser = OverridesParser.create()
    return [
        {o.get_key_element(): o.value() for o in parser.parse_overrides(list(cell))}
        for cell in combinations(sweeper.params, sweeper.grids, [])
        if cell
    ]


def analysis(name: str) -> dict[str, Any]:
    """Return what a preset says about how it is to be analyzed; empty without a preset."""
    preset = _preset(name)
    return {} if preset is None else OmegaConf.to_container(preset.analysis, resolve=True)
