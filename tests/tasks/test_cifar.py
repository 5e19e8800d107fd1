import hashlib
import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from experiments.errors import UserError
from experiments.tasks import cifar_layouts
from experiments.tasks.cifar import MEAN, STD, cifar
from experiments.tasks.cifar_files import load
from experiments.tasks.cifar_layouts import NAMES
from experiments.tasks.images import FlipAndCrop, Normalize


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


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def data_of(classes, per_class=2):
    """Images and labels of each part; the classes come mixed."""
    generator = np.random.default_rng(classes)
    parts = {}
    for part, size in (("train", classes * per_class), ("test", classes)):
        pixels = generator.integers(0, 256, (size, 32, 32, 3), dtype=np.uint8)
        parts[part] = pixels, generator.permutation(size) % classes
    return parts


def planes(pixels):
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), 3072)


def as_torchvision(folder, parts, names):
    """Pickled batches, with torchvision's checksums set to match."""
    classes, patched = len(names), {}

    def write(name, content):
        file = here / name
        file.write_bytes(pickle.dumps(content))
        return [name, hashlib.md5(file.read_bytes()).hexdigest()]

    here = folder / cifar_layouts.TORCHVISION[classes]
    here.mkdir(parents=True)
    key, meta = ("labels", "batches.meta") if classes == 10 else ("fine_labels", "meta")
    for part, (pixels, labels) in parts.items():
        pieces = 5 if (part, classes) == ("train", 10) else 1
        named = [f"data_batch_{i}" for i in range(1, 6)] if pieces == 5 else [part]
        named = ["test_batch"] if (part, classes) == ("test", 10) else named
        patched[f"{part}_list"] = [
            write(name, {"data": planes(some), key: some_labels.tolist()})
            for name, some, some_labels in zip(
                named, np.array_split(pixels, pieces), np.array_split(labels, pieces), strict=True
            )
        ]
    key = "label_names" if classes == 10 else "fine_label_names"
    name, md5 = write(meta, {key: list(names)})
    patched["meta"] = {"filename": name, "key": key, "md5": md5}
    for attribute, value in patched.items():
        setattr(cifar_layouts.torchvision_class(classes), attribute, value)


