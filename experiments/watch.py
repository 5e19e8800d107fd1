"""Draw a report again and again while its sweep goes on."""

import sys
import time
from collections import Counter
from collections.abc import Callable

from experiments.record.schema import DIVERGED, FINISHED
from experiments.sweep.slurm.status import MISSING, QUEUED, RUNNING

#: Seconds between two looks.
PAUSE = 10.0
#: After so many looks at which no cell runs or waits, a sweep that is not done has been stopped.
PATIENCE = 6


def watch(draw: Callable[[bool], str], look: Callable[[], Counter[str]]) -> str:
    """Draw whenever cells have ended, until the sweep has; return what the last report says.

    Args:
        draw: Makes the report, given whether the sweep goes on.
        look: Returns how many cells are in each state, see ``sweep/slurm/status.py``.

    Raises:
        UserError: Nothing of the sweep was started, or the report cannot be drawn.
    """
    drawn, still = 0, 0
    while True:
        states = look()
        done = states[FINISHED] + states[DIVERGED]
        still = 0 if states[RUNNING] + states[QUEUED] else still + 1
        if not states[RUNNING] + states[QUEUED] + states[MISSING] or still > PATIENCE:
            return draw(False)
        if done > drawn:
            draw(True)
            drawn = done
            sys.stderr.write(
                f"{time.strftime('%H:%M:%S')} {done} of {states.total()} cells drawn\n"
            )
        time.sleep(PAUSE)
