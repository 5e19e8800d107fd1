import os
import pickle
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


def batches(folder):
    return [pickle.loads((folder / f"train_data_batch_{i}").read_bytes()) for i in range(1, 11)]


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
    validation = pickle.loads((folder / "val_data").read_bytes())
    assert np.array_equal(images.test, expected(validation))
    assert images.train.dtype == images.test.dtype == np.uint8


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_any_protocol_and_of_older_numpy_are_read(read, folder, protocol):
    wanted = batches(folder)
    for i, batch in enumerate(wanted, start=1):
        content = pickle.dumps(batch | {"data": np.asfortranarray(batch["data"])}, protocol)
        if protocol < 4:  # written as numpy 1 wrote it, whose module had another name
            content = content.replace(b"numpy._core", b"numpy.core")
        (folder / f"train_data_batch_{i}").write_bytes(content)
    assert_is(read(), wanted)


def test_labels_may_be_numpy_numbers_or_a_big_endian_array(read, folder):
    wanted = batches(folder)
    as_numbers = wanted[0] | {"labels": [np.int64(label) for label in wanted[0]["labels"]]}
    as_array = wanted[1] | {"labels": np.array(wanted[1]["labels"], dtype=">i4")}
    for i, batch in enumerate((as_numbers, as_array), start=1):
        (folder / f"train_data_batch_{i}").write_bytes(pickle.dumps(batch))
    assert_is(read(), wanted)


def test_files_with_npz_are_read_and_a_second_load_reads_the_cache(read, folder, monkeypatch):
    wanted = batches(folder)
    for i, batch in enumerate(wanted, start=1):
        (folder / f"train_data_batch_{i}").unlink()
        np.savez(folder / f"train_data_batch_{i}.npz", **batch)
    images = read()
    assert_is(images, wanted)
    assert isinstance(images.train, np.memmap)
    monkeypatch.setattr(imagenet32_files, "_chunk", None)  # nothing is decoded again
    assert read().fingerprint == images.fingerprint


class Attack:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("attacked",)


class Codec:
    """Asks for a codec of the attacker's choice."""

    def __reduce__(self):
        import codecs

        return codecs.encode, ("attack", "rot13")


@pytest.mark.parametrize(
    "attack",
    [
        Attack(),
        Codec(),
        np.array([Attack()], dtype=object),
        np.array([1, "text"], dtype=object),
        np.array(["text"]),
    ],
)
def test_a_pickle_that_could_run_code_is_refused_by_name(read, folder, in_tmp, attack):
    for content in (attack, {"data": attack, "labels": [1]}):
        (folder / "train_data_batch_3").write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match="train_data_batch_3 is refused, for it") as error:
            read()
        assert "\n" not in str(error.value)
    assert not Path("attacked").exists()


def test_an_npz_that_holds_objects_is_refused(read, folder, in_tmp):
    (folder / "val_data").unlink()
    np.savez(folder / "val_data.npz", data=np.array([Attack()], dtype=object), labels=[1])
    with pytest.raises(UserError, match=r"val_data.npz is damaged"):
        read()
    assert not Path("attacked").exists()


DAMAGE = {
    "is damaged": lambda batch: pickle.dumps(batch)[:500],
    "lacks 'labels'": lambda batch: pickle.dumps({"data": batch["data"]}),
    r"outside 1\.\.1000": lambda batch: pickle.dumps(batch | {"labels": [0, 1, 2, 3]}),
    r"a label lies outside": lambda batch: pickle.dumps(batch | {"labels": [1, 2, 3, 1001]}),
    "4 images, 3 labels": lambda batch: pickle.dumps(batch | {"labels": [1, 2, 3]}),
    "data are float64": lambda batch: pickle.dumps(batch | {"data": batch["data"] / 255}),
    "ImageNet32x32: cannot": lambda batch: pickle.dumps(batch | {"data": batch["data"][:, 1:]}),
    "0 images": lambda batch: pickle.dumps({key: batch[key][:0] for key in ("data", "labels")}),
    "needs data and labels|does not hold": lambda batch: pickle.dumps([1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_is_named_in_one_line_and_not_cached(read, folder, message):
    file = folder / "train_data_batch_7"
    file.write_bytes(DAMAGE[message](pickle.loads(file.read_bytes())))
    with pytest.raises(UserError, match=f"train_data_batch_7.*({message})") as error:
        read()
    assert "\n" not in str(error.value)
    assert not list(folder.parent.parent.glob("cache/*"))


def test_a_file_that_is_missing_is_named_with_where_to_get_it(read, folder):
    (folder / "train_data_batch_4").unlink()
    with pytest.raises(UserError, match=r"train_data_batch_4 is not there.*Unpack.*data_dir=PATH"):
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
