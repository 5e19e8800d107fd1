"""Many cells in one process: they take their steps together, each with all that is its own.

A cell keeps its folder, lock, metrics, checkpoint, tracker and result, since the code that runs it
is that of a lone run; only its steps are taken here. Cells of one seed read the same batches. On a
GPU the steps of all are one CUDA graph with a branch for each.
"""

import gc
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import Any

import torch

from experiments.interrupt import Interrupted
from experiments.record.failure import out_of_memory
from experiments.run.capture import Captured, side_by_side
from experiments.run.compiled import Code, Compiled
from experiments.run.trainer import Trainer
from experiments.seeding import Draws
from experiments.tasks import Examples

log = logging.getLogger(__name__)

#: A cell as :func:`experiments.run.cell.course` runs it.
Course = Generator[Trainer, None, Mapping[str, Any]]
#: The row of a cell that has ended, or why it failed.
End = Mapping[str, Any] | BaseException


def run_bundle(cells: Mapping[int, Callable[[], Course]]) -> Iterator[tuple[int, End]]:
    """Run cells of one kind to their ends, together; yield what became of each as it ends.

    A cell that diverges or fails stops no other. Where there is not enough memory for all, the
    cells that are left go on from their checkpoints in two halves, one after the other. The caller
    listens to signals.

    Args:
        cells: What starts each cell, by a number of the caller's.

    Raises:
        Interrupted: The process was asked to stop, and all cells are saved.
    """
    left = dict(cells)
    try:
        for number, end in _together(cells):
            del left[number]
            yield number, end
        return
    except Exception as error:
        if not out_of_memory(error):
            raise
    gc.collect()
    torch.cuda.empty_cache()  # which does nothing where there is no GPU
    log.warning("memory ran out with %d cells at once; they go on in two halves", len(left))
    numbers = list(left)
    middle = (len(numbers) + 1) // 2
    for half in (numbers[:middle], numbers[middle:]):
        yield from run_bundle({number: cells[number] for number in half})


def _together(cells: Mapping[int, Callable[[], Course]]) -> Iterator[tuple[int, End]]:
    """Run cells to their ends; raise what says that memory ran out, if there are several left."""
    courses: dict[int, Course] = {}
    due: dict[int, Trainer] = {}  # whose next step is due
    stops: list[Interrupted] = []
    steps = Steps()

    def go_on(number: int, error: Exception | None = None) -> Iterator[tuple[int, End]]:
        """Let a cell go on to its next step, or to its end, which is yielded."""
        due.pop(number, None)
        try:
            if number not in courses:
                courses[number] = cells[number]()
            course = courses[number]
            due[number] = next(course) if error is None else course.throw(error)
        except StopIteration as end:
            yield number, end.value
        except Interrupted as stop:
            stops.append(stop)
        except (Exception, SystemExit) as why:
            if out_of_memory(why) and due:
                raise
            yield number, why

    try:
        for number in cells:
            yield from go_on(number)
        while due:
            behind = min(trainer.step for trainer in due.values())
            group = {n: trainer for n, trainer in due.items() if trainer.step == behind}
            failed = steps.take(group)
            for number in group:
                yield from go_on(number, failed.get(number))
            if stops:
                raise stops[0]
    finally:
        for course in courses.values():
            course.close()


class Steps:
    """Takes the steps of several trainers that are equally far."""

    def __init__(self) -> None:
        self._recorded: tuple[int, ...] = ()  # whose steps the recordings are
        self._captured: Captured | None = None

    def take(self, group: Mapping[int, Trainer]) -> dict[int, Exception]:
        """Take a step of each; return why it failed for those for which it did.

        Raises:
            Exception: There is not enough memory for so many.
        """
        failed: dict[int, Exception] = {}
        first: dict[int, Trainer] = {}  # of each seed
        code: Code | None = None  # of all, as cells of a kind have networks that are built alike
        for trainer in group.values():
            trainer.batches = first.setdefault(trainer.seed, trainer).batches
            if isinstance(trainer.forward, Compiled):
                trainer.forward.code = code = code or trainer.forward.code
            trainer.prepare()
        read: dict[int, tuple[Examples, Draws]] = {}
        for number, trainer in group.items():
            if trainer.captured is not None:
                continue
            try:
                if trainer.seed not in read:
                    read[trainer.seed] = trainer.read()
                trainer.update(*read[trainer.seed])
                trainer.step += 1
            except Exception as error:
                if out_of_memory(error) and len(group) > 1:
                    raise
                failed[number] = error
        recorded = {n: trainer for n, trainer in group.items() if trainer.captured is not None}
        if recorded:
            failed |= self._replay(recorded)
        return failed

    def _replay(self, group: Mapping[int, Trainer]) -> dict[int, Exception]:
        """Take a step of each as one recording."""
        trainers = list(group.values())
        if self._recorded != tuple(group):
            self._recorded, self._captured = tuple(group), trainers[0].captured
            assert self._captured is not None
            self._captured.forget()  # which may have been another bundle's
        assert self._captured is not None
        kinds = tuple(trainer.kind() for trainer in trainers)
        generators = [generator for trainer in trainers for generator in trainer.generators()]
        try:
            self._captured(kinds, partial(_branches, trainers), generators)
        except Exception as error:
            if out_of_memory(error) and len(group) > 1:
                raise
            return dict.fromkeys(group, error)
        for trainer in trainers:
            trainer.step += 1
        return {}


def _branches(trainers: list[Trainer]) -> None:
    """Take a step of each trainer: read each batch once, then update all at a time."""
    read: dict[int, tuple[Examples, Draws]] = {}
    for trainer in trainers:
        if trainer.seed not in read:
            read[trainer.seed] = trainer.read()
    updates = [partial(trainer.update, *read[trainer.seed]) for trainer in trainers]
    side_by_side(updates, trainers[0].task.test.labels.device)
