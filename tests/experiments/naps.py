"""Stands in for cells, in processes that can import little: nothing of conftest."""

import time

from experiments.pool import Outcome


def nap(index, config, folder):
    time.sleep(config["seconds"])
    return Outcome(index)