def as_binary(folder, parts, names):
    classes = len(names)
    here = folder / cifar_layouts.BINARY[classes]
    here.mkdir(parents=True)
    for part, (pixels, labels) in parts.items():
        columns = [labels[:, None]] if classes == 10 else [labels[:, None] // 5, labels[:, None]]
        records = np.concatenate([*columns, planes(pixels)], axis=1).astype(np.uint8)
        if classes == 100:
            records.tofile(here / f"{part}.bin")
        elif part == "test":
            records.tofile(here / "test_batch.bin")
        else:
            for i, some in enumerate(np.array_split(records, 5), start=1):
                some.tofile(here / f"data_batch_{i}.bin")
    file = "batches.meta.txt" if classes == 10 else "fine_label_names.txt"
    (here / file).write_text("\n".join(names) + "\n\n")


def parquet(where, image, label, shards=1, described=True, plain=False):
    """Return what writes parquet files with these columns."""

    def write(folder, parts, names):
        for part, (pixels, labels) in parts.items():
            pieces = shards if part == "train" else 1
            for i, (some, some_labels) in enumerate(
                zip(np.array_split(pixels, pieces), np.array_split(labels, pieces), strict=True)
            ):
                encoded = [png(one) if plain else {"bytes": png(one), "path": "a"} for one in some]
                columns = {image: encoded, label: some_labels, "coarse_label": some_labels // 5}
                table = pyarrow.table(columns)
                if described:
                    features = {label: {"names": list(names), "_type": "ClassLabel"}}
                    described_as = json.dumps({"info": {"features": features}})
                    table = table.replace_schema_metadata({"huggingface": described_as})
                file = folder / where.format(part=part, i=i, of=pieces)
                file.parent.mkdir(parents=True, exist_ok=True)
                pyarrow.parquet.write_table(table, file)

    return write


def as_folders(folder, parts, names):
    for part, (pixels, labels) in parts.items():
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            file = folder / part / names[label] / f"{i}_{names[label]}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(image))


SHARD = "{part}-{i:05d}-of-{of:05d}.parquet"
LAYOUTS = {
    10: {
        "torchvision": as_torchvision,
        "binary": as_binary,
        "parquet": parquet("cifar10/" + SHARD, "img", "label", described=False),
        "the Hub's": parquet("cifar10/plain_text/" + SHARD, "img", "label", shards=3),
        "the Hub's, itself": parquet("plain_text/" + SHARD, "image", "labels", shards=12),
        "converted": parquet("cifar10/plain_text/{part}/{i:04d}.parquet", "image", "label", 2),
        "one file": parquet("cifar10/data/{part}.parquet", "img", "labels", plain=True),
        "folders": as_folders,
        "folders below": lambda folder, *rest: as_folders(folder / "cifar10", *rest),
    },
    100: {
        "torchvision": as_torchvision,
        "binary": as_binary,
        "the Hub's": parquet("cifar100/cifar100/" + SHARD, "img", "fine_label", shards=2),
        "parquet": parquet("cifar100/" + SHARD, "image", "label"),
        "folders": as_folders,
    },
}


@pytest.fixture
def patched_torchvision(monkeypatch):
    """Undo what as_torchvision does to the checksums."""
    for classes in (10, 100):
        for attribute in ("train_list", "test_list", "meta"):
            kind = cifar_layouts.torchvision_class(classes)
            monkeypatch.setattr(kind, attribute, getattr(kind, attribute))


@pytest.mark.parametrize(
    ("classes", "layout"), [(n, layout) for n, layouts in LAYOUTS.items() for layout in layouts]
)
def test_equal_images_are_equal_data_in_any_layout(
    tmp_path, cache, patched_torchvision, classes, layout
):
    parts = data_of(classes)
    LAYOUTS[classes][layout](tmp_path, parts, NAMES[classes])
    images = load(classes, str(tmp_path), cache)
    for part, (pixels, labels) in parts.items():
        assert np.array_equal(getattr(images, part), pixels)
        assert getattr(images, f"{part}_labels").tolist() == labels.tolist()
    digest = hashlib.sha256()
    for array in (*parts["train"], *parts["test"]):
        digest.update(hashlib.sha256(np.ascontiguousarray(array)).digest())
    assert images.fingerprint == digest.hexdigest()[:16]
    assert load(classes, str(tmp_path), cache).fingerprint == images.fingerprint


@pytest.mark.parametrize("name", ["cifar-10-batches-bin", "cifar-10-batches-py"])
def test_data_dir_may_be_the_folder_of_the_batches(tmp_path, cache, patched_torchvision, name):
    write = as_binary if name.endswith("bin") else as_torchvision
    write(tmp_path, data_of(10), NAMES[10])
    assert len(load(10, str(tmp_path / name), cache).train) == 20


def test_the_names_are_those_that_torchvision_lists_in_the_order_of_folders():
    assert NAMES[10][:3] == ("airplane", "automobile", "bird")
    for classes, names in NAMES.items():
        assert len(set(names)) == classes
        assert sorted(names) == list(names)


def test_a_misspelt_or_capital_name_is_the_class_that_is_meant(tmp_path, cache):
    names = ["cra" if name == "crab" else name.replace("_", "-").title() for name in NAMES[100]]
    as_folders(tmp_path, data_of(100), names)
    images = load(100, str(tmp_path), cache)
    assert images.train_labels.tolist() == data_of(100)["train"][1].tolist()


@pytest.mark.parametrize("layout", ["torchvision", "binary", "the Hub's"])
def test_classes_in_another_order_are_refused(tmp_path, cache, patched_torchvision, layout):
    names = [*NAMES[10][:3], "dog", "deer", "cat", *NAMES[10][6:]]
    LAYOUTS[10][layout](tmp_path, data_of(10), names)
    with pytest.raises(UserError, match="names class 3 'dog'; in CIFAR-10 it is 'cat'") as error:
        load(10, str(tmp_path), cache)
    assert "\n" not in str(error.value)
    assert not list(Path(cache).glob("cifar10-*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "train/cat").rename(f / "train/kitten"), "class 3 'deer'; .* 'cat'"),
        (lambda f: (f / "train/new").mkdir(), "cannot read a folder of images a class in .*train"),
        (lambda f: shutil.rmtree(f / "test"), "cannot read a folder of images a class in .*test"),
        (lambda f: shutil.rmtree(f / "test/dog"), "test names 9 classes, CIFAR-10 has 10"),
        (lambda f: next(f.glob("train/cat/*")).write_bytes(b"?"), "cat.png is damaged: cannot"),
        (lambda f: Image.new("RGB", (31, 32)).save(next(f.glob("test/cat/*"))), "cat.png is no 32"),
    ],
)
def test_incomplete_folders_are_refused(tmp_path, cache, change, said):
    as_folders(tmp_path, data_of(10), NAMES[10])
    change(tmp_path)
    with pytest.raises(UserError, match=said) as error:
        load(10, str(tmp_path), cache)
    assert "\n" not in str(error.value)


def test_where_each_class_counts_from_the_start_the_first_images_are_of_all_classes(
    tmp_path, cache
):
    parts = data_of(10, per_class=12)
    for part, (pixels, labels) in parts.items():
        counts = [0] * 10
        for image, label in zip(pixels, labels, strict=True):
            counts[label] += 1
            file = tmp_path / part / NAMES[10][label] / f"{NAMES[10][label]}{counts[label]}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(image))
    images = load(10, str(tmp_path), cache)
    assert images.train_labels.tolist() == list(range(10)) * 12
    pixels, labels = parts["train"]
    assert np.array_equal(images.train[3::10], pixels[labels == 3])


def test_an_image_that_moved_to_another_folder_is_read_anew(tmp_path, cache):
    as_folders(tmp_path, data_of(10), NAMES[10])
    first = load(10, str(tmp_path), cache)
    file = next((tmp_path / "train" / "cat").iterdir())
    file.rename(tmp_path / "train" / "dog" / file.name)
    second = load(10, str(tmp_path), cache)
    assert (second.train_labels == 5).sum() == (first.train_labels == 5).sum() + 1
    assert second.fingerprint != first.fingerprint


def reordered(parts):
    pixels, labels = parts["train"]
    return parts | {"train": (pixels[::-1], labels[::-1])}


def relabelled(parts):
    pixels, labels = parts["train"]
    return parts | {"train": (pixels, np.roll(labels, 1))}


def repainted(parts):
    pixels = parts["test"][0].copy()
    pixels[3, 5, 7, 1] ^= 1
    return parts | {"test": (pixels, parts["test"][1])}


@pytest.mark.parametrize("change", [reordered, relabelled, repainted])
def test_another_order_other_labels_and_other_bytes_are_other_data(tmp_path, cache, change):
    prints = []
    for i, parts in enumerate((data_of(10), change(data_of(10)))):
        as_binary(tmp_path / str(i), parts, NAMES[10])
        prints.append(load(10, str(tmp_path / str(i)), cache).fingerprint)
    assert prints[0] != prints[1]


def test_the_fingerprint_is_kept_beside_the_arrays(fake_cifar, cache):
    first = load(10, str(fake_cifar), cache).fingerprint
    (kept,) = Path(cache).glob("cifar10-*/fingerprint")
    assert kept.read_text() == first
    kept.write_text("0123456789abcdef")
    assert load(10, str(fake_cifar), cache).fingerprint == "0123456789abcdef"
    for left in ("", "0123456789abcd", "no fingerprint  "):
        kept.write_text(left)
        assert load(10, str(fake_cifar), cache).fingerprint == first
    kept.unlink()  # as in a cache from before there was one
    assert load(10, str(fake_cifar), cache).fingerprint == kept.read_text() == first


def test_torchvision_batches_are_read_after_their_checksums(tmp_path, cache, patched_torchvision):
    as_torchvision(tmp_path, data_of(10), NAMES[10])
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"not what was published")
    with pytest.raises(UserError, match="damaged or incomplete"):
        load(10, str(tmp_path), cache)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("train-00001-of-00003.parquet", "has 2 of the 3 shards that train-00000-of-00003.parquet"),
        ("test-00000-of-00001.parquet", "train-00000-of-00003.parquet is there, but no test-"),
    ],
)
def test_a_missing_parquet_file_is_named(tmp_path, cache, missing, said):
    LAYOUTS[10]["the Hub's"](tmp_path, data_of(10), NAMES[10])
    (tmp_path / "cifar10" / "plain_text" / missing).unlink()
    with pytest.raises(UserError, match=said):
        load(10, str(tmp_path), cache)


