"""Stands in for cells, in processes that can import little: nothing of tiny_runs."""

import time

from experiments.sweep.pool import Outcome


def nap(bundle):
    ((index, config, _),) = bundle
    time.sleep(0.3 * (config.seed % 3))
    return [Outcome(index)]
