"""A compiled run is the same run to rounding, goes on to the bit, or says why it cannot be."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments.errors import UserError
from experiments.run.build import rehearse
from experiments.run.compiled import compiles
from experiments.run.schema import Entry
from experiments.run.validate import validate
from tests.tiny_runs import TINY, build_config, make_trainer, run_config

ROOT = Path(__file__).parents[2]
STEPS = 6
#: Of the weights' norm. Fused operations sum in another order; SGD does not blow that up as the
#: signs of Adam's first steps do.
TOLERANCE = 1e-5


with_compiler = pytest.mark.skipif(not compiles(), reason="compile=true is refused with this torch")


def images(folder):
    words = ("tracker=none", "task=cifar10", "task.pool=4", "model=shake_shake_32d",
             "model.width=2", "model.depth=8", "epochs=4", "batch_size=16", "warmup_epochs=0",
             f"data_dir={folder}", "cache_dir=cache")  # fmt: skip
    return run_config(*words, "optim=sgdw", "lr=0.1")


def trained(trainer, to=STEPS):
    while trainer.step < to:
        trainer.train_step()
    return torch.cat([p.detach().flatten().clone() for p in trainer.model.state_dict().values()])


@with_compiler
@pytest.mark.slow
@pytest.mark.parametrize("network", ["transformer", "shake_shake"])
def test_a_compiled_run_agrees_with_one_that_is_not_and_goes_on_to_the_bit(
    network, in_tmp, fake_cifar
):
    shaken = network == "shake_shake"
    config = images(fake_cifar) if shaken else build_config("optim=sgdw", "lr=0.1")
    plain = make_trainer(config)
    before = trained(plain, 0)
    expected = trained(plain)
    config = replace(config, compile=True)
    whole, half = make_trainer(config), make_trainer(config)
    weights = trained(whole)
    assert (weights - expected).norm() < TOLERANCE * expected.norm()
    assert (expected - before).norm() > 100 * TOLERANCE * expected.norm()
    trained(half, STEPS // 2)
    assert half.state_dict()["model"].keys() == plain.state_dict()["model"].keys()
    resumed = make_trainer(config)
    resumed.load_state_dict(half.state_dict())
    assert torch.equal(trained(resumed), weights)


@with_compiler
@pytest.mark.slow
def test_without_a_compiler_there_is_one_clear_line(in_tmp):
    env = os.environ | {"PATH": str(in_tmp), "CXX": "none", "TORCHINDUCTOR_CACHE_DIR": str(in_tmp)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *TINY, "compile=true", "precision=fp32"],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: compile=true: torch cannot compile here: InvalidCxxCompiler")
    assert "Traceback" not in done.stderr


def test_what_cannot_be_compiled_is_refused():
    config = build_config("compile=true")
    validate(config)
    with pytest.raises(UserError, match=r"compile=true does not go with model.dropout=0\.1"):
        validate(replace(config, model=Entry({**config.model, "dropout": 0.1})))


def test_a_torch_that_compiles_wrong_gradients_on_a_cpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.6.0+cu124")
    config = build_config("compile=true", "device=cpu")
    with pytest.raises(UserError, match=r"compile=true on a CPU needs torch 2\.14.*got torch 2\.6"):
        rehearse(config)
    rehearse(replace(config, compile=False))
