"""Which cells a sweep has, and that composing many is the same as composing each."""

import shutil

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode

from experiments.errors import UserError
from experiments.record.identity import cell_name
from experiments.run.schema import register
from experiments.sweep import compose, grid

GRIDS = [{"optim": "adam", "wd": "1e-6,1e-4"}, {"optim": "adamw,torch_adamw", "wd": "1e-3"}]


def cells(arguments=(), params=None, grids=GRIDS):
    shared = {"seed": "range(2)"} if params is None else params
    return [dict(word.split("=") for word in cell)
            for cell in grid.combinations(shared, grids, list(arguments))]  # fmt: skip


def test_the_cells_are_the_union_of_the_products():
    assert len(cells()) == 2 * 2 + 2 * 2
    assert {"seed": "1", "optim": "adam", "wd": "1e-06"} in [
        {**cell, "wd": f"{float(cell['wd']):g}"} for cell in cells()
    ]


def test_an_argument_replaces_a_shared_axis():
    assert {cell["seed"] for cell in cells(["seed=7"])} == {"7"}
    assert len(cells(["seed=7"])) == 4


def test_an_argument_selects_among_the_values_of_the_grids():
    assert {cell["optim"] for cell in cells(["optim=adam"])} == {"adam"}
    assert {cell["optim"] for cell in cells(["optim=adamw"])} == {"adamw"}
    assert {c["optim"] for c in cells(["optim=adam,adamw"])} == {"adam", "adamw"}


def test_a_value_that_no_grid_has_replaces_the_axis_and_no_cell_comes_twice():
    assert {cell["optim"] for cell in cells(["optim=sgd"])} == {"sgd"}
    assert len(cells(["optim=sgd", "wd=1"])) == 2


def test_values_are_compared_by_what_they_mean():
    assert {cell["optim"] for cell in cells(["optim='adam'"])} == {"adam"}
    assert len(cells(["wd=0.000001"])) == len(cells(["wd=1e-6"])) == 2
    assert len(cells(["wd=0,0.0"], params={}, grids=[])) == 1


def test_values_of_the_grids_mixed_with_others_are_refused():
    with pytest.raises(UserError, match="optim=sgd is in no grid"):
        cells(["optim=adam,sgd"])


def test_a_forced_override_is_an_axis_like_any_other_and_removing_is_refused():
    assert {cell["wd"] for cell in cells(["++wd=0.5"])} == {"0.5"}
    with pytest.raises(UserError, match="cannot remove"):
        cells(["~wd"])


def test_without_grids_the_cells_are_a_plain_product():
    assert len(cells(["lr=1e-3,1e-2", "wd=0,1,2"], params={}, grids=[])) == 6


def test_an_interval_is_refused():
    with pytest.raises(UserError, match="lr=interval.*no list"):
        cells(["lr=interval(0,1)"])


def loader():
    return ConfigLoaderImpl(config_search_path=create_config_search_path(str(grid.CONFIGS)))


def test_composing_many_cells_gives_what_hydra_composes_for_each(fake_cifar, tmp_path):
    register()
    compose.register_resolvers()
    images = [f"data_dir={fake_cifar}", f"cache_dir={tmp_path / 'cache'}", "task.train_size=40"]
    jobs = [
        ["optim=adam", "lr=0.01", "wd=0"],
        ["optim=adam", "lr=0.1", "wd=1e-3", "task.modulus=31"],
        ["optim=sgd", "lr=0.1", "optim.momentum=0.5", "betas=[0.8,0.9]"],
        ["task=cifar10_small", "optim=adamw", "name=x.y", *images],
        ["task=cifar10_small", "lr=0.1", "wd=1", "seed=3", *images],
        ["lr=0.1", "wd=1", "seed=3", "task.modulus=53", "betas=[0.8,0.9]"],
        ["lr=0.1", "wd=1", "seed=4", "task.modulus=53", "runs_dir=elsewhere"],
        ["lr=0.1", "wd=1", "seed=4", "optim.eps=1e-6", "threads=null", "precision=bf16"],
    ]
    for words, cell in zip(jobs, compose.compose(loader(), jobs), strict=True):
        whole = loader().load_configuration("train", words, run_mode=RunMode.MULTIRUN)
        assert cell.job == compose.plain(whole)
        assert str(cell.folder) == f"{whole.hydra.sweep.dir}/{whole.hydra.sweep.subdir}"


def test_a_cell_keeps_to_the_runs_folder_whatever_its_values():
    config = grid.default("optim=adam").copy()
    job = compose.plain(config)
    for name in ("../../etc", "/absolute", "line\nbreak", "é" * 300, "a b;rm"):
        job["optim"]["name"] = name
        cell = cell_name(job, "0123456789abcdef")
        assert set(cell) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.=_+-"
        )
        assert "/" not in cell
        assert len(cell) < 120


def test_the_plan_of_a_preset_has_typed_values():
    plan = grid.planned("modular")
    assert all(isinstance(cell["lr"], float) and isinstance(cell["seed"], int) for cell in plan)
    assert grid.planned("nothing_of_this_name") is None


def test_an_axis_of_some_grids_has_its_default_in_the_others(tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    shutil.copytree(grid.CONFIGS, configs)
    (configs / "experiment" / "mixed.yaml").write_text(
        "# @package _global_\nname: mixed\nhydra:\n  sweeper:\n    params:\n      seed: 0,1\n"
        "    grids:\n      - optim: adam\n        wd: 1e-3\n"
        "      - optim: sgdw\n        decay: normalized\n        schedule: warm_restarts\n"
        "        schedule.t_0: 20\n        lr: 0.2\n        wd: 0.1\n"
    )
    monkeypatch.setattr(grid, "CONFIGS", configs)
    first, *_, last = grid.planned("mixed")
    plain = {"schedule": "cosine", "schedule.t_0": None, "decay": "raw", "lr": 1e-3, "wd": 1e-3}
    assert first == plain | {"optim": "adam", "seed": 0}
    assert (last["schedule.t_0"], last["decay"], last["lr"]) == (20, "normalized", 0.2)
