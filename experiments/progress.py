"""How progress is shown: live on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, MutableSequence, Sequence
from typing import Protocol

from tqdm import tqdm

log = logging.getLogger(__name__)

FIRST, EVERY = 10.0, 60.0  # seconds to the first line of a sweep in a log, and between two others
WINDOW = 120.0  # seconds over which the pace of a sweep is taken
NAMED = 4  # cells that are named as running


def progress_bar(total: int, unit: str, *, disable: bool = False) -> "tqdm | LoggedBar":
    """Return a bar on stderr; where that is no terminal, what logs a line now and then."""
    if not sys.stderr.isatty():
        return LoggedBar(total, unit, disable=disable)
    return tqdm(
        total=total, unit=unit, disable=disable, leave=False, miniters=1, smoothing=0.05,
        dynamic_ncols=True,
    )  # fmt: skip


class Bar(Protocol):
    """What a run tells its progress to; tqdm's bars are such."""

    n: float

    def update(self, n: float) -> object:
        """Count further steps."""

    def set_postfix_str(self, s: str, refresh: bool) -> None:
        """Say something behind the bar."""


class LoggedBar:
    """The bar of a run in a log: a line after ten seconds and then every minute.

    Args:
        total: Steps of the whole run.
        unit: What a step is called.
        disable: Whether to say nothing.
        clock: Tells seconds.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        *,
        disable: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.n = 0.0
        self._total, self._unit, self._disable, self._clock = total, unit, disable, clock
        self._due = clock() + FIRST
        self._began: tuple[float, float] | None = None
        self._words = ""

    def __enter__(self) -> "LoggedBar":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, n: float) -> None:
        now = self._clock()
        self.n += n
        if self._began is None:
            self._began = now, self.n  # which is far on in a run that is resumed
        if self._disable or now < self._due:
            return
        self._due = now + EVERY
        since, begun = self._began
        left = duration((self._total - self.n) * (now - since) / max(self.n - begun, 1))
        log.info("%g of %g %ss, %s left%s", self.n, self._total, self._unit, left, self._words)

    def set_postfix_str(self, s: str, refresh: bool) -> None:
        self._words = f"; {s}" if s else ""


class SharedBar:
    """The bar of a run in a sweep: it writes the steps done to memory that another process reads.

    Args:
        steps: Memory that processes share: the steps done, of every cell of the sweep.
        index: Of this cell in it.
    """

    def __init__(self, steps: MutableSequence[int], index: int):
        self.n = 0.0
        self._steps, self._index = steps, index

    def update(self, n: float) -> None:
        self.n += n
        self._steps[self._index] = int(self.n)

    def set_postfix_str(self, s: str, refresh: bool) -> None:
        """Leave it out."""


class SweepProgress:
    """Shows how far the cells of a sweep are, while they run in other processes.

    On a terminal that is a bar; in a log it is a line after ten seconds and then every minute.

    Args:
        names: Of the cells.
        totals: Steps that each cell takes.
        steps: Memory that processes share: the steps done, of every cell.
        clock: Tells seconds.
        show: Takes the line for the log; None draws the bar.
    """

    def __init__(
        self,
        names: Sequence[str],
        totals: Sequence[int],
        steps: Sequence[int],
        clock: Callable[[], float] = time.monotonic,
        show: Callable[[str], None] | None = None,
    ):
        self.steps = steps
        self._names, self._totals, self._clock = names, totals, clock
        self._ended = [False] * len(names)
        self._seen: deque[tuple[float, int]] = deque()
        self._due = clock() + FIRST
        live = sys.stderr.isatty()
        self._show = show or (None if live else log.info)
        self._bar = tqdm(
            total=sum(totals), disable=self._show is not None, leave=False, dynamic_ncols=True,
            bar_format="|{bar:20}| {desc}",
        )  # fmt: skip

    def end(self, index: int) -> None:
        """Count a cell as done, however it ended."""
        self._ended[index] = True

    def look(self, running: Collection[int]) -> None:
        """Show how far the cells are, if it is time to; the pool calls this every now and then.

        Args:
            running: The cells that run.
        """
        now, done = self._clock(), self._done()
        self._seen.append((now, done))
        while len(self._seen) > 1 and (
            self._seen[0][1] == self._seen[1][1]  # nothing has been done yet
            or now - self._seen[1][0] > WINDOW
        ):
            self._seen.popleft()
        if self._show is None:
            self._bar.n = done
            self._bar.set_description_str(self._line(done, running))
        elif now >= self._due:
            self._due = now + EVERY
            self._show(self._line(done, running))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _done(self) -> int:
        cells = zip(self._ended, self._totals, self.steps, strict=True)
        return sum(total if ended else min(steps, total) for ended, total, steps in cells)

    def _line(self, done: int, running: Collection[int]) -> str:
        total = sum(self._totals)
        shown = sorted(running)[:NAMED]
        words = [f"{self._names[i]} ({self._share(i)} %)" for i in shown]
        more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
        return (
            f"{sum(self._ended)} of {len(self._names)} cells, {100 * done // total} % of "
            f"{total:,} steps{self._left(total - done)}; running: {', '.join(words)}{more}"
        )

    def _share(self, index: int) -> int:
        return 100 * min(self.steps[index], self._totals[index]) // self._totals[index]

    def _left(self, steps: int) -> str:
        """Say how long the steps that are left will take at the pace of the last minutes."""
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        if done <= before:
            return ""
        seconds = steps * (now - began) / (done - before)
        return f", {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Write a time as a person would say it, in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
