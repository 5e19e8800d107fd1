"""Stands in for cells, in processes that can import little: nothing of tiny_runs."""

import os
import time

from experiments.sweep.pool import KEEP_MEMORY, Outcome


def nap(bundle):
    ((index, config, _),) = bundle
    time.sleep(0.3 * (config.seed % 3))
    return [Outcome(index)]


def environment(bundle):
    ((index, _, _),) = bundle
    return [Outcome(index, failure=" ".join(os.environ.get(name, "") for name in KEEP_MEMORY))]
