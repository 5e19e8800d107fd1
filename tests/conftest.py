"""What several folders of tests need: one thread, signals, and small data."""

import io
import signal
import string
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.tasks import cifar, imagenet32, text
from experiments.tasks.image_cache import Images


@pytest.fixture(autouse=True, scope="session")
def signals_reach_us():
    """Undo what nohup and background jobs do: children inherit signals that are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Work in an empty folder, where runs/ and results/ then appear."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake_cifar(tmp_path):
    """A folder in Hugging Face's layout with 40 training and 20 test images of random pixels."""
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    generator = np.random.default_rng(0)
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    for part, size in (("train", 40), ("test", 20)):
        pixels = generator.integers(0, 256, (size, 32, 32, 3), dtype=np.uint8)
        encoded = []
        for image in pixels:
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            encoded.append({"bytes": buffer.getvalue(), "path": None})
        labels = np.arange(size) % 10
        table = pyarrow.table({"img": encoded, "label": labels})
        pyarrow.parquet.write_table(table, folder / f"{part}-00000-of-00001.parquet")
        np.save(folder / f"{part}.npy", pixels)
    return folder.parent


@pytest.fixture
def blank_images(monkeypatch):
    """CIFAR and ImageNet32x32 at their full sizes and black all over; memory is never touched."""
    for module, sizes in ((cifar, (50_000, 10_000)), (imagenet32, (1_281_167, 50_000))):
        arrays = [
            np.zeros(shape, kind)
            for size in sizes
            for shape, kind in (((size, 32, 32, 3), np.uint8), (size, np.int64))
        ]
        blank = Images(*arrays, "blank")
        monkeypatch.setattr(module, "load", lambda *arguments, blank=blank: blank)


@pytest.fixture
def blank_text(monkeypatch):
    """Shakespeare at about his full length, one letter after the other."""
    monkeypatch.setattr(text, "shakespeare_file", lambda data_dir: Path(data_dir))
    monkeypatch.setattr(text, "read_text", lambda file: string.printable * 11_000)


@pytest.fixture
def fake_imagenet32(tmp_path):
    """A folder with ten training files of 4 random images and 20 to validate."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "data" / "imagenet32"
    folder.mkdir(parents=True)
    for name, size in [*((f"train_data_batch_{i}", 4) for i in range(1, 11)), ("val_data", 20)]:
        content = {
            "data": generator.integers(0, 256, (size, 3072), dtype=np.uint8),
            "labels": np.array([1, 1000, *generator.integers(1, 1001, size - 2)]),
            "mean": generator.random(3072),
        }
        np.savez(folder / f"{name}.npz", **content)
    return folder.parent
