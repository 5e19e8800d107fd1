"""The keys of the launchers."""

import pytest
from hydra.utils import instantiate

from experiments.errors import UserError
from experiments.sweep import grid


def launcher(*words):
    config = grid.default("hydra/launcher=slurm", *words)
    return instantiate(config.hydra.launcher)


@pytest.mark.parametrize("name", ["slurm", "slurm_debug", "local"])
def test_every_launcher_entry_builds(name):
    instantiate(grid.default(f"hydra/launcher={name}").hydra.launcher)


@pytest.mark.parametrize(
    "word", ["minutes=0", "cpus=0", "cells_per_job=0", "jobs_per_gpu=0",
             "cells_per_gpu=0", "cells_per_gpu=some", "memory_gb=0", "gpus=-1",
             "array_parallelism=0", "warning_seconds=0", "warning_seconds=14370", "max_timeouts=-1"]
)  # fmt: skip
def test_a_key_out_of_range_is_named(word):
    with pytest.raises(Exception, match=word.split("=")[0]) as refused:
        launcher(f"hydra.launcher.{word}")
    assert isinstance(refused.value.__cause__ or refused.value, UserError)


@pytest.mark.parametrize("word", ["jobs=0", "jobs_per_gpu=0", "cells_per_gpu=0"])
def test_a_count_of_the_local_launcher_below_one_is_named(word):
    key = word.split("=")[0]
    with pytest.raises(Exception, match=f"hydra.launcher.{key} must be at least 1, got 0"):
        instantiate(grid.default("hydra/launcher=local", f"hydra.launcher.{word}").hydra.launcher)
