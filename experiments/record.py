"""The run folder: the one record of a run, whole at any instant."""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments import checkpoint
from experiments.errors import UserError


class RunFolder:
    """Holds config.yaml, metrics.jsonl, result.json and, until it finishes, checkpoint.pt.

    Args:
        path: The folder; made if need be.
        config: The resolved configuration, as plain values.
        run_id: Its identity.

    Raises:
        UserError: The folder cannot be written, or holds another run.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], run_id: str):
        self.path = path
        self._metrics = path / "metrics.jsonl"
        self._result = path / "result.json"
        self.checkpoint = path / "checkpoint.pt"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._claim(path / "config.yaml", config, run_id)
        except OSError as error:
            raise UserError(f"cannot write the run folder {path}: {error.strerror}") from error

    def _claim(self, file: Path, config: Mapping[str, Any], run_id: str) -> None:
        header = f"# id: {run_id}\n"
        if not file.exists():
            text = header + OmegaConf.to_yaml(OmegaConf.create(dict(config)))
            checkpoint.write_atomically(file, text.encode())
        elif not file.read_text().startswith(header):
            raise UserError(
                f"{self.path} holds another run (see its config.yaml); "
                "choose another folder with hydra.run.dir=PATH"
            )

    def result(self) -> dict[str, Any] | None:
        """Return the row of a finished run, or None."""
        if not self._result.exists():
            return None
        try:
            return json.loads(self._result.read_text())
        except ValueError as error:
            raise UserError(
                f"{self._result} is damaged; remove it to run the cell again"
            ) from error

    def append(self, metrics: Mapping[str, float]) -> None:
        """Add a line to metrics.jsonl, on disk when this returns."""
        with self._metrics.open("a") as file:
            file.write(json.dumps(metrics) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def metrics_size(self) -> int:
        """Return the bytes of metrics.jsonl, for :meth:`rewind`."""
        return self._metrics.stat().st_size if self._metrics.exists() else 0

    def rewind(self, size: int) -> None:
        """Cut metrics.jsonl back to what it was when the checkpoint was written."""
        if self.metrics_size() > size:
            os.truncate(self._metrics, size)

    def finish(self, row: Mapping[str, Any]) -> None:
        """Write result.json, after which the run is finished and its checkpoint is not needed."""
        checkpoint.write_atomically(self._result, (json.dumps(row, indent=1) + "\n").encode())
        self.checkpoint.unlink(missing_ok=True)


def committed(results_dir: str | Path, name: str) -> dict[str, dict[str, str]]:
    """Return the rows of ``results_dir/name/runs.csv`` by their identity, as text."""
    file = Path(results_dir) / name / "runs.csv"
    if not file.exists():
        return {}
    with file.open(newline="") as lines:
        return {row["id"]: row for row in csv.DictReader(lines)}
