"""What one job of an array does: its cells side by side on its node, and again after a requeue."""

import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit.helpers import DelayedSubmission

from experiments import interrupt
from experiments.interrupt import Interrupted
from experiments.record import provenance
from experiments.record.folder import is_done
from experiments.sweep import pool
from experiments.sweep.packing import in_a_process
from experiments.sweep.slots import on_gpus, slots
from experiments.sweep.slurm import squeue, submission

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """A job's part of a submission; submitit calls it on the node.

    Attributes:
        folder: The submission's.
        index: Of this job in the array.
        cells: Index of the first cell in the submission, and one past the last.
        jobs: Processes side by side.
        jobs_per_gpu: Processes that share a GPU.
        grace: Seconds that cells have to save when the job is asked to stop.
        requeue: Queue again when Slurm asks to stop for a time limit or a preemption.
        cells_per_gpu: Cells that train on a GPU at a time, or ``auto``; jobs that were queued
            before there was a choice have none.
    """

    folder: Path
    index: int
    cells: tuple[int, int]
    jobs: int
    jobs_per_gpu: int
    grace: float
    requeue: bool
    cells_per_gpu: int | str = "auto"

    def __call__(self) -> None:
        """Run the cells that have no result yet."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s")
        again: Any = signal.getsignal(signal.SIGUSR2)  # submitit's: queue the job again and exit
        try:
            with interrupt.listening():
                self._run()
        except Interrupted as stop:
            log.warning("%s; the cells are saved", stop)
            if self.requeue and _comes_again(stop.signal):
                again(stop.signal, None)
            raise SystemExit(stop.code) from None

    def _run(self) -> None:
        self._compare_code()
        run_ids = submission.plan(self.folder.parents[1])
        cells = [
            cell
            for cell in submission.cells_of(self.folder, self.cells)
            if cell.name not in run_ids
            or not is_done(cell.folder, run_ids[cell.name], cell.config.probe.name)
        ]
        if not cells:
            return
        log.info("%d of %d cells to run", len(cells), self.cells[1] - self.cells[0])
        devices = slots(cells[0].config.device, self.jobs, self.jobs_per_gpu)
        at_once = in_a_process(self.cells_per_gpu, self.jobs_per_gpu, gpu=on_gpus(devices))
        progress = pool.progress_of(cells)
        for outcome in pool.run_cells(cells, devices, self.grace, progress, at_once):
            said = outcome.failure or "ended"
            log.log(logging.ERROR if outcome.failure else logging.INFO, "%s: %s",
                    cells[outcome.index].folder, said)  # fmt: skip

    def _compare_code(self) -> None:
        """Say so if the code is not what it was at submission."""
        submitted = submission.load(self.folder)
        if provenance.sources() == submitted.sources:
            return
        said = f"job {self.index} runs on other code (commit {provenance.commit()}) than was"
        said += f" submitted (commit {submitted.commit})"
        log.warning(said)
        with (self.folder / submission.OTHER_CODE).open("a") as file:
            file.write(f"{said}\n")
            file.flush()
            os.fsync(file.fileno())

    def checkpoint(self) -> DelayedSubmission:
        """Return what submitit is to run after a requeue: the same again."""
        return DelayedSubmission(self)


def _comes_again(number: signal.Signals) -> bool:
    """Whether a signal is Slurm's warning, and not the end that a person wanted.

    The warning is SIGUSR2; where Slurm's ``preempt_send_user_signal`` is off, as by default, a
    preemption is SIGTERM, like ``scancel``.
    """
    if number == signal.SIGTERM:
        return squeue.preempted(os.environ.get("SLURM_JOB_ID", ""))
    return number == signal.SIGUSR2
