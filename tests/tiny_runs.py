"""Runs that take a fraction of a second: composed, built, watched and killed."""

from contextlib import contextmanager

import pytest
import torch
from omegaconf import OmegaConf, open_dict

from experiments.run import build, trainer
from experiments.sweep import grid

#: Overrides under which a run of modular addition takes a fraction of a second.
TINY = ("tracker=none", "progress=false", "task.modulus=7", "epochs=4", "eval_every=2",
        "warmup_epochs=1", "batch_size=8", "model.width=8", "model.heads=2")  # fmt: skip


def composed(*overrides):
    """Return the configuration of ``train.py`` under overrides, as Hydra hands it to a run."""
    config = grid.default(*overrides)
    with open_dict(config):
        del config["hydra"]
    return config


def build_config(*overrides):
    """Return a tiny run's configuration as plain values."""
    return OmegaConf.to_container(composed(*TINY, *overrides), resolve=True)


def make_trainer(config):
    """Return the trainer that a run of ``config`` would use, on the CPU in fp32."""
    config = config | {"precision": "fp32"}
    return build.build_trainer(config, build.build_task(config), torch.device("cpu"))


class Killed(Exception):
    """Stands for a kill: nothing of ours runs after it."""


@contextmanager
def dying_at(step, monkeypatch):
    """Kill the run inside the block as it is about to make its step ``step``, counted from 0."""
    train_step = trainer.Trainer._train_step

    def dying(self):
        if self.step == step:
            raise Killed
        train_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "_train_step", dying)
        with pytest.raises(Killed):
            yield


def final_weights(monkeypatch):
    """Collect the weights with which runs end."""
    collected = []
    whole = trainer.Trainer.run

    def watched(self, scribe):
        final = whole(self, scribe)
        collected.append([p.detach().clone() for p in self.model.parameters()])
        return final

    monkeypatch.setattr(trainer.Trainer, "run", watched)
    return collected
