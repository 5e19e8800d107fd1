"""The paper's figures at the paper's scale: the cells are the paper's, and every kind runs."""

import csv
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch

from experiments.record.schema import complete
from experiments.record.tables import merge
from experiments.report.data.frames import frame
from experiments.report.data.panels import missing_runs
from experiments.run import build
from experiments.run.cell import describe
from experiments.run.decay_lint import cut_restart
from experiments.run.schema import RunConfig
from experiments.sweep import grid
from tests.tiny_runs import make_trainer

ROOT = Path(__file__).parents[1]
FIGURES = ("figure1", "figure2", "figure3", "figure4", "figureS2", "figureS3", "figureS4")
#: Overrides under which two steps take a fraction of a second.
SMALL = ("tracker=none", "task.pool=8", "model.width=2", "model.depth=8", "precision=fp32",
         "batch_size=16")  # fmt: skip


@cache
def cells(figure, *overrides):
    return [RunConfig.from_plain(job) for job in grid.jobs(figure, *overrides)]


def place(job):
    """What tells a cell from the others of its figure."""
    names = [entry.name for entry in (job.task, job.optim, job.schedule, job.decay)]
    return (*names, job.epochs, job.lr, job.wd)


@pytest.mark.parametrize("figure", ["figure1", "figure2", "figureS3"])
def test_the_cells_are_those_that_the_paper_printed(figure):
    with (ROOT / "results" / "paper" / "runs.csv").open(newline="") as file:
        printed = [row for row in csv.DictReader(file) if row["figure"] == figure]
    expected = {
        (row["task"], row["optim"], row["schedule"], row["decay"], float(row["epochs"]),
         float(row["lr"]), float(row["wd"]))
        for row in printed
    }  # fmt: skip
    ours = [place(job) for job in cells(figure)]
    assert set(ours) == expected
    assert len(ours) == len(printed)


@pytest.mark.parametrize(
    ("figure", "task", "epochs"), [("figure3", "cifar10", 1800), ("figureS4", "imagenet32", 64)]
)
def test_the_long_runs_take_twelve_decays_of_adam_and_seven_of_adamw(figure, task, epochs):
    adam = {0.001 * 2.0**-k for k in range(1, 13)}
    adamw = {1 / 160 * 2.0**k for k in range(7)}
    expected = {(task, "adam", "cosine", "raw", epochs, 0.001, wd) for wd in adam}
    expected |= {(task, "adamw", "cosine", "normalized", epochs, 0.001, wd) for wd in adamw}
    ours = [place(job) for job in cells(figure)]
    assert len(ours) == 19
    assert set(ours) == expected


def test_figure_s2_is_standard_adam_over_four_by_four_decades():
    lrs, decays = (1e-2, 1e-3, 1e-4, 1e-5), (1e-6, 1e-5, 1e-4, 1e-3)
    expected = {("cifar10", "adam", "constant", "raw", 1800, lr, wd) for lr in lrs for wd in decays}
    assert {place(job) for job in cells("figureS2")} == expected


def test_figure_4_has_three_optimizers_that_anneal_once_and_two_that_restart_on_either_task():
    jobs = cells("figure4")
    assert Counter((job.task.name, job.schedule.name) for job in jobs) == {
        ("cifar10", "cosine"): 3, ("cifar10", "warm_restarts"): 2,
        ("imagenet32", "cosine"): 3, ("imagenet32", "warm_restarts"): 2,
    }  # fmt: skip
    for job in jobs:
        if job.schedule.name == "warm_restarts":
            first, total = (100, 1500) if job.task.name == "cifar10" else (10, 150)
            assert job.schedule["t_0"] == first
            assert job.schedule["t_mult"] == 2
            assert job.epochs == total == first * (1 + 2 + 4 + 8)
        assert job.decay.name == ("raw" if job.optim.name == "adam" else "normalized")
        assert job.lr == (0.05 if job.optim.name == "sgdw" else 0.001)


