import io
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.errors import UserError
from experiments.run import build
from experiments.tasks import Examples, imagenet32_files
from experiments.tasks.imagenet32 import MEAN, imagenet32
from experiments.tasks.imagenet32_files import load
from tests.tiny_runs import make_trainer, run_config


@pytest.fixture
def folder(fake_imagenet32):
    return fake_imagenet32 / "imagenet32"


@pytest.fixture
def read(fake_imagenet32, tmp_path):
    return lambda: load(str(fake_imagenet32), str(tmp_path / "cache"))


def batch(file):
    with np.load(file) as archive:
        return dict(archive)


def batches(folder):
    return [batch(folder / f"train_data_batch_{i}.npz") for i in range(1, 11)]


def expected(batch):
    """(N, H, W, 3) of planes one after the other."""
    return batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def assert_is(images, wanted):
    assert np.array_equal(images.train, np.concatenate([expected(batch) for batch in wanted]))
    labels = [label - 1 for batch in wanted for label in batch["labels"]]
    assert images.train_labels.tolist() == labels
    assert (min(labels), max(labels)) == (0, 999)


def test_the_ten_files_are_read_in_order_with_labels_from_zero(read, folder):
    images = read()
    assert_is(images, batches(folder))
    assert np.array_equal(images.test, expected(batch(folder / "val_data.npz")))
    assert images.train.dtype == images.test.dtype == np.uint8


def test_compressed_files_lists_and_big_endian_labels_are_read(read, folder):
    wanted = batches(folder)
    for i, content in enumerate(wanted, start=1):
        kind = ">i4" if i % 2 else np.uint16
        changed = content | {"labels": content["labels"].astype(kind)}
        np.savez_compressed(folder / f"train_data_batch_{i}.npz", **changed)
    assert_is(read(), wanted)


def test_a_second_load_reads_the_cache(read, folder, monkeypatch):
    images = read()
    assert isinstance(images.train, np.memmap)
    monkeypatch.setattr(imagenet32_files, "_chunk", None)  # nothing is decoded again
    assert read().fingerprint == images.fingerprint


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_are_refused_with_a_command_that_converts_them(read, folder, protocol):
    wanted, images = batches(folder), read()
    for file in list(folder.glob("*.npz")):
        content = batch(file)
        content["labels"] = content["labels"].tolist()  # as they are handed out
        file.with_suffix("").write_bytes(pickle.dumps(content, protocol))
        file.unlink()
    with pytest.raises(UserError, match="train_data_batch_1 is a pickle.*convert them") as error:
        read()
    assert "\n" not in str(error.value)
    command = str(error.value).split("convert them once: ")[1]
    python = f"{shlex.quote(sys.executable)} -c"
    subprocess.run(command.replace("python -c", python), shell=True, check=True)
    assert_is(read(), wanted)
    assert read().fingerprint == images.fingerprint


class Attack:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_a_file_that_could_run_code_is_refused(read, folder, in_tmp):
    file = folder / "train_data_batch_3.npz"
    content = batch(file)
    for objects in ({"data": np.array([Attack()], dtype=object)}, {"labels": np.array([Attack()])}):
        np.savez(file, **(content | objects))
        with pytest.raises(UserError, match=r"train_data_batch_3.npz is damaged"):
            read()
    file.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(UserError, match=r"train_data_batch_3.npz is damaged"):
        read()
    assert not Path("attacked").exists()


def npz(content):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def flipped(content):
    """A compressed file of which one byte is another."""
    whole = bytearray(npz(content))
    whole[1000] ^= 0xFF  # of the images
    return bytes(whole)


