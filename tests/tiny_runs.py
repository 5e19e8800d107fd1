"""Runs that take a fraction of a second: composed, built, watched and killed."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from omegaconf import OmegaConf, open_dict

from experiments.run import build, trainer
from experiments.run.schema import RunConfig
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


def run_config(*overrides):
    """Return the configuration of ``train.py`` under overrides, as a run has it."""
    return RunConfig.from_plain(OmegaConf.to_container(composed(*overrides), resolve=True))


def build_config(*overrides):
    """Return a tiny run's configuration."""
    return run_config(*TINY, *overrides)


def make_trainer(config):
    """Return the trainer that a run of ``config`` would use, on the CPU in fp32."""
    config = replace(config, precision="fp32")
    return build.build_trainer(config, build.build_task(config), torch.device("cpu"))


def finish(made, callbacks):
    """Let a trainer take the steps that are left, and return what it ends with."""
    running = made.run(callbacks)
    try:
        while True:
            next(running).train_step()
    except StopIteration as end:
        return end.value


class Killed(Exception):
    """Stands for a kill: nothing of ours runs after it."""


@contextmanager
def dying_at(step, monkeypatch):
    """Kill the run inside the block as it is about to make its step ``step``, counted from 0."""
    train_step = trainer.Trainer.train_step

    def dying(self):
        if self.step == step:
            raise Killed
        train_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "train_step", dying)
        with pytest.raises(Killed):
            yield


def final_weights(monkeypatch):
    """Collect the weights with which runs end."""
    collected = []
    whole = trainer.Trainer.run

    def watched(self, callbacks):
        final = yield from whole(self, callbacks)
        collected.append([p.detach().clone() for p in self.model.parameters()])
        return final

    monkeypatch.setattr(trainer.Trainer, "run", watched)
    return collected
