"""Hydra's grammar of overrides: its parser, and the values of a list or a range."""

import math
import random
from collections.abc import Sequence
from decimal import Decimal

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep

from experiments.errors import UserError


def parser(loader: ConfigLoader) -> OverridesParser:
    """Return Hydra's parser, whose ``glob(adam*)`` looks into the entries that a loader knows."""
    return OverridesParser.create(config_loader=loader)


def texts(override: Override) -> list[str]:
    """Return the values of an override, each as it would be typed alone.

    Raises:
        UserError: They cannot be listed.
    """
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line} is no list; give values as in lr=1e-3,3e-3 or range(3)"
        )
    found = override.value()
    if not isinstance(found, RangeSweep):
        return list(override.sweep_string_iterator())
    values = [str(value) for value in _numbers(str(override.input_line), found)]
    if found.shuffle:
        random.shuffle(values)
    return values


def _numbers(line: str, found: RangeSweep) -> Sequence[float]:
    """Return the numbers of a range, in decimals as they are typed: 0.3, not 0.1 + 0.1 + 0.1."""
    bounds = [bound for bound in (found.start, found.stop, found.step) if bound is not None]
    if len(bounds) < 3 or not found.step or not all(map(math.isfinite, bounds)):
        raise UserError(f"{line} has no end; give range(START,STOP,STEP)")
    whole = [bound for bound in bounds if isinstance(bound, int)]
    if len(whole) == 3:
        return range(*whole)
    # 15 digits, since sort() has computed with the numbers in binary by now
    start, stop, step = (Decimal(f"{bound:.15g}") for bound in bounds)
    return [float(start + i * step) for i in range(math.ceil((stop - start) / step))]
