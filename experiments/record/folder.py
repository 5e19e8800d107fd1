"""The run folder: the one record of a run, whole at any instant."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.errors import UserError
from experiments.record import failure
from experiments.record.checkpoint import Checkpoints
from experiments.record.files import remove_leftovers, write_atomically
from experiments.record.lock import Lock
from experiments.record.schema import complete


class RunFolder:
    """Holds config.yaml, metrics.jsonl, result.json and, until it finishes, checkpoints.

    A run that is watched leaves what was seen in probe.jsonl, see ``probe_table``.

    It is written inside :meth:`held` only, by one process at a time.

    Args:
        path: The folder; made if need be.
        config: The resolved configuration, as plain values.
        run_id: Its identity.

    Raises:
        UserError: The folder cannot be written, or holds another run.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], run_id: str):
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.probe = path / "probe.jsonl"
        self._result = path / "result.json"
        self.checkpoints = Checkpoints(path)
        self._lock = Lock(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._claim(path / "config.yaml", config, run_id)
        except OSError as error:
            raise UserError(f"cannot write the run folder {path}: {error.strerror}") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the folder inside the block.

        Raises:
            Busy: Another process runs the cell.
        """
        with self._guard(self.path / "lock"):
            self._lock.__enter__()
        try:
            remove_leftovers(self.path)
            yield
        finally:
            self._lock.__exit__()

    @contextmanager
    def _guard(self, path: Path) -> Iterator[None]:
        """Turn what the file system refuses into one clear line."""
        try:
            yield
        except OSError as error:
            raise failure.cannot_write(path, error) from error

    def _check(self) -> None:
        """Write nothing into a folder that is another's by now."""
        if not self._lock.holds():
            raise UserError(
                f"the run folder {self.path} was removed while the run went on; "
                "the same command starts it anew"
            )

    def _claim(self, file: Path, config: Mapping[str, Any], run_id: str) -> None:
        header = f"# id: {run_id}\n"
        if not file.exists():
            text = header + OmegaConf.to_yaml(OmegaConf.create(dict(config)))
            write_atomically(file, text.encode())
        elif not file.read_text().startswith(header):
            raise UserError(
                f"{self.path} holds another run (see its config.yaml); "
                "choose another folder with hydra.run.dir=PATH"
            )

    def append(self, metrics: Mapping[str, float]) -> None:
        """Add a line to metrics.jsonl, on disk when this returns."""
        self._append(self.metrics, [metrics])

    def append_probe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add lines to probe.jsonl, on disk when this returns."""
        self._append(self.probe, rows)

    def _append(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        self._check()
        with self._guard(path), path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())

    def sizes(self) -> dict[str, int]:
        """Return the bytes of what has been written down so far, for :meth:`rewind`."""
        return {
            f"{file.stem}_size": file.stat().st_size if file.exists() else 0
            for file in (self.metrics, self.probe)
        }

    def rewind(self, sizes: Mapping[str, Any]) -> bool:
        """Cut both files back to what they were when the checkpoint was written.

        Args:
            sizes: Has what :meth:`sizes` gave then; a size that is not there is 0.

        Returns:
            Whether the files hold that much; if not, they are as they were.
        """
        there = self.sizes()
        if any(there[name] < sizes.get(name, 0) for name in there):
            return False
        for file in (self.metrics, self.probe):
            size = sizes.get(f"{file.stem}_size", 0)
            if there[f"{file.stem}_size"] > size:
                os.truncate(file, size)
        return True

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Save all that the run needs to go on from here."""
        self._check()
        with self._guard(self.checkpoints.newest):
            self.checkpoints.save(state)

    def write(self, name: str, text: str) -> None:
        """Leave a text beside the record, for people."""
        self._check()
        with self._guard(self.path / name):
            write_atomically(self.path / name, text.encode())

    def finish(self, row: Mapping[str, Any]) -> None:
        """Write result.json, after which the run is finished and its checkpoint is not needed."""
        self._check()
        with self._guard(self._result):
            write_atomically(self._result, (json.dumps(row, indent=1) + "\n").encode())
        with suppress(OSError):
            failure.remove(self.path)
            self.checkpoints.remove()

    def fail(self, error: Exception) -> None:
        """Leave the reason for which there is no result."""
        if self._lock.holds():
            failure.write(self.path, failure.reason(error), error)


def answers(row: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a finished run's row is all that a configuration asks for.

    A probe changes no number of a run, hence not its identity; but a run that nobody watched has
    no table of it, and is run again for that.
    """
    return config["probe"]["name"] in ("none", row.get("probe"))


def answer(folder: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the row in a run folder if it :func:`answers` a configuration, else None.

    Raises:
        UserError: There is a result, and it is damaged.
    """
    file = folder / "result.json"
    if not file.exists():
        return None
    try:
        row = complete(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is damaged; remove it to run the cell again") from error
    return row if answers(row, config) else None


def settled(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether there is nothing left to run; a damaged result is left to the run, which names it."""
    try:
        return answer(folder, config) is not None
    except (UserError, OSError):
        return False


def committed(results_dir: str | Path, name: str) -> dict[str, dict[str, str]]:
    """Return the rows of ``results_dir/name/runs.csv`` by their identity, as text."""
    file = Path(results_dir) / name / "runs.csv"
    if not file.exists():
        return {}
    with file.open(newline="") as lines:
        reader = csv.DictReader(lines)
        if "id" not in (reader.fieldnames or []):
            raise UserError(f"{file} has no column 'id', so it is not a runs table")
        return {row["id"]: row for row in reader}
