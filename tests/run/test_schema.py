"""A run's configuration: the same values as plain ones and as one object that nobody can change."""

import dataclasses
import json
import pickle
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from experiments.errors import UserError
from experiments.record.identity import identity
from experiments.run.schema import Entry, FrozenDict, RunConfig
from experiments.run.validate import validate
from experiments.sweep import grid
from tests.tiny_runs import TINY, build_config, composed


def plain(*overrides):
    return OmegaConf.to_container(composed(*TINY, *overrides), resolve=True)


@pytest.mark.parametrize("preset", ["figure4_cpu", "why", "lm"])
def test_every_cell_comes_back_as_it_went_in_through_the_object_and_through_json(preset):
    for job in grid.jobs(preset)[::20]:
        config = RunConfig.from_plain(job)
        assert config.plain() == job
        assert list(config.plain()) == list(job)
        assert list(config.optim.plain()) == list(job["optim"])
        written = json.loads(json.dumps(config.plain()))
        assert RunConfig.from_plain(written) == config
        assert identity(written, None) == identity(job, None)
        assert pickle.loads(pickle.dumps(config)) == config
        assert hash(pickle.loads(pickle.dumps(config.optim))) == hash(config.optim)


def test_nothing_in_it_can_be_changed_not_even_by_way_of_what_it_was_made_from():
    values = plain()
    config = RunConfig.from_plain(values)
    values["optim"]["betas"][0] = 0.5
    values["betas"][0] = 0.5
    config.plain()["task"]["modulus"] = 3
    assert config.betas == config.optim["betas"] == (0.9, 0.98)
    assert config.task["modulus"] == 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1.0
    with pytest.raises(TypeError):
        config.task["modulus"] = 3


def test_an_entry_tells_what_it_is_from_what_it_is_built_with():
    entry = RunConfig.from_plain(plain("optim=adam")).optim
    assert (entry.name, entry.target, entry.convention) == ("adam", "optim.Adam", "l2")
    assert entry.settings == {"betas": [0.9, 0.98], "eps": 1e-8}
    nothing = RunConfig.from_plain(plain()).probe
    assert (nothing.name, nothing.target, nothing.settings) == ("none", "", {})


def test_mappings_are_equal_and_alike_as_keys_whatever_their_order():
    one, other = ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 2}], "a": 1})
    assert FrozenDict(one) == FrozenDict(other)
    assert hash(FrozenDict(one)) == hash(FrozenDict(other))
    assert FrozenDict(one) != FrozenDict(one | {"a": 2})
    assert FrozenDict(one).plain() == one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values | {"epoch": 3}, "there is no key epoch; did you mean epochs?"),
        (lambda values: values | {"lr": "???"}, "lr has no value; give one with lr=VALUE"),
        (lambda values: {k: values[k] for k in values if k != "wd"}, "wd has no value"),
    ],
)
def test_a_key_too_many_or_too_few_is_named(change, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        RunConfig.from_plain(change(plain()))


@pytest.mark.parametrize(
    ("group", "changes", "said"),
    [
        ("optim", {"convention": "coupled"}, "optim.convention must be one of l2, decoupled, lr_c"),
        ("decay", {"name": "none"}, "decay must be one of raw, normalized, got 'none'"),
        ("task", {"name": ""}, "task has no name; choose an entry of configs/task"),
        ("model", {"_target_": ""}, "model has no _target_; choose an entry of configs/model"),
        ("model", {"width": [8]}, r"model.width must be a whole number, got \[8\]"),
    ],
)
def test_an_entry_that_says_too_little_is_refused(group, changes, said):
    config = build_config()
    entry = Entry({**getattr(config, group), **changes})
    with pytest.raises(UserError, match=said):
        validate(replace(config, **{group: entry}))
