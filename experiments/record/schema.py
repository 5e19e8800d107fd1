"""The runs table: one row a run, the only contract between the laboratory and its reports."""

import re
from collections.abc import Mapping
from typing import Any

#: Column -> (pandas dtype, meaning). Their order is the order in runs.csv.
COLUMNS: dict[str, tuple[str, str]] = {
    "id": ("string", "identity: hash of everything that can change the numbers"),
    "experiment": ("string", "the sweep this run belongs to"),
    "task": ("string", "entry of configs/task"),
    "model": ("string", "entry of configs/model"),
    "optim": ("string", "entry of configs/optim"),
    "convention": ("string", "l2 | decoupled | lr_coupled: where weight_decay enters the step"),
    "schedule": ("string", "entry of configs/schedule"),
    "decay": ("string", "raw | normalized: how wd became weight_decay"),
    "no_decay": ("string", "none | norm_and_bias | embeddings_too: parameters that do not decay"),
    "lr": ("Float64", "alpha, the base learning rate"),
    "wd": ("Float64", "weight decay as typed"),
    "weight_decay": ("Float64", "what the optimizer was given, after normalization"),
    "epochs": ("Float64", "passes over the training set"),
    "steps": ("Int64", "optimizer steps of the whole budget"),
    "batch_size": ("Int64", "examples in a full batch"),
    "train_size": ("Int64", "training examples, without the validation split"),
    "eta_sum": (
        "Float64",
        "sum of eta_t over all steps, each to the decay_power and times lambda_t / weight_decay",
    ),
    "seed": ("Int64", "the one integer behind every generator of the run"),
    "status": ("string", "finished | diverged"),
    "test_error": ("Float64", "percent, at the end; empty when diverged"),
    "test_loss": ("Float64", "nats per prediction, at the end"),
    "val_error": ("Float64", "percent on the validation split; empty without one"),
    "val_loss": ("Float64", "nats per prediction on the validation split"),
    "train_error": ("Float64", "percent, in evaluation mode without augmentation, at the end"),
    "train_loss": ("Float64", "nats per prediction, likewise"),
    "clipped": ("string", "high | low where the errors are only bounds (digitised cells)"),
    "seconds": ("Float64", "wall time spent in the run, over all its resumptions"),
    "data": ("string", "fingerprint of the data, where the configuration does not say which"),
    "commit": ("string", "git commit of the code, with + appended when the tree was dirty"),
    "torch": ("string", "torch version"),
    "device": ("string", "name of the processor or GPU"),
    "processor": ("string", "type of the processor, see provenance.py; empty in older runs"),
    "precision": ("string", "fp32 | bf16, as it was resolved"),
    "threads": ("Int64", "CPU threads of the process"),
    "date": ("string", "UTC time at which the run ended, ISO 8601"),
}

#: What a finished run measures; a diverged one has none of it.
MEASURED = ("test_error", "test_loss", "val_error", "val_loss", "train_error", "train_loss")
#: Columns added after the first tables were committed: a table in which no run has a value for one
#: is written without it, so that old tables stay as they are.
LATER = ("data", "processor")
#: Columns that a row may lack.
OPTIONAL = {*MEASURED, "clipped", *LATER}
#: Settings that a table may have in columns of their own, beside those of an entry of a group of
#: configs/, which have a dotted name (``model.width``). ``figure`` is what the paper's cells have.
SETTINGS = {"figure", "warmup_epochs", "validation_size", "loss_scale", "compile"}
GROUPS = ("task", "model", "optim", "schedule", "decay")
#: Keys of an entry of such a group that the laboratory reads itself; the others are arguments of
#: what the entry builds.
OWN_KEYS = {"name", "convention", "_target_", "_partial_"}
#: What an experiment may be called: it names folders in runs/ and results/.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FINISHED, DIVERGED = "finished", "diverged"


def is_setting(column: str) -> bool:
    """Whether a column beyond :data:`COLUMNS` is a setting, in which runs of a table may differ.

    Any other column (a person's ``note``, ``probe``) is kept with its row and has no say in which
    runs belong together.
    """
    group, _, key = column.partition(".")
    return column in SETTINGS or (group in GROUPS and key != "")


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """Order ``values`` as a row: every column of the schema, then the extra swept keys by name.

    Raises:
        ValueError: A column that every run has is missing.
    """
    missing = set(COLUMNS) - OPTIONAL - set(values)
    if missing:
        raise ValueError(f"row lacks {sorted(missing)}")
    extra = sorted(set(values) - set(COLUMNS))
    return {name: values.get(name) for name in [*COLUMNS, *extra]}


def checked(values: Any) -> dict[str, Any]:
    """Return a row that somebody else wrote down, complete and with the types of the schema.

    Raises:
        ValueError: It is no row of a run that has ended.
    """
    if not isinstance(values, Mapping):
        raise ValueError("it is not a JSON object")
    row = complete(values)
    if row["status"] not in (FINISHED, DIVERGED):
        raise ValueError(f"status is {row['status']!r}, not {FINISHED} or {DIVERGED}")
    for name, (dtype, _) in COLUMNS.items():
        if dtype != "string" and row[name] is not None:
            try:
                row[name] = int(row[name]) if dtype == "Int64" else float(row[name])
            except (ValueError, TypeError):
                raise ValueError(f"{name}={row[name]!r} is not a number") from None
    empty = [name for name in ("id", "optim", "lr", "wd", "seed") if row[name] is None]
    if empty:
        raise ValueError(f"row has no value for {empty}")
    return row
