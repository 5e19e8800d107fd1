"""The way in for notebooks and scripts: one cell trained, and a table of cells drawn."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd
from hydra.core.override_parser.types import Override, Quote, QuotedString
from matplotlib.figure import Figure

from experiments.errors import UserError
from experiments.record import tables
from experiments.report.data.frames import frame
from experiments.report.data.panels import panels
from experiments.report.figures.heatmap import arrange, heatmaps
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings


def train(*overrides: str, **values: Any) -> pd.Series:
    """Train one cell in this process, or find that it was trained before.

    ``train("task.modulus=31", optim="adam", lr=1e-3)`` is what
    ``python train.py task.modulus=31 optim=adam lr=1e-3`` runs, in the same run folder.

    Args:
        overrides: As they would be typed, ``key=value``.
        values: Further ones, whose keys have no dots; strings, numbers, lists, True, None.

    Returns:
        The run's row of the runs table: ``test_error`` and ``train_error`` in percent,
        ``test_loss`` in nats, NaN where a run diverged; ``experiments/record/schema.py`` lists the
        columns.

    Raises:
        UserError: The cell cannot be trained.
        hydra.errors.HydraException: An entry, a key or a value is not known.
    """
    from experiments.run.cell import run_cell  # with torch
    from experiments.run.schema import RunConfig
    from experiments.sweep import grid
    from experiments.sweep.compose import compose_run

    words = [f"{key}={Override._get_value_element_as_str(_typed(v))}" for key, v in values.items()]
    job, folder = compose_run(grid.loader(), [*overrides, *words])
    row = run_cell(RunConfig.from_plain(job), folder)
    return frame(tables.merge([], [row])).iloc[0]


def _typed(value: Any) -> Any:
    """Return a value as Hydra's grammar holds it, strings in quotes."""
    if isinstance(value, str):
        return QuotedString(value, Quote.double)
    if isinstance(value, list | tuple):
        return [_typed(child) for child in value]
    if isinstance(value, Mapping):
        return {key: _typed(child) for key, child in value.items()}
    return value.item() if hasattr(value, "item") else value  # a number of numpy's


def draw(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    *,
    metric: str = "test_error",
    axis: str = "typed",
) -> Figure:
    """Draw heatmaps over learning rate and weight decay, a panel for each optimizer and protocol.

    Args:
        rows: Of the runs table, such as :func:`train` returns; seeds are averaged.
        metric: What a cell shows: ``test_error``, ``val_error`` (percent), ``test_loss`` (nats).
        axis: Coordinate of the decay: ``typed``, ``lambda``, ``torch_wd``, ``step_shrink``,
            ``shrink`` or ``timescale``.

    Raises:
        UserError: There is no row, or one is none of the runs table.
    """
    from matplotlib import pyplot

    pyplot.draw_if_interactive()  # loads the backend, which is what lets a notebook show figures
    table = pd.DataFrame(list(rows) if not isinstance(rows, pd.DataFrame) else rows)
    known = table.astype(object).where(table.notna(), None)
    found = tables.adopt(cast(list[dict[str, Any]], known.to_dict("records")))
    if found.corrupt or not found.rows:
        raise UserError(f"no rows of the runs table: {'; '.join(found.corrupt) or 'none given'}")
    settings = Settings(metric=metric, axis=axis, samples=0)
    shown = panels(frame(tables.merge([], found.rows)), metric)
    return heatmaps(arrange(measure(shown, settings)))
