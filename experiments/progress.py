"""How progress is shown: live on a terminal, a line now and then in a log."""

import sys

from tqdm import tqdm


def progress_bar(total: int, unit: str, *, disable: bool = False) -> tqdm:
    """Return a bar on stderr; where that is no terminal it is drawn every ten seconds only."""
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total, unit=unit, disable=disable, leave=False, mininterval=interval, miniters=1,
        smoothing=0.05, dynamic_ncols=True,
    )  # fmt: skip
