"""Damaged, torn, missing, replaced and unwritable files."""

import os
import resource
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from experiments.record.checkpoint import Checkpoints, load
from experiments.record.files import write_atomically
from experiments.record.folder import RunFolder
from tests.faults.children import (
    FAILED,
    LONG,
    TINY,
    ended,
    fork,
    left_behind,
    outcome,
    train,
    trained,
    until,
)

CPU = torch.device("cpu")
SHORT = (*LONG, "epochs=40")  # 120 steps


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)  # where the child leaves its log
        trained(SHORT, "whole")
    return outcome(str(folder / "whole"))


def killed_at(step, folder="a"):
    """Leave a run folder as a run leaves it that dies before its step ``step``."""
    assert ended(fork(train, SHORT, folder, lambda s: os._exit(7) if s == step else None)) == 7


def go_on(folder="a"):
    trained(SHORT, folder)
    assert left_behind(folder) == set()
    return Path("child.log").read_text()


def cut(content):
    return content[: len(content) // 2]


def flip_in_the_middle(content):
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def flip_in_the_checksum(content):
    return content[:30] + bytes([content[30] ^ 128]) + content[31:]


DAMAGES = [cut, flip_in_the_middle, flip_in_the_checksum, lambda content: b""]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(in_tmp, whole, damage):
    killed_at(60)
    newest = Path("a/checkpoint.pt")
    newest.write_bytes(damage(newest.read_bytes()))
    said = go_on()
    assert "a/checkpoint.pt is damaged" in said
    assert "going on from step 59 of 120" in said
    assert outcome("a") == whole


def test_with_both_checkpoints_damaged_a_run_starts_anew(in_tmp, whole):
    killed_at(60)
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        Path("a", name).write_bytes(cut(Path("a", name).read_bytes()))
    assert "going on" not in go_on()
    assert outcome("a") == whole


def test_a_damaged_checkpoint_never_takes_the_place_of_the_good_one(in_tmp):
    checkpoints = Checkpoints(in_tmp / "checkpoint.pt")
    checkpoints.save({"step": 1})
    checkpoints.save({"step": 2})
    checkpoints.newest.write_bytes(b"damaged")
    assert next(checkpoints.states(CPU)) == {"step": 1}
    checkpoints.save({"step": 3})
    assert [state["step"] for state in checkpoints.states(CPU)] == [3, 1]


def test_between_the_two_renames_of_a_checkpoint_the_one_before_it_is_there(in_tmp, monkeypatch):
    checkpoints = Checkpoints(in_tmp / "checkpoint.pt")
    checkpoints.save({"step": 1})
    replace = os.replace

    def dying(source, target):
        if Path(target) == checkpoints.newest:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save({"step": 2})
    assert next(checkpoints.states(CPU)) == {"step": 1}


@pytest.mark.parametrize("torn", ['{"step": 60, "epo', '{"step": 60}\n{"step": 61', "\x00\x00"])
def test_a_torn_last_line_of_the_metrics_is_cut_off(in_tmp, whole, torn):
    killed_at(60)
    with Path("a/metrics.jsonl").open("a") as metrics:
        metrics.write(torn)
    go_on()
    assert outcome("a") == whole


def test_metrics_that_lost_lines_take_the_run_back_to_where_they_are_whole(in_tmp, whole):
    killed_at(60)  # the newest checkpoint counts on the line of step 60, the one before does not
    metrics = Path("a/metrics.jsonl")
    assert metrics.read_text().count("\n") == 1
    metrics.write_bytes(b"")
    said = go_on()
    assert "lost lines" in said
    assert "going on from step 59 of 120" in said
    assert outcome("a") == whole


def test_what_a_killed_writer_left_aside_is_removed(in_tmp, whole):
    killed_at(60)
    for name in (".checkpoint.next.pt.4711", ".result.json.12"):
        Path("a", name).write_bytes(b"half")
    Path("a/checkpoint.next.pt").write_bytes(b"half")
    go_on()
    assert outcome("a") == whole


def test_a_file_size_limit_ends_the_run_clearly_and_it_goes_on_without_it(in_tmp, whole):
    def limited(step):
        if step == 50:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    assert ended(fork(train, SHORT, "a", limited)) == FAILED
    assert "cannot write a/checkpoint.pt: File too large" in RunFolder(Path("a")).failure()
    assert load(Path("a/checkpoint.pt"), CPU)["trainer"]["step"] == 50
    assert "goes on when there is room" in RunFolder(Path("a")).failure()
    assert "going on from step 50" in go_on()
    assert outcome("a") == whole


def test_a_file_is_on_disk_before_its_name_and_its_name_before_the_next_step(in_tmp, monkeypatch):
    """What a power failure may cost cannot be tried here; the order of the calls can be seen."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def synced(handle):
        calls.append(("fsync", Path(os.readlink(f"/proc/self/fd/{handle}")).name))
        fsync(handle)

    def replaced(source, target):
        calls.append(("replace", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_atomically(in_tmp / "result.json", b"{}")
    aside = f".result.json.{os.getpid()}"
    assert calls == [("fsync", aside), ("replace", "result.json"), ("fsync", in_tmp.name)]


@pytest.fixture
def small_disk(in_tmp):
    folder = in_tmp / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_clearly_and_it_goes_on_when_there_is_room(small_disk, whole):
    ballast, folder = small_disk / "ballast", str(small_disk / "a")

    def fill(step):
        if step == 50:
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(1000)):
                    pass

    assert ended(fork(train, SHORT, folder, fill)) == FAILED
    assert "No space left on device" in Path("child.log").read_text()
    states = list(Checkpoints(Path(folder, "checkpoint.pt")).states(CPU))
    assert [state["trainer"]["step"] for state in states] == [50, 49]
    ballast.unlink()
    assert "going on from step 50" in go_on(folder)
    assert outcome(folder) == whole


def test_a_run_whose_folder_is_removed_says_so_and_makes_no_new_one(in_tmp, whole):
    def remove(step):
        if step == 50:
            shutil.rmtree("a")

    assert ended(fork(train, SHORT, "a", remove)) == FAILED
    assert "the run folder a was removed while the run went on" in Path("child.log").read_text()
    assert not Path("a").exists()
    go_on()
    assert outcome("a") == whole


def test_a_run_whose_folder_was_replaced_leaves_the_new_one_alone(in_tmp, whole):
    def renamed(step):
        if step == 50:
            Path("a").rename("gone")
            until(Path("go").exists)

    first = fork(train, SHORT, "a", renamed)
    until(Path("gone").exists)
    second = fork(train, SHORT, "a", log="second.log")
    until(Path("a/metrics.jsonl").exists)
    Path("go").touch()
    assert ended(first) == FAILED
    assert ended(second) == 0
    assert outcome("a") == whole


def test_a_data_file_replaced_since_the_start_is_refused_until_it_is_back(fake_cifar, in_tmp):
    words = (*TINY[:2], "task=cifar10_small", f"data_dir={fake_cifar}", "task.train_size=16",
             f"cache_dir={in_tmp / 'cache'}", "epochs=4", "batch_size=8", "model.width=4",
             "checkpoint_every=1e-9")  # fmt: skip
    die = lambda step: os._exit(7) if step == 5 else None  # noqa: E731
    assert ended(fork(train, words, "a", die)) == 7
    train_file, test_file = sorted((fake_cifar / "cifar10").glob("*.parquet"), reverse=True)
    original = train_file.read_bytes()
    shutil.copy(test_file, train_file)
    assert ended(fork(train, words, "a")) == FAILED
    said = Path("child.log").read_text()
    assert "a holds another run (see its config.yaml, or other data)" in said
    train_file.write_bytes(original)
    trained(words, "a")
    trained(words, "whole")
    assert outcome("a") == outcome("whole")