def test_normalized_decay_of_a_restart_is_that_of_a_run_as_long_as_the_restart(blank_images):
    """On ImageNet32x32 the four restarts take 10, 20, 40 and 80 epochs of 10,010 steps."""
    job = next(j for j in cells("figure4", "data_dir=blank")
               if place(j)[:3] == ("imagenet32", "adamw", "warm_restarts"))  # fmt: skip
    task = build.build_task(job)
    budget = build.build_budget(job, task)
    schedule = build.build_schedule(job, budget)
    weight_decay, scale = build.build_decay(job, budget, len(task.train), schedule)
    for epoch, length in ((0, 10), (10, 20), (30, 40), (70, 80)):
        expected = 0.025 * (128 / (1_281_167 * length)) ** 0.5
        assert weight_decay * scale(epoch * 10_010) == pytest.approx(expected)
    assert cut_restart(schedule, budget.steps_per_epoch) is None


@pytest.mark.parametrize("figure", FIGURES)
def test_all_train_the_papers_network_in_its_batches(figure):
    width = 64 if figure in ("figure1", "figure2", "figureS3") else 96
    for job in cells(figure):
        assert job.model.name == f"shake_shake_{width}d"
        assert (job.model["depth"], job.model["width"]) == (26, width)
        assert (job.batch_size, job.seed, job.no_decay) == (128, 0, "none")
        assert job.betas == (0.9, 0.999)
        assert job.optim.get("momentum", 0.9) == 0.9
        assert (job.task["train_size"], job.task["pool"]) == (None, 1)
        if job.schedule.name == "step":
            assert job.schedule.settings["milestones"] == [0.3, 0.6, 0.8]
        assert job.epochs / job.eval_every == int(job.epochs / job.eval_every)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_header_tells_the_runs_that_there_are_and_how_to_start_them(figure):
    text = (grid.CONFIGS / "experiment" / f"{figure}.yaml").read_text()
    header = text[: text.index("defaults:")]
    assert int(re.search(r"([\d,]+) runs", header)[1]) == len(grid.planned(figure))
    assert f"train.py -m experiment={figure} hydra/launcher=slurm" in header
    assert f"analyze.py experiment={figure}\n" in header
    flop, prefix, all_ = re.search(r"([\d.]+) ([PE])FLOP( in all)?", header).groups()
    total = float(flop) * {"P": 1e15, "E": 1e18}[prefix]
    total *= 1 if all_ else len(grid.planned(figure))
    hours = int(re.search(r"([\d,]+) GPU-hours", header)[1].replace(",", ""))
    assert hours == pytest.approx(total / 52e12 / 3600, rel=0.03)
    assert (
        "at the 52 TFLOP/s that one process reached with Shake-Shake 26 2x64d on an H100" in header
    )


@pytest.mark.parametrize("figure", FIGURES)
def test_every_kind_of_cell_takes_two_steps(figure, fake_cifar, fake_imagenet32, tmp_path):
    words = (*SMALL, f"data_dir={fake_cifar}", f"cache_dir={tmp_path / 'cache'}")
    kinds = {place(job)[:4]: job for job in cells(figure, *words)}
    for job in kinds.values():
        trainer = make_trainer(job)
        before = trainer.model.head.weight.clone()
        for _ in range(2):
            trainer.train_step()
        assert trainer.step == 2
        assert all(p.isfinite().all() for p in trainer.model.parameters())
        assert not torch.equal(before, trainer.model.head.weight)


@pytest.mark.parametrize("name", ["figure4", "law_cautious"])
def test_a_plan_that_was_run_has_no_missing_cells(name):
    """Whatever its axes are: restarts that only some cells have, or words, numbers and booleans."""
    rows = []
    for i, job in enumerate(cells(name)):
        values = dict.fromkeys(("weight_decay", "steps", "train_size", "eta_sum", "seconds"), 1)
        values |= dict.fromkeys(("commit", "torch", "device", "precision", "date"), "x")
        row = describe(job, f"{i:016x}") | values | {"epochs": job.epochs, "threads": 1}
        rows.append(complete(row | {"status": "finished", "test_error": 3.0}))
    runs = frame(merge([], rows))
    planned = grid.planned(name)
    assert missing_runs(runs, planned).empty
    assert len(missing_runs(runs[1:], planned)) == 1
