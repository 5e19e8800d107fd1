"""Every entry of configs/ composes, and builds what its name says."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from experiments.run import build
from experiments.run.schema import RunConfig
from experiments.sweep import grid
from tests.tiny_runs import run_config

CONFIGS = Path(__file__).parents[1] / "configs"


def entries(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize(
    ("group", "entry"),
    [
        (g, e)
        for g in ("task", "model", "optim", "schedule", "decay", "tracker")
        for e in entries(g)
    ],
)
def test_an_entry_is_named_after_its_file(group, entry):
    assert getattr(run_config(f"{group}={entry}"), group).name == entry


@pytest.mark.parametrize("name", entries("optim"))
def test_an_optimizer_entry_builds_its_namesake_with_the_axes_of_the_command_line(name):
    config = run_config(f"optim={name}", "lr=0.5", "wd=0.25")
    optimizer = build.build_optimizer(config, torch.nn.Linear(2, 2), 0.25)
    kind = type(optimizer)
    assert kind.__name__.lower() == name.removeprefix("torch_").replace("_", "")
    assert kind.__module__.startswith("torch.optim") == (config.optim.target.startswith("torch."))
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)


@pytest.mark.parametrize("name", entries("optim"))
def test_an_optimizer_entry_states_the_convention_it_follows(name):
    """One step without gradient: who shrinks weights, and by what."""
    config = run_config(f"optim={name}", "lr=0.5", "wd=0.25")
    weights = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.ones_(weights.weight)
    optimizer = build.build_optimizer(config, weights, 0.25)
    weights.weight.grad = torch.zeros(2, 2)
    optimizer.step()
    shrink = 1 - weights.weight[0, 0].item()
    expected = {"decoupled": 0.25, "lr_coupled": 0.5 * 0.25}
    convention = config.optim.convention
    if convention in expected:
        assert shrink == pytest.approx(expected[convention])
    else:
        assert convention == "l2"
        assert shrink == pytest.approx(0.125 if "sgd" in name else shrink)
        assert (shrink > 0) == (name != "adam_l2_v")  # there L2 only makes steps shorter


@pytest.mark.parametrize("name", entries("schedule"))
def test_a_schedule_entry_builds_and_starts_at_one(name):
    config = run_config(f"schedule={name}", "warmup_epochs=0")
    task = build.build_task(config)
    budget = build.build_budget(config, task)
    eta = build.build_schedule(config, budget)
    assert eta(0) == 1
    assert all(0 <= eta(step) <= 1 for step in range(budget.steps))


@pytest.mark.parametrize("name", entries("experiment"))
def test_a_preset_is_named_after_its_file_and_sweeps_known_keys(name):
    preset = grid.default(f"experiment={name}")
    assert preset.name == name
    for cell in grid.planned(name):
        assert {key.split(".")[0] for key in cell} <= set(RunConfig.__dataclass_fields__), cell


@pytest.mark.parametrize("name", [n for n in entries("experiment") if n != "adhoc"])
def test_the_cells_of_a_preset_compose_to_folders_of_their_own_and_pass_the_checks(
    name, blank_images, blank_text
):
    words = [f"experiment={name}", "tracker=none", "data_dir=blank"]
    cells = grid.cells(grid.loader(), grid.default(words[0]), words)
    assert len({cell.folder for cell in cells}) == len(cells) == len(grid.planned(name))
    for cell in cells[::9]:
        build.check(cell.config)


def test_the_help_names_every_group_and_every_key_of_the_schema_has_a_default():
    config = grid.default()
    keys = {key for key in RunConfig.__dataclass_fields__ if OmegaConf.is_missing(config, key)}
    assert keys == set()
    template = config.hydra.help.template
    assert "$APP_CONFIG_GROUPS" in template
    assert template.count("python train.py") >= 3


def test_a_variable_of_the_environment_that_is_empty_is_not_set(monkeypatch):
    for name in ("DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HOME", "/somebody")
    config = run_config().plain()
    assert (config["data_dir"], config["cache_dir"]) == ("data", "/somebody/.cache/decay-lab")
    monkeypatch.setenv("HOME", "")
    assert run_config().plain()["cache_dir"] == "./.cache/decay-lab"
    monkeypatch.setenv("DATA_DIR", "there")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    config = run_config().plain()
    assert (config["data_dir"], config["cache_dir"]) == ("there", "/cache/decay-lab")