DAMAGE = {
    "is damaged: it is not what numpy.savez writes": lambda batch: npz(batch)[:500],
    "is damaged: (Error|Bad)": flipped,
    "is not what numpy.savez": lambda batch: npy(batch["data"]),
    "lacks 'labels'": lambda batch: npz({"data": batch["data"]}),
    r"outside 1\.\.1000": lambda batch: npz(batch | {"labels": np.array([0, 1, 2, 3])}),
    r"a label lies outside": lambda batch: npz(batch | {"labels": np.array([1, 2, 3, 1001])}),
    "4 images, 3 labels": lambda batch: npz(batch | {"labels": np.array([1, 2, 3])}),
    "data are float64": lambda batch: npz(batch | {"data": batch["data"] / 255}),
    "ImageNet32x32: cannot": lambda batch: npz(batch | {"data": batch["data"][:, 1:]}),
    "0 images": lambda batch: npz({key: batch[key][:0] for key in ("data", "labels")}),
    "does not hold": lambda batch: npz(batch | {"labels": np.array(5)}),
}  # fmt: skip


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_is_named_in_one_line_and_not_cached(read, folder, message):
    file = folder / "train_data_batch_7.npz"
    file.write_bytes(DAMAGE[message](batch(file)))
    with pytest.raises(UserError, match=f"train_data_batch_7.npz.*({message})") as error:
        read()
    assert "\n" not in str(error.value)
    assert not list(folder.parent.parent.glob("cache/*"))


def test_a_file_that_is_missing_is_named_with_where_to_get_it(read, folder):
    (folder / "train_data_batch_4.npz").unlink()
    with pytest.raises(
        UserError, match=r"train_data_batch_4.npz is not there.*Unpack.*data_dir=PATH"
    ):
        read()


def test_images_are_normalized_as_the_authors_do(fake_imagenet32, tmp_path):
    task = imagenet32(data_dir=str(fake_imagenet32), cache_dir=str(tmp_path / "cache"))
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    assert task.prepare(mean.expand(2, 3, 4, 4)).abs().max() < 1e-6
    assert torch.allclose(task.prepare(mean + 255), torch.ones(()))
    assert task.augment is not None
    assert task.network == {"channels": 3, "classes": 1000}


@pytest.mark.parametrize(("top", "wrong"), [(1, 4), (2, 3), (3, 2), (5, 1)])
def test_an_error_is_a_class_that_is_not_among_the_likeliest(fake_imagenet32, tmp_path, top, wrong):
    task = imagenet32(data_dir=str(fake_imagenet32), cache_dir=str(tmp_path / "cache"), top=top)
    logits = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0, 0.0]]).expand(5, 6)
    labels = torch.tensor([0, 1, 2, 3, 5])  # of ranks 1, 2, 3, 4 and 6
    assert task.errors(logits, labels).item() == wrong


def test_the_loop_reports_top_5_errors(fake_imagenet32, tmp_path):
    words = ("task=imagenet32", "task.pool=8", "model=shake_shake_32d", "model.width=2",
             "model.depth=8", f"data_dir={fake_imagenet32}", f"cache_dir={tmp_path / 'cache'}",
             "tracker=none", "batch_size=8")  # fmt: skip
    trainer = make_trainer(run_config(*words))
    trainer.model = RankedByIndex()
    labels = torch.tensor([0, 4, 5, 999])
    examples = Examples(torch.zeros(4, 3, 4, 4), labels)
    assert trainer.evaluate("test", examples)["test_error"] == 50


class RankedByIndex(torch.nn.Module):
    """Finds class 0 likeliest, then class 1, and so on."""

    def forward(self, images):
        return -torch.arange(1000.0).expand(len(images), -1)


@pytest.mark.parametrize("top", [0, 1000])
def test_a_top_that_would_count_all_or_nothing_is_refused(fake_imagenet32, tmp_path, top):
    words = ("task=imagenet32", f"task.top={top}", f"data_dir={fake_imagenet32}",
             f"cache_dir={tmp_path / 'cache'}")  # fmt: skip
    with pytest.raises(UserError, match=rf"task.top must lie in \[1, 1000\).*got {top}"):
        build.build_task(run_config(*words))
