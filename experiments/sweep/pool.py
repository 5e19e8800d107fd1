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
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool
from pebble.common import process_exit

from experiments import interrupt
from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.progress import SharedBar, SweepProgress
from experiments.record import failure
from experiments.record.folder import RunFolder, write_failure
from experiments.record.lock import Busy
from experiments.run.schema import RunConfig
from experiments.sweep.cell import Cell, short_names
from experiments.sweep.objective import objective
from experiments.sweep.packing import bundles
from experiments.tracking.mirror import WandbTracker, drop_what_names_one_run

POLL = 0.3  # seconds between two looks at whether to stop
#: glibc hands memory back to the system at every step on images only to take it again. These
#: variables, which it reads as a process starts, let the processes of a sweep keep it.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 32), "MALLOC_MMAP_MAX_": "0"}


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
    at_once: Callable[[RunConfig], int] = lambda config: 1,
) -> Iterator[Outcome]:
    """Run every cell to its end, and yield what became of each as it ends.

    A cell that raises or is killed stops no other; the reason is left in its folder. Cells that
    train together in a process die together, and each goes on from its own checkpoint.

    Args:
        cells: What to run.
        slots: The device of each process; there may be none that this process has started by
            multiprocessing beside them. No device has more bundles at a time than it has slots.
        grace: Seconds that a cell has to save when this process is asked to stop.
        progress: Shows how far the cells are.
        at_once: How many cells like one train together in a process.

    Raises:
        Interrupted: This process was asked to stop, and the cells have.
        UserError: No process starts.
    """
    drop_what_names_one_run()
    for name, value in KEEP_MEMORY.items():
        os.environ.setdefault(name, value)
    resource_tracker.ensure_running()  # before Python 3.12 this lets signals in again
    left = dict(enumerate(cells))
    with interrupt.listening():
        while left:
            before = len(left)
            with suppress(BrokenProcessPool):
                for outcome in _in_one_pool(left, slots, grace, progress, at_once):
                    del left[outcome.index]
                    if progress is not None:
                        progress.end(outcome.index)
                    yield outcome
            if len(left) == before:
                raise UserError("the processes that should run the cells do not start")


def _in_one_pool(
    cells: Mapping[int, Cell],
    slots: Sequence[str],
    grace: float,
    progress: SweepProgress | None,
    at_once: Callable[[RunConfig], int],
) -> Iterator[Outcome]:
    """Run cells until all have ended or the pool breaks.

    Raises:
        BrokenProcessPool: A process cannot be started, or one died between two cells.
    """
    waiting, free = deque(bundles(cells, len(slots), at_once)), deque(slots)
    running: dict[Future, tuple[list[int], str]] = {}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPool(
        min(len(slots), len(waiting)), context=context, initializer=_begin,
        initargs=(progress and progress.steps,),
    )  # fmt: skip
    try:
        while waiting or running:
            while waiting and free:
                bundle, device = waiting.popleft(), free.popleft()
                work = [
                    (index, replace(cells[index].config, device=device), cells[index].folder)
                    for index in bundle
                ]
                with interrupt.blocked():  # a process that starts here unblocks them in _begin
                    running[pool.schedule(_run, (work,))] = bundle, device
            done, _ = wait(running, POLL, FIRST_COMPLETED)
            interrupt.raise_if_received()
            if progress is not None:
                progress.look([index for bundle, _ in running.values() for index in bundle])
            for future in done:
                bundle, device = running.pop(future)
                free.append(device)
                yield from _outcomes(future, {index: cells[index].folder for index in bundle})
            if not pool.active:
                raise BrokenProcessPool
    finally:
        _stop(pool, grace)


def _outcomes(future: Future, folders: Mapping[int, Path]) -> Iterable[Outcome]:
    """Return what became of the cells of a process, also where it died."""
    try:
        return future.result()
    except ProcessExpired as end:
        code = end.exitcode
    return [_of_the_dead(code, index, folder) for index, folder in folders.items()]


def _of_the_dead(code: int, index: int, folder: Path) -> Outcome:
    """Return what became of a cell whose process died: it may have ended before."""
    with suppress(ValueError):
        if row := RunFolder(folder).row():
            return Outcome(index, error=objective(row))
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


def _run(work: Sequence[tuple[int, RunConfig, Path]]) -> list[Outcome]:
    """Run the cells of a bundle to their ends."""
    outcomes: dict[int, Outcome] = {}
    folders = {index: folder for index, _, folder in work}
    try:
        with interrupt.listening():
            for index, end in _ends(work):
                outcomes[index] = _outcome(index, end, folders[index])
    except Interrupted as stop:
        process_exit(stop.code)  # pebble would take a SystemExit for a result of the cell
        raise  # never reached: the process has ended
    except Exception as error:
        for index in folders.keys() - outcomes.keys():
            outcomes[index] = _outcome(index, error, folders[index])
    return list(outcomes.values())


def _ends(work: Sequence[tuple[int, RunConfig, Path]]) -> Iterator[tuple[int, Any]]:
    """Yield the row of each cell as it ends, or why there is none."""
    # takes seconds, in which there is nothing to save
    from experiments.run.bundle import run_bundle
    from experiments.run.cell import course

    cells = {}
    for index, config, folder in work:
        config = replace(config, threads=config.threads or 1, progress=False)
        bar = None if _steps is None else SharedBar(_steps, index)
        cells[index] = partial(course, config, folder, warn=False, bar=bar)
    return run_bundle(cells)


def _outcome(index: int, end: Mapping[str, Any] | BaseException, folder: Path) -> Outcome:
    """Return what became of a cell; why it failed is left in its folder."""
    if isinstance(end, Mapping):
        return Outcome(index, error=objective(end))
    if isinstance(end, Busy):
        return Outcome(index, failure=str(end), busy=True)
    why = failure.reason(end)
    write_failure(folder, why, end)
    return Outcome(index, failure=why)


def _follow_parent() -> None:
    """Stop, with the cell saved, when the parent dies: nobody waits for the cell any more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
