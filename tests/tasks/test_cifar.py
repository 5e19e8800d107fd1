import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.errors import UserError
from experiments.tasks.cifar import MEAN, STD, cifar
from experiments.tasks.cifar_files import load
from experiments.tasks.images import Normalize, flip_and_crop


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


def test_parquet_is_decoded_to_the_images_that_were_encoded(fake_cifar, cache):
    images = load(10, str(fake_cifar), cache)
    assert np.array_equal(images.train, np.load(fake_cifar / "cifar10" / "train.npy"))
    assert np.array_equal(images.test, np.load(fake_cifar / "cifar10" / "test.npy"))
    assert images.train_labels.tolist() == [i % 10 for i in range(40)]


def test_a_second_load_reads_the_cache_and_a_changed_file_is_decoded_anew(fake_cifar, cache):
    first = load(10, str(fake_cifar), cache)
    train, test = sorted((fake_cifar / "cifar10").glob("*.parquet"), reverse=True)
    assert load(10, str(fake_cifar), cache).fingerprint == first.fingerprint
    shutil.copy(test, train)
    changed = load(10, str(fake_cifar), cache)
    assert changed.fingerprint != first.fingerprint
    assert len(changed.train) == 20


def test_an_image_that_is_changed_in_memory_leaves_the_cache_as_it_was(fake_cifar, cache):
    images = load(10, str(fake_cifar), cache)
    images.train[0] = 0
    assert load(10, str(fake_cifar), cache).train[0].any()


def write_torchvision_layout(folder, monkeypatch):
    """CIFAR-10 as pickled batches of 4 images, with torchvision's checksums set to match."""
    from torchvision.datasets import CIFAR10

    folder.mkdir(parents=True)
    lists = {"train_list": [f"data_batch_{i}" for i in range(1, 6)], "test_list": ["test_batch"]}
    for attribute, names in lists.items():
        checked = []
        for i, name in enumerate(names):
            data = np.full((4, 3072), i, dtype=np.uint8)
            content = pickle.dumps({"data": data, "labels": [0, 1, 2, 3]})
            (folder / name).write_bytes(content)
            checked.append([name, hashlib.md5(content).hexdigest()])
        monkeypatch.setattr(CIFAR10, attribute, checked)
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    (folder / "batches.meta").write_bytes(meta)
    described = {"filename": "batches.meta", "key": "label_names",
                 "md5": hashlib.md5(meta).hexdigest()}  # fmt: skip
    monkeypatch.setattr(CIFAR10, "meta", described)


def test_torchvision_batches_are_read_after_their_checksums(tmp_path, cache, monkeypatch):
    folder = tmp_path / "data" / "cifar-10-batches-py"
    write_torchvision_layout(folder, monkeypatch)
    images = load(10, str(tmp_path / "data"), cache)
    assert images.train.shape == (20, 32, 32, 3)
    assert images.train[:, 0, 0, 0].tolist() == [i for i in range(5) for _ in range(4)]
    (folder / "data_batch_2").write_bytes(b"not what was published")
    with pytest.raises(UserError, match="damaged or incomplete"):
        load(10, str(tmp_path / "data"), cache)


