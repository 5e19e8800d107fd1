"""The keys of the Slurm launcher, and what composing thousands of cells costs."""

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.utils import instantiate

from experiments.errors import UserError
from experiments.run.schema import register
from experiments.sweep import compose, grid


def launcher(*words):
    config = grid.default("hydra/launcher=slurm", *words)
    return instantiate(config.hydra.launcher)


@pytest.mark.parametrize("name", ["slurm", "slurm_debug", "local"])
def test_every_launcher_entry_builds(name):
    instantiate(grid.default(f"hydra/launcher={name}").hydra.launcher)


@pytest.mark.parametrize(
    "word", ["minutes=0", "cpus=0", "cells_per_job=0", "jobs_per_gpu=0", "memory_gb=0", "gpus=-1",
             "array_parallelism=0", "warning_seconds=0", "warning_seconds=14370", "max_timeouts=-1"]
)  # fmt: skip
def test_a_key_out_of_range_is_named(word):
    with pytest.raises(Exception, match=word.split("=")[0]) as refused:
        launcher(f"hydra.launcher.{word}")
    assert isinstance(refused.value.__cause__ or refused.value, UserError)


def test_what_distinguishes_cells_by_plain_values_is_composed_once(monkeypatch):
    register()
    compose.register_resolvers()
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(grid.CONFIGS)))
    loaded, resolved = [], []
    base, plain = compose._base, compose.plain
    monkeypatch.setattr(compose, "_base", lambda *a: loaded.append(a) or base(*a))
    monkeypatch.setattr(compose, "plain", lambda *a: resolved.append(a) or plain(*a))
    jobs = [[f"optim={o}", f"lr={lr}", f"seed={s}"]
            for o in ("adam", "adamw") for lr in (0.1, 0.2) for s in range(100)]  # fmt: skip
    cells = compose.compose(loader, jobs)
    assert len({cell.folder for cell in cells}) == len(cells) == 400
    assert (len(loaded), len(resolved)) == (2, 2)
