"""Cells side by side: processes that each live through many, and stop well when asked to."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from experiments import failure, interrupt
from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.lock import Busy

log = logging.getLogger(__name__)

Cell = tuple[dict[str, Any], Path]  # a resolved configuration and its run folder
POLL = 0.3  # seconds between two looks at whether to stop
STILLBORN = 3  # processes in a row that end before their first cell, after which we give up


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        index: Its place among the cells.
        test_error: Of a finished run, percent; None if it diverged or there is none.
        failure: Why there is no result, or None.
        busy: Another process runs the cell, which is no failure.
    """

    index: int
    test_error: float | None = None
    failure: str | None = None
    busy: bool = False


class _Worker:
    """A process that runs one cell after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=False)
        with interrupt.blocked():  # until it can take them
            self.process.start()
        theirs.close()
        self.ready = False
        self.index: int | None = None

    def give(self, index: int, cell: Cell) -> None:
        self.index = index
        self.pipe.send((index, cell))

    def receive(self) -> Outcome | None:
        """Return the outcome of the cell; None if the process is just ready.

        Raises:
            EOFError: It has ended.
        """
        outcome = self.pipe.recv()
        self.ready, self.index = True, None
        return outcome


def run_cells(cells: Sequence[Cell], workers: int, grace: float) -> Iterator[Outcome]:
    """Run every cell to its end, and yield what became of each as it ends.

    A cell that raises or is killed stops no other; the reason is left in its folder.

    Args:
        cells: What to run.
        workers: Processes.
        grace: Seconds that a cell has to save when this process is asked to stop.

    Raises:
        Interrupted: This process was asked to stop, and the cells have.
    """
    waiting = deque(enumerate(cells))
    pool: list[_Worker] = []
    stillborn = 0
    with interrupt.listening(), _one_thread_each():
        try:
            while waiting or any(worker.index is not None for worker in pool):
                interrupt.raise_if_received()
                busy = sum(worker.index is not None for worker in pool)
                while len(pool) < min(workers, busy + len(waiting)):
                    pool.append(_Worker())
                for worker in _ready(pool):
                    try:
                        outcome = worker.receive()
                    except (EOFError, OSError):
                        pool.remove(worker)
                        stillborn = 0 if worker.ready else stillborn + 1
                        outcome = _ended(worker, cells)
                    if outcome is not None:
                        yield outcome
                if stillborn >= STILLBORN:
                    raise UserError("the processes that should run the cells do not start")
                for worker in pool:
                    if worker.ready and worker.index is None and waiting:
                        with suppress(OSError):  # it has just ended; seen at the next look
                            worker.give(*waiting.popleft())
        except Interrupted:
            _stop(pool, grace)
            raise
        finally:
            for worker in pool:
                worker.pipe.close()  # an idle one ends by itself
            for worker in pool:
                worker.process.join(grace if worker.index is None else 0)
                worker.process.kill()


def _ready(pool: list[_Worker]) -> list[_Worker]:
    """Wait a moment for workers that have something to say, their end included."""
    speaking = connection.wait([worker.pipe for worker in pool], POLL)
    return [worker for worker in pool if worker.pipe in speaking]


def _ended(worker: _Worker, cells: Sequence[Cell]) -> Outcome | None:
    """Say what became of the cell of a process that has ended."""
    worker.process.join()
    worker.pipe.close()
    if worker.index is None:
        return None
    code = worker.process.exitcode or 0
    why = f"its process ended with exit code {code}"
    if -code in set(signal.Signals):
        why = f"its process was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            why += " (by a person, or by the system when memory ran out)"
    elif code - 128 in set(signal.Signals):
        return Outcome(worker.index, failure=f"interrupted by {signal.Signals(code - 128).name}")
    failure.write(cells[worker.index][1], why)
    return Outcome(worker.index, failure=why)


def _stop(pool: list[_Worker], grace: float) -> None:
    """Let every process finish its step and save; kill those that do not within the grace."""
    for worker in pool:
        with suppress(OSError):
            worker.process.terminate()
    end = time.monotonic() + grace
    for worker in pool:
        worker.process.join(max(0.0, end - time.monotonic()))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the processes that start inside the block use one thread each (read by OpenMP, MKL)."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _work(pipe: connection.Connection) -> None:
    """Run the cells that come through the pipe: the life of a worker."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("experiments.lint").setLevel(logging.ERROR)  # said when cells were checked
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    with interrupt.listening():
        interrupt.unblock()
        threading.Thread(target=_follow_parent, name="parent", daemon=True).start()
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            pipe.send(None)
            while interrupt.received() is None:
                index, (config, folder) = pipe.recv()
                pipe.send(_run(index, config, folder))
        if interrupt.received() is not None:
            raise SystemExit(128 + interrupt.received())


def _run(index: int, config: dict[str, Any], folder: Path) -> Outcome:
    from experiments.run import run_cell

    config = config | {"threads": config["threads"] or 1, "progress": False}
    try:
        return Outcome(index, test_error=run_cell(config, folder)["test_error"])
    except Interrupted as stop:
        raise SystemExit(stop.code) from None
    except Busy as error:
        return Outcome(index, failure=str(error), busy=True)
    except Exception as error:
        why = failure.reason(error)
        failure.write(folder, why, error)
        return Outcome(index, failure=why)


def _follow_parent() -> None:
    """Stop in good order when the parent dies, lest cells go on that nobody waits for."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