def test_a_binary_file_that_was_cut_short_is_named(tmp_path, cache):
    as_binary(tmp_path, data_of(10), NAMES[10])
    file = tmp_path / "cifar-10-batches-bin" / "data_batch_4.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="data_batch_4.bin is damaged: .* no multiple of 3073"):
        load(10, str(tmp_path), cache)
    file.unlink()
    with pytest.raises(UserError, match="cannot read .*data_batch_4.bin: No such file"):
        load(10, str(tmp_path), cache)


def test_cifar_10_is_not_taken_for_cifar_100(tmp_path, cache):
    parquet("cifar100/" + SHARD, "img", "label", described=False)(tmp_path, data_of(10), NAMES[10])
    with pytest.raises(UserError, match="no label above 9, CIFAR-100 goes to 99"):
        load(100, str(tmp_path), cache)


def test_without_files_or_network_all_that_was_looked_for_is_listed(tmp_path, cache, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", no_network)
    for classes, words in {
        10: ["cifar-10-batches-py/", "cifar-10-batches-bin/", "plain_text/", "train/airplane/"],
        100: ["cifar-100-python/", "cifar-100-binary/", "cifar100/", "train/apple/"],
    }.items():
        with pytest.raises(UserError, match=f"no CIFAR-{classes} in ") as error:
            load(classes, str(tmp_path), cache)
        said = str(error.value)
        assert "\n" not in said
        for word in [*words, "train-*.parquet", str(tmp_path), f"{tmp_path}/cifar{classes}"]:
            assert word in said


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


def augmented(images, *, flip, padding, seed=0):
    augment = FlipAndCrop(flip, padding)
    draws = augment.draw(len(images), torch.Generator().manual_seed(seed))
    return augment(images, draws)


def test_half_of_the_images_are_mirrored():
    images = torch.arange(4.0).expand(1000, 1, 2, 4)
    out = augmented(images, flip=True, padding=0)
    mirrored = (out[:, 0, 0, 0] == 3).float().mean()
    assert 0.45 < mirrored < 0.55
    assert torch.equal(out.sort(-1).values, images)


def test_a_crop_is_a_shift_by_up_to_the_padding_with_zeros_moving_in():
    image = torch.arange(1.0, 26).view(1, 1, 5, 5)
    out = augmented(image.expand(500, -1, -1, -1), flip=False, padding=2)
    padded = torch.nn.functional.pad(image, [2] * 4)[0, 0]
    windows = {tuple(padded[y : y + 5, x : x + 5].flatten().tolist()): (y, x)
               for y in range(5) for x in range(5)}  # fmt: skip
    seen = {windows[tuple(crop.flatten().tolist())] for crop in out}
    assert len(seen) == 25


def test_augmentation_is_a_function_of_its_generator():
    images = torch.rand(16, 3, 8, 8)
    one, same, other = (augmented(images, flip=True, padding=4, seed=s) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
