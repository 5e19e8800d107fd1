"""Which run a configuration asks for, its data included, and which committed row is another's."""

from collections.abc import Container, Mapping
from typing import Any

from experiments.errors import UserError
from experiments.record.identity import identity
from experiments.run import build
from experiments.run.schema import RunConfig


def run_identity(config: RunConfig, rows: Container[str] = ()) -> str:
    """Return the identity of a run; its data are read for that, once a process.

    Args:
        config: The run's configuration.
        rows: Identities in the committed table. Where the data are not there, a run of this table
            is taken to be on the data of the committed results.

    Raises:
        UserError: The task cannot be made, for example because its data are not there.
    """
    try:
        return identity(config.plain(), build.whole_task(config).data)
    except UserError:
        run_id = identity(config.plain(), None)
        if run_id not in rows:
            raise
        return run_id


def row_of_other_data(config: RunConfig, rows: Mapping[str, Any]) -> str | None:
    """Say so if the committed table has this run, but trained on other data.

    Args:
        config: The run's configuration.
        rows: The committed rows, by their identity.
    """
    if identity(config.plain(), None) not in rows:
        return None
    task = build.whole_task(config)
    if task.data is None:
        return None
    return (
        f"{config.results_dir}/{config.name}/runs.csv has this run on other data "
        f"(fingerprint {task.reference or 'not recorded'}) than those here ({task.data}), so its "
        "row is not used; give runs on these data a table of their own with results_dir=PATH"
    )
