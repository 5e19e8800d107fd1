"""Runs cells side by side, in processes that each run many, one after the other.

When a process dies, pebble reports it and starts another. When the sweep is asked to stop, the
cells that run save themselves first.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection, resource_tracker
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from pebble.common import process_exit

from experiments import interrupt
from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.progress import SharedBar, SweepProgress
from experiments.record import failure
from experiments.record.folder import write_failure
from experiments.record.lock import Busy
from experiments.run.schema import RunConfig
from experiments.sweep.cell import Cell, short_names
from experiments.sweep.objective import objective
from experiments.tracking.mirror import WandbTracker, drop_what_names_one_run

POLL = 0.3  # seconds between two looks at whether to stop


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        index: Of the cell in the sequence that was given.
        error: What a search minimizes, see ``objective``; None if there is no result.
        failure: Why there is no result, or None.
        busy: Another process runs the cell, which is no failure.
    """

    index: int
    error: float | None = None
    failure: str | None = None
    busy: bool = False


def progress_of(cells: Sequence[Cell]) -> SweepProgress:
    """Return what shows how far cells are while :func:`run_cells` runs them."""
    from experiments.run.build import planned_steps

    totals = [planned_steps(cell.config) for cell in cells]
    return SweepProgress(short_names(cells), totals, multiprocessing.RawArray("q", len(cells)))


def run_cells(
    cells: Sequence[Cell],
    slots: Sequence[str],
    grace: float,
    progress: SweepProgress | None = None,
) -> Iterator[Outcome]:
    """Run every cell to its end, and yield what became of each as it ends.

    A cell that raises or is killed stops no other; the reason is left in its folder.

    Args:
        cells: What to run.
        slots: The device of each process; there may be none that this process has started by
            multiprocessing beside them. No device has more cells at a time than it has slots.
        grace: Seconds that a cell has to save when this process is asked to stop.
        progress: Shows how far the cells are.

    Raises:
        Interrupted: This process was asked to stop, and the cells have.
        UserError: No process starts.
    """
    drop_what_names_one_run()
    resource_tracker.ensure_running()  # before Python 3.12 this lets signals in again
    left = dict(enumerate(cells))
    with interrupt.listening():
        while left:
            before = len(left)
            with suppress(BrokenProcessPool):
                for outcome in _in_one_pool(left, slots, grace, progress):
                    del left[outcome.index]
                    if progress is not None:
                        progress.end(outcome.index)
                    yield outcome
            if len(left) == before:
                raise UserError("the processes that should run the cells do not start")


def _in_one_pool(
    cells: Mapping[int, Cell], slots: Sequence[str], grace: float, progress: SweepProgress | None
) -> Iterator[Outcome]:
    """Run cells until all have ended or the pool breaks.

    Raises:
        BrokenProcessPool: A process cannot be started, or one died between two cells.
    """
    waiting, free = deque(cells.items()), deque(slots)
    running: dict[Future, tuple[int, str]] = {}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPool(
        min(len(slots), len(cells)), context=context, initializer=_begin,
        initargs=(progress and progress.steps,),
    )  # fmt: skip
    try:
        while waiting or running:
            while waiting and free:
                (index, cell), device = waiting.popleft(), free.popleft()
                work = (index, replace(cell.config, device=device), cell.folder)
                with interrupt.blocked():  # a process that starts here unblocks them in _begin
                    running[pool.schedule(_run, work)] = index, device
            done, _ = wait(running, POLL, FIRST_COMPLETED)
            interrupt.raise_if_received()
            if progress is not None:
                progress.look([index for index, _ in running.values()])
            for future in done:
                index, device = running.pop(future)
                free.append(device)
                yield _outcome(future, index, cells[index].folder)
            if not pool.active:
                raise BrokenProcessPool
    finally:
        _stop(pool, grace)


def _outcome(future: Future, index: int, folder: Path) -> Outcome:
    """Return what became of a cell, also where its process died."""
    try:
        return future.result()
    except ProcessExpired as end:
        code = end.exitcode
    why = f"its process ended with exit code {code}"
    if -code in set(signal.Signals):
        why = f"its process was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            why += " (by a person, or by the system when memory ran out)"
    elif code - 128 in set(signal.Signals):
        return Outcome(index, failure=f"interrupted by {signal.Signals(code - 128).name}")
    write_failure(folder, why)
    return Outcome(index, failure=why)


def _stop(pool: ProcessPool, grace: float) -> None:
    """Let every process finish its step and save; kill those that do not within the grace."""
    pool.stop()  # a process that ends is not replaced any more
    processes = multiprocessing.active_children()
    end = time.monotonic() + grace
    try:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
    finally:  # at once on a second Ctrl-C
        for process in processes:
            process.kill()
        pool.join()


#: Of a process that runs cells: where it leaves the steps done, of every cell of the sweep.
_steps: MutableSequence[int] | None = None


def _begin(steps: MutableSequence[int] | None) -> None:
    """Prepare a process for cells. It ignores Ctrl-C: the parent decides when cells stop."""
    global _steps
    _steps = steps
    WandbTracker.keep_service = True
    os.environ["OMP_NUM_THREADS"] = "1"  # read by OpenMP and MKL when torch brings them in
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda number, frame: process_exit(128 + number))
    threading.Thread(target=_follow_parent, name="parent", daemon=True).start()
    interrupt.unblock()


def _run(index: int, config: RunConfig, folder: Path) -> Outcome:
    config = replace(config, threads=config.threads or 1, progress=False)
    try:
        # takes seconds, in which there is nothing to save
        from experiments.run.cell import run_cell

        bar = None if _steps is None else SharedBar(_steps, index)
        with interrupt.listening():
            row = run_cell(config, folder, warn=False, bar=bar)
            return Outcome(index, error=objective(row))
    except Interrupted as stop:
        process_exit(stop.code)  # pebble would take a SystemExit for a result of the cell
        raise  # never reached: the process has ended
    except Busy as error:
        return Outcome(index, failure=str(error), busy=True)
    except (Exception, SystemExit) as error:
        why = failure.reason(error)
        write_failure(folder, why, error)
        return Outcome(index, failure=why)


def _follow_parent() -> None:
    """Stop, with the cell saved, when the parent dies: nobody waits for the cell any more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
