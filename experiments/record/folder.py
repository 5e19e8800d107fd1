"""The run folder: the one module that knows which files a run leaves, reads them and writes them.

==================  ==============================================================================
``config.yaml``     the resolved configuration, below a line with the run's identity
``metrics.jsonl``   a line for each evaluation
``probe.jsonl``     what a probe saw, in a run that has one; ``probe/table.py`` has the columns
``sample.txt``      something to read, of tasks that have it
``result.json``     the run's row of the runs table: it is there as soon as the run has ended
``checkpoint.pt``   what the run needs to go on, until it has ended; the one before lies beside it
``lock``            who runs it, as long as somebody does
``failed.json``     why it has no result, if it failed
==================  ==============================================================================

All are whole at any instant, see ``files``. :class:`RunFolder` reads and imports no torch;
:class:`RunWriter` is what a run writes with.
"""

import json
import os
import socket
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.record import failure, lock
from experiments.record.files import remove_leftovers, write_atomically
from experiments.record.schema import checked

RESULT = "result.json"
FAILED = "failed.json"


class RunFolder:
    """What a run has left so far, for those who read it while it may be going on.

    Args:
        path: The folder; it need not be there.
    """

    def __init__(self, path: Path):
        self.path = path
        self.config_file = path / "config.yaml"
        self.checkpoint_file = path / "checkpoint.pt"
        self._metrics = path / "metrics.jsonl"
        self._probe = path / "probe.jsonl"
        self._sample = path / "sample.txt"
        self._result = path / RESULT
        self._failed = path / FAILED
        self._lock = path / "lock"

    def is_begun(self) -> bool:
        """Whether a run was begun here; a folder that Hydra made may have none."""
        return self.config_file.exists()

    def row(self) -> dict[str, Any] | None:
        """Return the run's row of the runs table, or None as long as there is none.

        Raises:
            ValueError: The result is damaged; the message says how.
        """
        try:
            return checked(json.loads(self._result.read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ValueError(error.strerror) from error

    def is_finished(self) -> bool:
        """Whether there is a result, be it whole or damaged."""
        return self._result.exists()

    def has_checkpoint(self) -> bool:
        """Whether a run can go on from here."""
        return self.checkpoint_file.exists()

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl; none if there is no such file.

        Raises:
            ValueError: One is no JSON.
            OSError: The file cannot be read.
        """
        return _lines(self._metrics)

    def probe(self) -> list[dict[str, Any]]:
        """Return the lines of probe.jsonl, likewise."""
        return _lines(self._probe)

    def sample(self) -> str | None:
        """Return what the run left to read, if anything."""
        try:
            return self._sample.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def failure(self) -> str | None:
        """Return why the run has no result, or None if it did not fail."""
        try:
            return str(json.loads(self._failed.read_text())["reason"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return f"{FAILED} is damaged"

    def failed_in(self) -> str | None:
        """Return the batch job in which the run failed, or None."""
        try:
            return json.loads(self._failed.read_text()).get("job") or None
        except (OSError, ValueError, AttributeError):
            return None

    def holder(self) -> dict[str, Any] | None:
        """Return who runs it at this moment (``host``, ``pid``, ``job``), or None."""
        return lock.holder(self._lock)


def run_folders(sweep: Path) -> list[RunFolder]:
    """Return every run folder below that of a sweep, in the order of their paths.

    They may lie deeper (``hydra.sweep.subdir=${optim.name}/${cell:}``): a folder in which no run
    was begun and that holds others stands for these.
    """
    found: list[RunFolder] = []
    for path in sorted(sweep.iterdir()) if sweep.is_dir() else []:
        if path.name.startswith(".") or not path.is_dir():
            continue
        run = RunFolder(path)
        inner = [] if run.is_begun() or run.is_finished() else run_folders(path)
        found += inner or [run]
    return found


def finished_sweeps(runs_dir: Path) -> set[Path]:
    """Return the folders of the sweeps of which a run has ended."""
    sweeps = runs_dir.iterdir() if runs_dir.is_dir() else ()
    return {path for path in sweeps if any(run.is_finished() for run in run_folders(path))}


def covers(row: Mapping[str, Any], probe: str) -> bool:
    """Whether the row of a run that has ended is all that is asked for.

    A probe changes no number of a run, hence not its identity; but a run that had none has left no
    table of one, and is run again for that.

    Args:
        row: The run's.
        probe: The probe that is asked for, ``none`` for none.
    """
    return probe in ("none", row.get("probe"))


def stored_row(
    path: Path | None,
    run_id: str | None,
    probe: str = "none",
    committed: Mapping[str, Mapping[str, Any]] | None = None,
) -> Mapping[str, Any] | None:
    """Return the row of a run that has ended: the committed one, else that of its folder.

    Args:
        path: The run folder; None if it is known not to be there.
        run_id: The run's identity; None for that of any run in the folder.
        probe: The probe that is asked for: a row that does not cover it counts as none.
        committed: Rows of the committed table by their identity.

    Raises:
        UserError: The folder has a result, and it is damaged.
    """
    row = committed.get(run_id) if committed and run_id else None
    if row is not None and covers(row, probe):
        return row
    if path is None:
        return None
    try:
        row = RunFolder(path).row()
    except ValueError as error:
        raise UserError(
            f"{path / RESULT} is damaged ({error}); remove it to run the cell again"
        ) from error
    if row is None or row["id"] != (run_id or row["id"]) or not covers(row, probe):
        return None
    return row


def is_done(
    path: Path | None,
    run_id: str | None,
    probe: str,
    committed: Mapping[str, Mapping[str, Any]] | None = None,
) -> bool:
    """Whether nothing is left to run; see :func:`stored_row` for the arguments.

    With a damaged result it is not: the run itself then says what is damaged.
    """
    try:
        return stored_row(path, run_id, probe, committed) is not None
    except UserError:
        return False


def write_failure(path: Path, why: str, error: BaseException | None = None) -> None:
    """Leave in a run folder why there is no result; on a full disk there may be no room for it."""
    values = {
        "reason": why,
        "host": socket.gethostname(),
        "job": lock.batch_job(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if error is not None and not isinstance(error, UserError):
        values["traceback"] = "".join(traceback.format_exception(error))
    with suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / FAILED, (json.dumps(values, indent=1) + "\n").encode())


class RunWriter(RunFolder):
    """Writes what a run leaves, inside :meth:`held` only, in one process at a time.

    Args:
        path: The folder; made if need be.
        config: The resolved configuration, as plain values.
        run_id: The run's identity.

    Raises:
        UserError: The folder cannot be written, or holds another run.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], run_id: str):
        from experiments.record.checkpoint import Checkpoints  # imports torch

        super().__init__(path)
        self.checkpoints = Checkpoints(self.checkpoint_file)
        self._holding = lock.Lock(self._lock)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._claim(config, run_id)
        except OSError as error:
            raise UserError(f"cannot write the run folder {path}: {error.strerror}") from error

    def _claim(self, config: Mapping[str, Any], run_id: str) -> None:
        """Write config.yaml, or see that it is that of this run."""
        from omegaconf import OmegaConf  # not needed to read

        header = f"# id: {run_id}\n"
        if not self.config_file.exists():
            text = header + OmegaConf.to_yaml(OmegaConf.create(dict(config)))
            write_atomically(self.config_file, text.encode())
        elif not self.config_file.read_text().startswith(header):
            raise UserError(
                f"{self.path} holds another run (see its {self.config_file.name}, or other data); "
                "choose another folder with hydra.run.dir=PATH"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the folder inside the block; leave there why it failed.

        Raises:
            Busy: Another process runs the cell.
        """
        with self._guard(self._lock):
            self._holding.__enter__()
        try:
            remove_leftovers(self.path)
            yield
        except Exception as error:
            if not isinstance(error, Interrupted):
                self.fail(error)
            raise
        finally:
            self._holding.__exit__()

    @contextmanager
    def _guard(self, path: Path) -> Iterator[None]:
        """Turn what the file system refuses into one clear line."""
        try:
            yield
        except OSError as error:
            raise failure.cannot_write(path, error) from error

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Guard a file that is written, and see that the folder is still this run's."""
        if not self._holding.holds():
            raise failure.removed(self.path)
        with self._guard(path):
            yield

    def append(self, metrics: Mapping[str, float]) -> None:
        """Add a line to metrics.jsonl, on disk when this returns."""
        self._append(self._metrics, [metrics])

    def append_probe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add lines to probe.jsonl, on disk when this returns."""
        self._append(self._probe, rows)

    def _append(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        with self._writing(path), path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())

    def sizes(self) -> dict[str, int]:
        """Return how many bytes metrics and probe have so far, for :meth:`rewind`."""
        return {
            f"{file.stem}_size": file.stat().st_size if file.exists() else 0
            for file in (self._metrics, self._probe)
        }

    def rewind(self, sizes: Mapping[str, Any]) -> bool:
        """Cut metrics and probe back to what they were when a checkpoint was written.

        Args:
            sizes: Has what :meth:`sizes` gave then; a size that is not there is 0.

        Returns:
            Whether the files hold that much; if not, they are left as they are.
        """
        there = self.sizes()
        if any(there[name] < sizes.get(name, 0) for name in there):
            return False
        for file in (self._metrics, self._probe):
            size = sizes.get(f"{file.stem}_size", 0)
            if there[f"{file.stem}_size"] > size:
                os.truncate(file, size)
        return True

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Save all that the run needs to go on from here."""
        with self._writing(self.checkpoint_file):
            self.checkpoints.save(state)

    def write_sample(self, text: str) -> None:
        """Leave something to read beside the numbers."""
        with self._writing(self._sample):
            write_atomically(self._sample, text.encode())

    def finish(self, row: Mapping[str, Any]) -> None:
        """Write result.json, after which the run has ended and needs no checkpoint any more."""
        with self._writing(self._result):
            write_atomically(self._result, (json.dumps(row, indent=1) + "\n").encode())
        with suppress(OSError):
            self._failed.unlink(missing_ok=True)
            self.checkpoints.remove()

    def fail(self, error: Exception) -> None:
        """Leave the reason for which there is no result."""
        if self._holding.holds():
            write_failure(self.path, failure.reason(error), error)


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text().splitlines()]
    except FileNotFoundError:
        return []
