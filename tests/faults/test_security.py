"""What is read is data, what is written stays in its place, and secrets stay out of both."""

import ast
import io
import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.errors import UserError
from experiments.record import identity
from experiments.record.checkpoint import HEAD, MAGIC, Checkpoints, Damaged, load
from experiments.run.cell import run
from experiments.tasks import cifar_files
from tests.faults.children import TINY, ended, fork, train
from tests.tiny_runs import composed

ROOT = Path(__file__).parents[2]


class Attack:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("attacked",)


def signed(content):
    import hashlib

    return MAGIC + hashlib.sha256(content).digest() + content


def test_a_checkpoint_that_holds_code_is_refused_even_with_a_right_checksum(in_tmp):
    buffer = io.BytesIO()
    torch.save({"trainer": Attack()}, buffer)
    for content in (buffer.getvalue(), pickle.dumps(Attack(), protocol=2)):
        Path("checkpoint.pt").write_bytes(signed(content))
        assert len(signed(content)) == HEAD + len(content)
        with pytest.raises(Damaged):
            load(Path("checkpoint.pt"), "cpu")
        assert list(Checkpoints(in_tmp / "checkpoint.pt").states("cpu")) == []
    assert not Path("attacked").exists()


def test_a_cached_array_that_holds_objects_is_refused(fake_cifar, in_tmp):
    cifar_files.load(10, str(fake_cifar), "cache")
    (file,) = Path("cache").glob("*/train.npy")
    np.save(file, np.array([Attack()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="train.npy is damaged"):
        cifar_files.load(10, str(fake_cifar), "cache")
    assert not Path("attacked").exists()


def test_torchvisions_pickles_are_read_only_after_its_own_checksums_agree(in_tmp):
    folder = Path("data/cifar-10-batches-py")
    folder.mkdir(parents=True)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Attack()))
    with pytest.raises(UserError, match="damaged"):
        cifar_files.load(10, "data", "cache")
    assert not Path("attacked").exists()


def test_our_code_unpickles_nothing_and_reads_yaml_through_omegaconf_only():
    risky = {"pickle", "cloudpickle", "dill", "joblib", "yaml", "shelve", "marshal"}
    calls = {"eval", "exec", "unsafe_load", "system"}
    packages = ("experiments", "optim", "hydra_plugins")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    for path in [*ROOT.glob("*.py"), *files]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
                allowed = {"pickle"} if path.name == "checkpoint.py" else set()  # for its error
                assert not names & risky - allowed, path
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                assert name not in calls or "model" in ast.unparse(node.func), path
                assert not ast.unparse(node.func).startswith("pickle."), path
                if ast.unparse(node.func) == "torch.load":
                    assert given["weights_only"].value is True
                assert "allow_pickle" not in given, path
                assert "shell" not in given, path


@pytest.mark.parametrize("name", ["../up", "/abs", "a\nb", "a/b", "x" * 300, "é", "", ".", ".."])
def test_a_name_that_could_leave_the_runs_folder_is_refused(in_tmp, name):
    config = composed(*TINY)
    config.name = name
    with pytest.raises(UserError, match="name must be a plain folder name"):
        run(config, in_tmp / "a")
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize("name", ["../../up", "/abs", "a\nb", "é" * 300, "\x00", "..", "$(rm x)"])
def test_a_cells_folder_is_one_plain_name_whatever_is_in_its_configuration(name):
    config = {key: name for key in identity.DECISIVE} | {
        "task": {"name": name}, "model": {"name": name}, "optim": {"name": name},
        "lr": 0.1, "wd": float("1e-300"), "seed": 10**30,
    }  # fmt: skip
    cell = identity.cell_name(config, identity.identity(config, None))
    assert Path(cell).name == cell
    assert cell.isascii()
    assert cell.isprintable()
    assert len(cell) <= 120


def test_a_login_key_is_written_nowhere(in_tmp, monkeypatch):
    key = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert ended(fork(train, (*TINY, "tracker=wandb"), "a")) == 0
    files = [path for path in in_tmp.rglob("*") if path.is_file()]
    assert Path("a/config.yaml") in [path.relative_to(in_tmp) for path in files]
    assert any(path.suffix == ".wandb" for path in files)
    for path in files:
        assert key.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_what_is_written_has_the_persons_umask(in_tmp, mask):
    def masked():
        os.umask(mask)
        train((*TINY, "checkpoint_every=1e-9"), "runs/a", lambda s: os._exit(7) if s == 9 else None)

    assert ended(fork(masked)) == 7
    paths = [Path("runs"), *Path("runs").rglob("*")]
    assert len(paths) > 4
    for path in paths:
        full = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == full & ~mask, path