def test_without_files_or_network_the_three_ways_are_named(tmp_path, cache, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", no_network)
    with pytest.raises(UserError, match=r"cifar-10-batches-py.*parquet.*Three ways") as error:
        load(10, str(tmp_path), cache)
    assert "\n" not in str(error.value)


def test_without_a_folder_noise_of_the_right_size_stands_in_and_takes_no_memory(cache):
    images = load(10, None, cache)
    assert images.train.shape == (50_000, 32, 32, 3)
    assert images.test.shape == (10_000, 32, 32, 3)
    assert set(images.train_labels.tolist()) == set(range(10))
    first, second, last = images.train[0], images.train[1], images.train[-1]
    assert not np.array_equal(first, second)
    assert 100 < last.mean() < 155
    low, high = np.lib.array_utils.byte_bounds(images.train)
    assert high - low < 60_000
    assert load(100, None, cache).test_labels.max() == 99
    assert not list(Path(cache).glob("*"))


def damage(file, how):
    import pyarrow
    import pyarrow.parquet

    if how == "truncated":
        file.write_bytes(file.read_bytes()[:500])
    elif how == "wrong column":
        table = pyarrow.parquet.read_table(file).rename_columns(["img", "class"])
        pyarrow.parquet.write_table(table, file)
    elif how == "no image":
        images = [{"bytes": b"nothing", "path": None}] * 20
        pyarrow.parquet.write_table(pyarrow.table({"img": images, "label": [0] * 20}), file)
    elif how == "label 10":
        table = pyarrow.parquet.read_table(file)
        labels = pyarrow.array([10] * 20)
        pyarrow.parquet.write_table(table.set_column(1, "label", labels), file)


@pytest.mark.parametrize("how", ["truncated", "wrong column", "no image", "label 10"])
def test_a_damaged_file_is_named_in_one_line_and_not_cached(fake_cifar, cache, how):
    file = fake_cifar / "cifar10" / "test-00000-of-00001.parquet"
    damage(file, how)
    with pytest.raises(UserError, match=file.name) as error:
        load(10, str(fake_cifar), cache)
    assert "\n" not in str(error.value)
    assert not list(fake_cifar.parent.glob("cache/cifar10-*"))


def test_the_reduced_task_averages_pixels_and_keeps_the_first_images(fake_cifar, cache):
    task = cifar(classes=10, data_dir=str(fake_cifar), cache_dir=cache, train_size=8, pool=2,
                 crop=False)  # fmt: skip
    pixels = np.load(fake_cifar / "cifar10" / "train.npy")[:8].astype(np.float64)
    mean = pixels.reshape(8, 16, 2, 16, 2, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    assert task.train.inputs.shape == (8, 3, 16, 16)
    np.testing.assert_allclose(task.train.inputs.numpy(), mean, atol=1e-4)
    assert len(task.test) == 20


@pytest.mark.parametrize("bad", [{"train_size": 0}, {"train_size": 41}, {"pool": 3}])
def test_an_impossible_reduction_is_refused(fake_cifar, cache, bad):
    with pytest.raises(UserError, match=f"task.{next(iter(bad))}.*got"):
        cifar(classes=10, data_dir=str(fake_cifar), cache_dir=cache, **bad)


def test_normalizing_gives_the_channel_statistics_of_the_paper():
    images = torch.tensor(MEAN).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    normalize = Normalize(MEAN, STD)
    assert normalize(images).abs().max() < 1e-6
    assert torch.allclose(normalize(images + torch.tensor(STD).view(3, 1, 1)), torch.ones(()))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_half_of_the_images_are_mirrored():
    images = torch.arange(4.0).expand(1000, 1, 2, 4)
    out = flip_and_crop(images, generator(), flip=True, padding=0)
    mirrored = (out[:, 0, 0, 0] == 3).float().mean()
    assert 0.45 < mirrored < 0.55
    assert torch.equal(out.sort(-1).values, images)


def test_a_crop_is_a_shift_by_up_to_the_padding_with_zeros_moving_in():
    image = torch.arange(1.0, 26).view(1, 1, 5, 5)
    out = flip_and_crop(image.expand(500, -1, -1, -1), generator(), flip=False, padding=2)
    padded = torch.nn.functional.pad(image, [2] * 4)[0, 0]
    windows = {tuple(padded[y : y + 5, x : x + 5].flatten().tolist()): (y, x)
               for y in range(5) for x in range(5)}  # fmt: skip
    seen = {windows[tuple(crop.flatten().tolist())] for crop in out}
    assert len(seen) == 25


def test_augmentation_is_a_function_of_its_generator():
    images = torch.rand(16, 3, 8, 8)
    one, same, other = (
        flip_and_crop(images, generator(s), flip=True, padding=4) for s in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
