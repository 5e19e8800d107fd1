"""A run keeps its identity whatever keys are invented after it."""

import pytest
from omegaconf import OmegaConf

from experiments.record.identity import identity, settings
from experiments.record.schema import is_setting
from tests.tiny_runs import composed


def plain(*words):
    return OmegaConf.to_container(composed("data_dir=data", *words), resolve=True)


@pytest.mark.parametrize(
    ("words", "known"),
    # what these runs were called when the first of them were recorded
    [
        (["optim=adam", "wd=1e-3"], "48af4365570ce73a"),
        (["optim=adamw", "wd=3e-3"], "2d26ee4fc5d19731"),
        (["optim=torch_adamw", "wd=1"], "ec44891b3358657d"),
        (["optim=sgd"], "d3dec0c8bc83fa87"),
        (["task=cifar10_small", "optim=adam", "wd=1e-2"], "9493ad7a27b3aed9"),
        (["task=cifar10_small", "optim=adamw"], "8c8561598227772d"),
    ],
)
def test_runs_are_called_what_they_were_when_they_were_recorded(words, known):
    assert identity(plain(*words)) == known


@pytest.mark.parametrize(
    ("key", "old", "new"), [("loss_scale", "1", 10), ("compile", "false", True)]
)
def test_a_later_key_is_left_out_at_its_old_value_only(key, old, new):
    before, after = plain(f"{key}={old}"), plain(f"{key}={new}")
    assert identity(plain()) == identity(before) != identity(after)
    assert key not in settings(before)
    assert settings(after)[key] == new


def test_a_network_that_starts_as_before_is_the_run_that_it_was():
    known = "8c8561598227772d"
    assert identity(plain("task=cifar10_small", "model.init=fan_out")) == known
    assert identity(plain("task=cifar10_small", "model.init=torch")) != known


def test_a_later_key_of_a_group_is_left_out_without_touching_the_configuration():
    old, new = plain(), plain("task.operation=divide")
    assert old["task"]["operation"] == "add"
    assert "task.operation" not in settings(old)
    assert identity(old) != identity(new)
    assert settings(new)["task.operation"] == "divide"


@pytest.mark.parametrize("words", [["loss_scale=2", "compile=true"], ["task=shakespeare"]])
def test_what_a_run_is_known_by_are_the_settings_that_tell_its_table_apart(words):
    assert all(map(is_setting, settings(plain(*words))))
    assert not any(map(is_setting, ("note", "probe", "task", "lr", "Unnamed: 0", "my.width")))
