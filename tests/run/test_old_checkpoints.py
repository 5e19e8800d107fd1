"""Checkpoints of earlier versions go on."""

import pytest

from tests.tiny_runs import build_config, make_trainer


@pytest.mark.parametrize("optim", ["sgd", "adamw", "rmspropw", "torch_adamw"])
def test_a_checkpoint_that_does_not_say_whose_decay_it_holds_means_the_runs_own(optim):
    config = build_config(f"optim={optim}", "lr=0.02", "wd=0.01")
    state = make_trainer(config).state_dict()
    expected = [dict(group) for group in state["optimizer"]["param_groups"]]
    for group in state["optimizer"]["param_groups"]:
        group["lr"] = 0.01  # as in mid-schedule
        for key in ("max_lr", "decoupled", "capturable"):
            group.pop(key, None)
    trainer = make_trainer(config)
    trainer.load_state_dict(state)
    loaded = [dict(group) for group in trainer.optimizer.state_dict()["param_groups"]]
    assert loaded == [group | {"lr": 0.01} for group in expected]
