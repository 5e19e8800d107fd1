"""Every number that a run records, computed a second time here by other means."""

import json
import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.run import build, cell, recorder, trainer
from experiments.run.cell import run
from experiments.run.trainer import Diverged, Trainer
from experiments.tasks import Examples
from tests.tiny_runs import (
    TINY,
    build_config,
    composed,
    dying_at,
    final_weights,
    finish,
    make_trainer,
    run_config,
)

#: 19 of 49 pairs to train on, in batches of 9, 9 and 1; 12 steps, evaluated after 5, 10 and 12.
WORDS = ("optim=torch_adamw", "lr=0.02", "wd=0.5", "batch_size=9", "eval_every=1.6",
         "validation_size=5", "eval_train=true")  # fmt: skip
STEPS, WARM_UP, EVALUATED = 12, 3, (5, 10, 12)


def eta(step):
    """Three steps of warm-up, then a cosine over nine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP))


def measured(model, examples):
    """Error in percent and loss in nats, in one piece and in double precision."""
    with torch.no_grad():
        logits = model(examples.inputs).double()
    wrong = (logits.argmax(-1) != examples.labels).sum().item()
    of_label = logits.softmax(-1)[torch.arange(len(examples)), examples.labels]
    return 100 * wrong / len(examples), -of_label.log().mean().item()


@pytest.fixture(scope="module")
def by_hand():
    """The metrics of the run, step by step, from a plain loop around torch's own AdamW."""
    config = build_config(*WORDS)
    task = build.build_task(config)
    model = build.build_model(config, task)
    batches = make_trainer(config).batches
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.5, betas=(0.9, 0.98))
    points, losses = [], []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.02 * eta(step)
        batch = batches.at(step)
        loss = F.cross_entropy(model(batch.inputs), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step + 1 not in EVALUATED:
            continue
        point = {"step": step + 1, "epoch": (step + 1) / 3, "eta": eta(step)}
        point |= {"lr": 0.02 * eta(step), "batch_loss": sum(losses) / len(losses)}
        sets = {"test": task.test, "train": task.train, "val": task.validation}
        for name, examples in sets.items():
            point[f"{name}_error"], point[f"{name}_loss"] = measured(model, examples)
        points.append(point)
        losses.clear()
    return points


@pytest.mark.parametrize("at_once", [7, 2048])
def test_a_run_records_what_a_plain_loop_measures(by_hand, in_tmp, monkeypatch, at_once):
    monkeypatch.setattr(trainer, "EVALUATION_BATCH", at_once)  # 25 to test: in four parts, in one
    row = run(composed(*TINY, *WORDS), in_tmp / "a")
    lines = (in_tmp / "a" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(by_hand) == 3
    for line, expected in zip(lines, by_hand, strict=True):
        assert json.loads(line) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    for name in ("test", "train", "val"):
        for what in ("error", "loss"):
            assert row[f"{name}_{what}"] == pytest.approx(by_hand[-1][f"{name}_{what}"], rel=1e-4)
    assert row["eta_sum"] == pytest.approx(sum(map(eta, range(STEPS))), rel=1e-12)


def test_a_row_says_what_was_asked_for_and_what_it_came_to(in_tmp):
    words = ("optim=sgdw", "lr=0.1", "wd=0.05", "seed=3", "epochs=3.4", "decay=normalized",
             "schedule=constant", "warmup_epochs=0", "no_decay=norm_and_bias", "name=asked",
             "validation_size=5", "loss_scale=2")  # fmt: skip
    row = run(composed(*TINY, *words), in_tmp / "a")
    described = {
        "experiment": "asked", "task": "modular", "model": "transformer", "optim": "sgdw",
        "convention": "decoupled", "schedule": "constant", "decay": "normalized",
        "no_decay": "norm_and_bias", "lr": 0.1, "wd": 0.05, "batch_size": 8, "seed": 3,
        "loss_scale": 2.0, "validation_size": 5, "warmup_epochs": 0.0, "status": "finished",
    }  # fmt: skip
    assert {key: row[key] for key in described} == described
    # 19 pairs make 3 steps an epoch, 3.4 epochs 10 steps, which are 3.33 epochs
    assert (row["train_size"], row["steps"], row["eta_sum"]) == (19, 10, 10.0)
    assert row["epochs"] == pytest.approx(10 / 3)
    assert row["weight_decay"] == pytest.approx(0.05 * math.sqrt(8 / (19 * 10 / 3)))


def test_sets_are_measured_as_they_are_stored_in_evaluation_mode(fake_cifar, in_tmp):
    """Normalized but not augmented, with the means and variances that training has gathered."""
    words = ("task=cifar10_small", "tracker=none", f"data_dir={fake_cifar}", "cache_dir=cache",
             "task.train_size=40", "batch_size=16", "model.width=4")  # fmt: skip
    made = make_trainer(run_config(*words))
    for _ in range(3):
        made.train_step()
    found = made.evaluate("train", made.task.train) | made.evaluate("test", made.task.test)
    assert made.model.training
    made.model.eval()
    for name, examples in (("train", made.task.train), ("test", made.task.test)):
        stored = Examples(made.task.prepare(examples.inputs), examples.labels)
        expected = measured(made.model, stored)
        assert (found[f"{name}_error"], found[f"{name}_loss"]) == pytest.approx(expected, rel=1e-5)


def test_how_often_a_run_is_evaluated_changes_no_weight(in_tmp, monkeypatch):
    weights = final_weights(monkeypatch)
    for name, often in (("a", "eval_every=4"), ("b", "eval_every=0.1")):
        run(composed(*TINY, "model=gpt", "model.dropout=0.2", often), in_tmp / name)
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    lines = [(in_tmp / name / "metrics.jsonl").read_text().splitlines() for name in "ab"]
    assert [len(found) for found in lines] == [1, 12]


@pytest.fixture
def a_second_a_step(monkeypatch):
    """A clock that stands still but for steps."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock, step = Clock(), Trainer.train_step

    def train_step(self):
        clock.now += 1
        step(self)

    monkeypatch.setattr(Trainer, "train_step", train_step)
    for module in (cell, recorder):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_seconds_are_those_of_all_attempts_without_the_time_between(
    in_tmp, monkeypatch, a_second_a_step
):
    words = (*TINY, "checkpoint_every=3.5")  # saved after 4, 8 and 12 steps
    assert run(composed(*words), in_tmp / "whole")["seconds"] == 12
    with dying_at(6, monkeypatch):
        run(composed(*words), in_tmp / "killed")
    a_second_a_step.now += 1000
    assert run(composed(*words), in_tmp / "killed")["seconds"] == 12


def train(made):
    """Take the steps that are left, without evaluating."""
    while made.step < made.budget.steps:
        made.train_step()
        made.check()


class Breaks:
    """A network's forward pass that gives NaN from some step on, counted from 1."""

    def __init__(self, trainer, step):
        self.trainer, self.step = trainer, step

    def __call__(self, inputs):
        broken = self.trainer.step + 1 >= self.step
        return self.trainer.model(inputs) * (math.nan if broken else 1.0)


@pytest.mark.parametrize(("step", "seen"), [(1, 20), (7, 20), (20, 20), (21, 30), (27, 30)])
def test_the_step_at_which_the_loss_was_lost_is_named(step, seen):
    made = make_trainer(build_config("epochs=10"))
    made.forward = Breaks(made, step)
    with pytest.raises(Diverged, match=rf"^the loss became nan at step {step} of 30$"):
        train(made)
    assert made.step == seen


def test_a_loss_that_was_lost_before_a_checkpoint_is_named_after_it():
    first, second = (make_trainer(build_config("epochs=10")) for _ in range(2))
    first.forward = Breaks(first, 7)
    for _ in range(10):
        first.train_step()
    second.load_state_dict(first.state_dict())
    with pytest.raises(Diverged, match="became nan at step 7 of 30"):
        train(second)


def test_a_loss_that_is_lost_in_evaluation_alone_ends_the_run(in_tmp, monkeypatch):
    monkeypatch.setattr(trainer.F, "cross_entropy", explode)
    row = run(composed(*TINY), in_tmp / "a")
    lines = [json.loads(line) for line in (in_tmp / "a" / "metrics.jsonl").open()]
    assert lines == [{"step": 6, "diverged": 1.0}]
    assert (row["status"], row["test_error"], row["train_loss"]) == ("diverged", None, None)


def explode(logits, labels, reduction="mean", exact=F.cross_entropy):
    loss = exact(logits, labels, reduction=reduction)
    return loss if reduction == "mean" else loss * math.inf


class NoDouble(TorchDispatchMode):
    """A device that knows no double precision, as Apple's is."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            assert getattr(tensor, "dtype", None) != torch.float64, function
        return out


class Silent:
    """Nothing that the loop says is kept."""

    def log(self, metrics, step):
        pass

    def checkpoint_due(self):
        return False

    def progress(self, step):
        pass


def test_neither_training_nor_evaluation_asks_a_device_for_double_precision():
    made = make_trainer(build_config("model=gpt", "model.dropout=0.1", "model.width=8"))
    with NoDouble():
        final = finish(made, Silent())
    assert final["test_loss"] > 0


def test_losses_of_parts_are_added_as_double_precision_on_the_device_would(monkeypatch):
    made = make_trainer(build_config("batch_size=16"))
    monkeypatch.setattr(trainer, "EVALUATION_BATCH", 2)
    total = torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        for start in range(0, 25, 2):
            part = made.task.test[start : start + 2]
            total += F.cross_entropy(made.model(part.inputs), part.labels, reduction="sum")
    assert made.evaluate("test", made.task.test)["test_loss"] == total.item() / 25
