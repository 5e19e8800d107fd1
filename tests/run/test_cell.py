"""Runs: reproducible, resumable to the bit, never repeated, and honest when they diverge."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments.errors import UserError
from experiments.record import provenance
from experiments.run import build, cell, trainer
from experiments.run.cell import run
from tests.tiny_runs import (
    TINY,
    build_config,
    composed,
    dying_at,
    final_weights,
    make_trainer,
)

ROOT = Path(__file__).parents[2]


def metrics(folder):
    return (folder / "metrics.jsonl").read_bytes()


def result(folder):
    """The row without what may differ between two equal runs."""
    row = json.loads((folder / "result.json").read_text())
    return {key: row[key] for key in row if key not in ("seconds", "date", "commit")}


def test_the_same_seed_gives_equal_metrics_and_results_bit_for_bit(in_tmp):
    for name in ("a", "b"):
        run(composed(*TINY, "seed=0"), in_tmp / name)
    assert metrics(in_tmp / "a") == metrics(in_tmp / "b")
    assert result(in_tmp / "a") == result(in_tmp / "b")


def test_another_seed_gives_another_run(in_tmp):
    for seed in (0, 1):
        run(composed(*TINY, f"seed={seed}"), in_tmp / str(seed))
    assert metrics(in_tmp / "0") != metrics(in_tmp / "1")


OPTIMIZERS = ("sgd", "sgdw", "adam", "adamw", "torch_adamw", "rmspropw")


def test_at_one_seed_all_optimizers_start_at_equal_weights_and_see_equal_batches(in_tmp):
    starts, batches = [], []
    for optim in OPTIMIZERS:
        config = build_config(f"optim={optim}")
        task = build.build_task(config)
        model = build.build_model(config, task)
        starts.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        trainer = make_trainer(config)
        batches.append(torch.cat([trainer.batches.at(step).inputs for step in range(9)]))
    assert all(torch.equal(start, starts[0]) for start in starts)
    assert all(torch.equal(batch, batches[0]) for batch in batches)


def test_without_decay_adam_and_adamw_are_the_same_run(in_tmp):
    for optim in ("adam", "adamw"):
        run(composed(*TINY, f"optim={optim}", "lr=0.01", "wd=0"), in_tmp / optim)
    assert metrics(in_tmp / "adam") == metrics(in_tmp / "adamw")


def test_every_epoch_sees_every_example_once_in_an_order_of_its_own():
    trainer = make_trainer(build_config())
    per_epoch = trainer.budget.steps_per_epoch
    assert per_epoch == 3  # 24 of 49 pairs, in batches of 8
    epochs = [
        torch.cat(
            [trainer.batches.at(step).inputs for step in range(e * per_epoch, (e + 1) * per_epoch)]
        )
        for e in (0, 1)
    ]
    expected = {tuple(row) for row in trainer.task.train.inputs.tolist()}
    for epoch in epochs:
        assert len(epoch) == len(expected)
        assert {tuple(row) for row in epoch.tolist()} == expected
    assert not torch.equal(*epochs)


@pytest.mark.parametrize("optim", ["adamw", "sgd", "rmspropw"])
@pytest.mark.parametrize("dies_at", [1, 5, 6, 11])
def test_a_killed_run_resumes_and_ends_like_one_that_was_not(in_tmp, monkeypatch, optim, dies_at):
    config = composed(*TINY, f"optim={optim}", "checkpoint_every=1e-9")
    run(config, in_tmp / "whole")
    weights = final_weights(monkeypatch)

    with dying_at(dies_at, monkeypatch):
        run(config, in_tmp / "killed")
    (in_tmp / "killed" / "metrics.jsonl").open("a").write('{"step": 99, "torn')
    resumed_from = len(weights)
    run(config, in_tmp / "killed")
    run(config, in_tmp / "again")
    assert metrics(in_tmp / "killed") == metrics(in_tmp / "whole")
    assert result(in_tmp / "killed") == result(in_tmp / "whole")
    assert all(torch.equal(a, b) for a, b in zip(*weights[resumed_from:], strict=True))
    assert not (in_tmp / "killed" / "checkpoint.pt").exists()


def test_a_run_that_goes_on_on_another_type_of_processor_says_so(in_tmp, monkeypatch, caplog):
    config = composed(*TINY, "checkpoint_every=1e-9")
    here = provenance.processor()
    with dying_at(5, monkeypatch):
        run(config, in_tmp / "a")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(provenance, "processor", lambda: "another")
        with dying_at(8, elsewhere):
            run(config, in_tmp / "a")
    what = "a goes on; its last bits may differ from an uninterrupted run's"
    assert f"{what}: processor was {here} and is another" in caplog.text
    row = run(config, in_tmp / "a")
    assert row["processor"] == f"{here} then another then {here}"
    assert row["device"] == run(config, in_tmp / "b")["device"]
    caplog.clear()
    with dying_at(5, monkeypatch):
        run(config, in_tmp / "c")
    assert run(config, in_tmp / "c")["processor"] == here
    assert "goes on" not in caplog.text


@pytest.mark.slow
def test_a_run_killed_by_the_system_resumes_to_the_bit(in_tmp):
    words = [*TINY, "epochs=100", "eval_every=20", "checkpoint_every=0.2"]
    command = [sys.executable, str(ROOT / "train.py"), *words]
    subprocess.run([*command, "hydra.run.dir=whole"], check=True, capture_output=True)
    process = subprocess.Popen([*command, "hydra.run.dir=killed"], stderr=subprocess.PIPE)
    try:
        while not (in_tmp / "killed" / "checkpoint.pt").exists():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.communicate()
    assert not (in_tmp / "killed" / "result.json").exists()
    done = subprocess.run([*command, "hydra.run.dir=killed"], capture_output=True, text=True)
    assert "going on from step" in done.stderr
    assert metrics(in_tmp / "killed") == metrics(in_tmp / "whole")
    assert result(in_tmp / "killed") == result(in_tmp / "whole")


def test_a_configuration_is_validated_once_and_doubted_once(in_tmp, monkeypatch, caplog):
    validated = []
    for module in (build, cell):
        monkeypatch.setattr(module, "validate", validated.append)
    config = build_config("optim=adamw", "wd=0.9", "epochs=20")
    cell.run_cell(config, in_tmp / "alone")
    assert validated == [config]
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["wd=0.9 under optim=adamw"]
    caplog.clear()
    cell.run_cell(config, in_tmp / "in_a_sweep", warn=False)
    assert caplog.records == []


def test_a_finished_run_is_not_repeated(in_tmp, monkeypatch):
    config = composed(*TINY)
    row = run(config, in_tmp / "a")
    monkeypatch.setattr(trainer.Trainer, "run", None)
    assert run(config, in_tmp / "a") == row


def test_a_run_in_the_committed_table_is_not_repeated(in_tmp, monkeypatch):
    config = composed(*TINY)
    row = run(config, in_tmp / "a")
    table = in_tmp / "results" / "adhoc" / "runs.csv"
    table.parent.mkdir(parents=True)
    table.write_text("id,test_error\n" + f"{row['id']},12.5\n")
    monkeypatch.setattr(trainer.Trainer, "run", None)
    assert run(config, in_tmp / "b")["test_error"] == "12.5"
    assert not (in_tmp / "b").exists()


@pytest.mark.parametrize(
    "word", ["lr=0.5", "wd=0.1", "seed=3", "optim=sgd", "task.modulus=5", "model.width=16",
             "epochs=5", "batch_size=4", "schedule=constant", "decay=normalized",
             "no_decay=norm_and_bias", "betas=[0.8,0.9]", "warmup_epochs=0", "precision=bf16",
             "validation_size=3", "loss_scale=10", "optim.decay_power=2", "optim.cautious=true"]
)  # fmt: skip
def test_what_can_change_the_numbers_makes_another_run(in_tmp, word):
    run(composed(*TINY), in_tmp / "a")
    with pytest.raises(UserError, match="holds another run"):
        run(composed(*TINY, word), in_tmp / "a")


@pytest.mark.parametrize(
    "word", ["tracker=wandb", "checkpoint_every=5", "eval_every=1", "threads=1", "device=cpu",
             "data_dir=elsewhere", "name=other", "progress=true", "capture=false"]
)  # fmt: skip
def test_what_cannot_change_the_numbers_is_the_same_run(in_tmp, word, monkeypatch):
    row = run(composed(*TINY), in_tmp / "a")
    monkeypatch.setattr(trainer.Trainer, "run", None)
    assert run(composed(*TINY, word), in_tmp / "a") == row


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_run_that_diverges_ends_at_once_as_a_result(in_tmp, schedule):
    words = ("optim=sgd", "lr=1e20", "epochs=4000", f"schedule={schedule}", "warmup_epochs=0")
    row = run(composed(*TINY, *words), in_tmp / "a")
    assert row["status"] == "diverged"
    assert row["test_error"] is None
    lines = (in_tmp / "a" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] <= trainer.CHECK_EVERY
    assert json.loads((in_tmp / "a" / "result.json").read_text())["status"] == "diverged"


def test_a_data_file_that_changed_since_the_checkpoint_is_refused(in_tmp, monkeypatch):
    config = composed(*TINY, "checkpoint_every=1e-9")
    with dying_at(5, monkeypatch):
        run(config, in_tmp / "a")
    original = build.build_task
    monkeypatch.setattr(build, "build_task", lambda c: replace(original(c), fingerprint="other"))
    with pytest.raises(UserError, match="the data changed"):
        run(config, in_tmp / "a")


def test_a_validation_split_is_carved_by_the_seed_and_reported_beside_the_test_set(in_tmp):
    row = run(composed(*TINY, "validation_size=5"), in_tmp / "a")
    assert row["train_size"] == 24 - 5
    assert 0 <= row["val_error"] <= 100
    assert row["val_loss"] > 0
    tasks = [build.build_task(build_config("validation_size=5", f"seed={s}")) for s in (0, 0)]
    assert torch.equal(tasks[0].validation.inputs, tasks[1].validation.inputs)
    trained = {tuple(x) for x in tasks[0].train.inputs.tolist()}
    assert not trained & {tuple(x) for x in tasks[0].validation.inputs.tolist()}


@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_the_loss_scale_multiplies_gradients_and_no_metric(in_tmp, scale):
    gradients = []
    for words in ((), (f"loss_scale={scale}",)):
        trainer = make_trainer(build_config("lr=1e-9", "wd=0", *words))
        trainer.train_step()
        gradients.append([p.grad.clone() for p in trainer.model.parameters()])
        run(composed(*TINY, "lr=1e-9", "wd=0", *words), in_tmp / str(len(gradients)))
    assert all(torch.equal(scale * a, b) for a, b in zip(*gradients, strict=True))
    lines = [metrics(in_tmp / name).splitlines()[0] for name in "12"]
    for key in ("batch_loss", "test_loss"):
        assert json.loads(lines[0])[key] == pytest.approx(json.loads(lines[1])[key], rel=1e-6)


def test_normalized_decay_takes_the_epochs_of_the_current_restart():
    config = build_config("decay=normalized", "schedule=warm_restarts", "schedule.t_0=2",
                          "epochs=6", "warmup_epochs=0", "wd=0.5")  # fmt: skip
    trainer = make_trainer(config)
    per_epoch, size = trainer.budget.steps_per_epoch, len(trainer.task.train)
    seen = []
    for _ in range(trainer.budget.steps):
        trainer.train_step()
        seen.append(trainer.optimizer.param_groups[0]["weight_decay"])
    first, second = (0.5 * (8 / (size * epochs)) ** 0.5 for epochs in (2, 4))
    assert seen == pytest.approx([first] * 2 * per_epoch + [second] * 4 * per_epoch)


def test_no_decay_spares_norms_and_biases():
    trainer = make_trainer(build_config("no_decay=norm_and_bias", "wd=0.1"))
    decays = {p.ndim > 1: group["weight_decay"] for group in trainer.optimizer.param_groups
              for p in group["params"]}  # fmt: skip
    assert decays == {True: 0.1, False: 0.0}


def test_a_run_in_bf16_trains_with_fp32_weights(in_tmp):
    row = run(composed(*TINY, "precision=bf16"), in_tmp / "a")
    assert row["precision"] == "bf16"
    assert row["status"] == "finished"


def test_images_train_from_the_command_line_keys(fake_cifar, in_tmp):
    words = ("task=cifar10_small", "tracker=none", "progress=false", f"data_dir={fake_cifar}",
             f"cache_dir={in_tmp / 'cache'}", "task.train_size=40", "epochs=2", "batch_size=16",
             "model.width=4")  # fmt: skip
    row = run(composed(*words), in_tmp / "a")
    assert row["steps"] == 6
    assert row["train_size"] == 40
    assert row["task"] == "cifar10_small"
    assert row["model"] == "resnet8"


def test_a_row_tells_every_setting_that_has_no_column_of_its_own(in_tmp):
    row = run(composed(*TINY, "task.modulus=5"), in_tmp / "a")
    assert (row["task.modulus"], row["model.width"], row["optim.eps"]) == (5, 8, 1e-8)
    assert row["optim.betas"] == "[0.9, 0.98]"
    assert row["warmup_epochs"] == 1


def test_minus_zero_is_zero(in_tmp, monkeypatch):
    row = run(composed(*TINY, "wd=0"), in_tmp / "a")
    monkeypatch.setattr(trainer.Trainer, "run", None)
    assert run(composed(*TINY, "wd=-0.0"), in_tmp / "a") == row


def test_a_batch_larger_than_the_training_set_is_the_whole_set():
    config = build_config("batch_size=64", "decay=normalized", "wd=0.5")
    trainer = make_trainer(config)
    assert trainer.budget.steps_per_epoch == 1
    assert len(trainer.batches.at(0)) == len(trainer.task.train)
    assert trainer.optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.5 * 4**-0.5)


def test_a_run_of_cautious_decay_says_so_and_comes_to_other_numbers(in_tmp):
    words = (*TINY, "optim=adamw", "wd=0.1")
    plain = run(composed(*words), in_tmp / "plain")
    cautious = run(composed(*words, "optim.cautious=true"), in_tmp / "cautious")
    assert "optim.cautious" not in plain
    assert cautious["optim.cautious"] is True
    assert cautious["train_loss"] != plain["train_loss"]
    assert cautious["eta_sum"] == plain["eta_sum"]


@pytest.mark.parametrize("power", [1, 2])
def test_the_sum_of_the_multipliers_follows_normalized_decay_through_its_restarts(in_tmp, power):
    words = ("decay=normalized", "schedule=warm_restarts", "schedule.t_0=2", "epochs=6",
             "warmup_epochs=0", f"optim.decay_power={power}")  # fmt: skip
    row = run(composed(*TINY, *words), in_tmp / "a")
    trainer = make_trainer(build_config(*words))
    shrink = 0.0
    for _ in range(trainer.budget.steps):
        trainer.train_step()
        (group,) = trainer.optimizer.param_groups
        shrink += group["weight_decay"] * (group["lr"] / group["initial_lr"]) ** power
    assert row["weight_decay"] * row["eta_sum"] == pytest.approx(shrink)
