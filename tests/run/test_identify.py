"""What the data were is part of which run it is, but for those of the committed results."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from omegaconf import OmegaConf

from experiments.errors import UserError
from experiments.record.identity import cell_name, identity
from experiments.run import build, trainer
from experiments.run.cell import run
from experiments.run.identify import run_identity
from experiments.sweep.cell import MARK, Cell
from experiments.tasks import cifar
from experiments.tasks.cifar_files import load
from tests.tiny_runs import build_config, composed, dying_at, run_config

IMAGES = ("task=cifar10_small", "tracker=none", "progress=false", "task.train_size=40", "epochs=1",
          "batch_size=16", "model.width=4", "threads=1")  # fmt: skip


@pytest.fixture
def other_order(fake_cifar, tmp_path):
    """The same images as in ``fake_cifar``, the training images the other way round."""
    folder = tmp_path / "reversed" / "cifar10"
    shutil.copytree(fake_cifar / "cifar10", folder)
    file = folder / "train-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table.take(np.arange(40)[::-1]), file)
    return folder.parent


@pytest.fixture
def same_images(fake_cifar, tmp_path):
    """The images of ``fake_cifar`` in other files: two shards, other names of the columns."""
    folder = tmp_path / "shards" / "cifar10" / "plain_text"
    folder.mkdir(parents=True)
    for part, shards in (("train", 2), ("test", 1)):
        whole = pyarrow.parquet.read_table(
            fake_cifar / "cifar10" / f"{part}-00000-of-00001.parquet"
        ).rename_columns(["image", "labels"])
        size = len(whole) // shards
        for i in range(shards):
            file = folder / f"{part}-{i:05d}-of-{shards:05d}.parquet"
            pyarrow.parquet.write_table(whole.slice(i * size, size), file)
    return folder.parents[1]


@pytest.fixture
def words(tmp_path):
    return lambda data, *more: (
        *IMAGES, f"data_dir={data}", f"cache_dir={tmp_path / 'cache'}", *more
    )  # fmt: skip


@pytest.fixture
def reference(fake_cifar, tmp_path, monkeypatch):
    """Let the committed results have been made with ``fake_cifar``; return its fingerprint."""
    fingerprint = load(10, str(fake_cifar), str(tmp_path / "cache")).fingerprint
    monkeypatch.setitem(cifar.REFERENCE, 10, fingerprint)
    return fingerprint


def cell_of(config, sweep):
    job = config.plain()
    return Cell(job, sweep, MARK)


def commit(row):
    table = Path("results") / "adhoc" / "runs.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(f"id,test_error\n{row['id']},12.5\n")


def test_data_of_the_committed_results_go_without_saying(fake_cifar, words, reference, in_tmp):
    config = run_config(*words(fake_cifar))
    assert run_identity(config) == identity(config.plain(), None)
    assert run(composed(*words(fake_cifar)), in_tmp / "a")["data"] is None


def test_other_data_are_another_run_in_another_folder_and_recorded(
    fake_cifar, other_order, words, reference, in_tmp
):
    configs = [run_config(*words(folder)) for folder in (fake_cifar, other_order)]
    ids = [run_identity(config) for config in configs]
    assert ids[0] != ids[1]
    folders = [cell_of(config, in_tmp).folder for config in configs]
    names = [cell_name(c.plain(), i) for c, i in zip(configs, ids, strict=True)]
    assert [folder.name for folder in folders] == names
    assert folders[0] != folders[1]
    row = run(composed(*words(other_order)), in_tmp / "b")
    assert row["id"] == ids[1]
    other = load(10, str(other_order), str(in_tmp / "cache")).fingerprint
    assert row["data"] == json.loads((in_tmp / "b" / "result.json").read_text())["data"] == other
    with pytest.raises(UserError, match="holds another run"):
        run(composed(*words(fake_cifar)), in_tmp / "b")


def test_equal_images_in_other_files_are_the_same_run(
    fake_cifar, same_images, words, in_tmp, monkeypatch
):
    row = run(composed(*words(fake_cifar)), in_tmp / "a")
    monkeypatch.setattr(trainer.Trainer, "run", None)
    assert run(composed(*words(same_images)), in_tmp / "a") == row


def test_a_committed_row_is_used_for_its_own_data_only(
    fake_cifar, other_order, words, reference, in_tmp, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    commit(run(composed(*words(fake_cifar)), in_tmp / "a"))
    assert run(composed(*words(fake_cifar)), in_tmp / "b")["test_error"] == "12.5"
    assert "other data" not in caplog.text
    row = run(composed(*words(other_order)), in_tmp / "c")
    assert row["test_error"] != "12.5"
    said = [line for line in caplog.text.splitlines() if "other data" in line]
    assert len(said) == 1
    for word in (reference, row["data"], "results/adhoc/runs.csv", "results_dir=PATH"):
        assert word in said[0]


def test_a_sweep_says_once_that_committed_rows_are_of_other_data(
    fake_cifar, other_order, words, reference, in_tmp, caplog
):
    from hydra_plugins.decay_lab.sweeper import _missing

    commit(run(composed(*words(fake_cifar)), in_tmp / "a"))
    for data, missing in ((fake_cifar, [1]), (other_order, [0, 1])):
        caplog.clear()
        configs = [run_config(*words(data, *more)) for more in ((), ("lr=0.5",))]
        cells = [cell_of(config, in_tmp / "runs") for config in configs]
        assert _missing(cells) == [cells[i] for i in missing]
        assert caplog.text.count("other data") == (data == other_order)
    assert "1 of 2 cells, as here: results/adhoc/runs.csv has this run on other" in caplog.text


def test_rows_on_data_without_committed_results_are_not_spoken_of(
    fake_cifar, words, in_tmp, caplog
):
    caplog.set_level(logging.INFO)
    run(composed(*words(fake_cifar)), in_tmp / "a")
    assert "other data" not in caplog.text


def test_without_data_a_run_says_so_and_its_folder_has_a_name(words, in_tmp, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", no_network)
    config = run_config(*words(in_tmp / "nothing"))
    plain = config.plain()
    folder = cell_of(config, in_tmp).folder
    assert folder.name == cell_name(plain, identity(plain, None))
    with pytest.raises(UserError, match="no CIFAR-10 in"):
        run(composed(*words(in_tmp / "nothing")), folder)
    assert not folder.exists()
    commit({"id": identity(plain, None)})
    assert run(composed(*words(in_tmp / "nothing")), folder)["test_error"] == "12.5"
    with pytest.raises(UserError, match="no CIFAR-10 in"):
        run(composed(*words(in_tmp / "nothing", "seed=1")), folder)


@pytest.mark.parametrize("task", ["task=modular", "task=modular_divide"])
def test_generated_data_go_without_saying(task):
    config = build_config(task)
    assert run_identity(config) == identity(config.plain(), None)


def test_data_of_a_task_that_names_no_reference_are_always_part_of_the_run(monkeypatch):
    config = build_config()
    task = build.whole_task(config)
    monkeypatch.setattr(build, "whole_task", lambda config: replace(task, reference=None))
    assert run_identity(config) == identity(config.plain(), task.fingerprint)


def killed(words, folder, monkeypatch):
    with dying_at(2, monkeypatch):
        run(composed(*words), folder)


def test_a_checkpoint_that_holds_a_hash_of_the_files_goes_on(
    fake_cifar, words, reference, in_tmp, monkeypatch
):
    words = words(fake_cifar, "checkpoint_every=1e-9")
    files_hash = build.whole_task(run_config(*words)).files_hash
    original = build.build_task
    with monkeypatch.context() as patched:  # as it was written before there were fingerprints
        patched.setattr(
            build, "build_task", lambda config: replace(original(config), fingerprint=files_hash)
        )
        killed(words, in_tmp / "a", monkeypatch)
    whole = run(composed(*words), in_tmp / "whole")
    begun = []
    run_once = trainer.Trainer.run
    with monkeypatch.context() as patched:
        patched.setattr(
            trainer.Trainer, "run", lambda self, s: begun.append(self.step) or run_once(self, s)
        )
        row = run(composed(*words), in_tmp / "a")
    assert begun[0] > 0
    assert row["test_loss"] == whole["test_loss"]


def test_a_checkpoint_of_other_data_is_refused(fake_cifar, other_order, words, in_tmp, monkeypatch):
    words_of = words
    words = words_of(fake_cifar, "checkpoint_every=1e-9")
    task = build.build_task(run_config(*words_of(other_order)))
    with monkeypatch.context() as patched:
        patched.setattr(build, "build_task", lambda config: task)
        killed(words, in_tmp / "a", monkeypatch)
    with pytest.raises(UserError, match="the data changed since"):
        run(composed(*words), in_tmp / "a")


def test_a_configuration_that_is_wrong_still_gets_a_folder_name():
    job = build_config().plain()
    job["task"]["modulus"] = "seven"
    assert Cell(job, Path(), MARK).name.startswith("adamw-lr=")
    with pytest.raises(UserError):
        run(OmegaConf.create(job), Path("runs/x"))
