"""Which cells train together, and how many."""

from dataclasses import replace
from functools import partial

import pytest

from experiments.record.folder import RunFolder
from experiments.run.bundle import run_bundle
from experiments.run.cell import course, run_cell
from experiments.run.schema import RunConfig
from experiments.sweep import grid, pool
from experiments.sweep.cell import Cell
from experiments.sweep.packing import bundles, in_a_process, kind, that_fill
from experiments.sweep.pool import run_cells
from tests.tiny_runs import TINY, build_config, run_config


def cell(tmp_path, number, *words):
    return Cell(build_config(*words).plain(), tmp_path, str(number))


@pytest.mark.parametrize(
    ("word", "same"),
    [("lr=0.5", True), ("wd=0.5", True), ("optim=sgd", True), ("seed=3", True),
     ("betas=[0.5,0.5]", True), ("no_decay=norm_and_bias", True), ("name=another", True),
     ("epochs=5", False), ("batch_size=9", False), ("schedule=constant", False),
     ("model.width=16", False), ("task.modulus=11", False), ("decay=normalized", False),
     ("precision=bf16", False), ("capture=false", False), ("validation_size=3", False)],
)  # fmt: skip
def test_cells_train_together_if_they_agree_on_all_but_the_optimizer_and_the_seed(word, same):
    assert (kind(build_config()) == kind(build_config(word))) is same


def test_bundles_hold_cells_of_one_kind_evenly_and_seeds_stand_together(tmp_path):
    words = [f"seed={n % 2}" for n in range(7)] + ["epochs=5", "epochs=5"]
    cells = {n + 10: cell(tmp_path, n, word) for n, word in enumerate(words)}
    assert bundles(cells, 1, lambda config: 4) == [[10, 12, 14, 16], [11, 13, 15], [17, 18]]
    assert bundles(cells, 1, lambda config: 100) == [[10, 12, 14, 16, 11, 13, 15], [17, 18]]


def test_no_slot_is_idle_as_long_as_there_are_cells(tmp_path):
    cells = {n: cell(tmp_path, n, f"seed={n}") for n in range(5)}
    assert list(map(len, bundles(cells, 3, lambda config: 100))) == [2, 1, 2]
    assert bundles(cells, 9, lambda config: 100) == [[n] for n in range(5)]


def test_cells_that_train_alone_stay_in_their_order(tmp_path):
    words = ["seed=1", "epochs=5", "seed=0", "epochs=6"]
    cells = {n: cell(tmp_path, n, word) for n, word in enumerate(words)}
    assert bundles(cells, 2, lambda config: 1) == [[0], [1], [2], [3]]


def test_the_larger_the_network_the_fewer_cells_fill_a_gpu(blank_images):
    assert that_fill(run_config("task=modular")) == 64
    for words, cells in (
        (["task=cifar10", "optim=adamw"], 16),
        (["task=cifar10", "model=shake_shake_64d"], 4),
        (["task=cifar10", "compile=true"], 16),
    ):
        assert that_fill(run_config("data_dir=data", *words)) == cells


@pytest.mark.parametrize(
    ("cells_per_gpu", "jobs_per_gpu", "gpu", "expected"),
    [("auto", 1, True, 64), ("auto", 2, True, 32), ("auto", 2, False, 1), (5, 1, True, 5),
     (5, 2, True, 3), (5, 2, False, 5), (1, 4, True, 1)],
)  # fmt: skip
def test_the_processes_of_a_gpu_share_its_cells(cells_per_gpu, jobs_per_gpu, gpu, expected):
    at_once = in_a_process(cells_per_gpu, jobs_per_gpu, gpu=gpu)
    assert at_once(build_config()) == expected


def test_a_pool_runs_bundles_and_reports_every_cell(tmp_path):
    seeds = [0, 1, 2, 3]
    cells = [cell(tmp_path, n, *TINY, f"seed={n}", f"lr={1e30 if n == 2 else 0.01}") for n in seeds]
    (tmp_path / "3").write_text("where the folder of the last cell should be")
    outcomes = {o.index: o for o in run_cells(cells, ["cpu"], 5, at_once=lambda config: 3)}
    assert sorted(outcomes) == seeds
    for n in (0, 1):
        assert outcomes[n].error == RunFolder(cells[n].folder).row()["test_error"]
    assert outcomes[2].error == float("inf")
    assert outcomes[3].failure is not None


def test_of_cells_whose_process_was_killed_those_that_had_ended_have_their_results(tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    row = run_cell(build_config(), whole)
    outcomes = [pool._of_the_dead(-9, n, folder) for n, folder in enumerate((whole, half))]
    assert outcomes[0] == pool.Outcome(0, error=row["test_error"])
    assert outcomes[1].failure.startswith("its process was killed by SIGKILL")
    assert RunFolder(half).failure() == outcomes[1].failure


def test_the_figure_2_of_a_gpu_is_one_kind_of_cells_and_trains_in_bundles(fake_cifar, tmp_path):
    """At a reduced size; the whole needs a GPU."""
    jobs = [RunConfig.from_plain(job) for job in grid.jobs("figure2_gpu")]
    assert len(jobs) == 4 * 8 * 8 * 3
    assert len({kind(config) for config in jobs}) == 1
    words = ("experiment=figure2_gpu", "task.pool=4", "epochs=1", "eval_every=1", "tracker=none",
             "progress=false", f"data_dir={fake_cifar}", f"cache_dir={tmp_path}")  # fmt: skip
    config = run_config(*words)
    starts = {
        n: partial(course, replace(config, optim=job.optim, lr=job.lr), tmp_path / str(n))
        for n, job in enumerate({job.optim.name: job for job in jobs}.values())
    }
    rows = [row for _, row in run_bundle(starts)]
    assert {row["status"] for row in rows} == {"finished"}
    assert {row["optim"] for row in rows} == {"adamw", "adam", "sgdw", "sgd"}
    assert len({row["test_loss"] for row in rows}) == 4
