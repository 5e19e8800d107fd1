"""Two processes never write one run folder, and a dead one never keeps it."""

import errno
import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest

from experiments.record import lock
from experiments.record.lock import Busy, Lock, holder
from tests.faults.children import BUSY, LONG, ended, fork, outcome, slowly, train, trained, until


@pytest.fixture
def quick(monkeypatch):
    """Signs of life every tenth of a second."""
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "SILENCE", 0.6)


@pytest.fixture(params=["NFS without its lock daemon", "Windows"])
def no_locks(request, monkeypatch, quick):
    """A file system, or a Python, that keeps no locks."""

    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    if request.param == "Windows":
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)


def hold(folder, seconds=60):
    with Lock(Path(folder, "lock")):
        Path(folder, "held").touch()
        time.sleep(seconds)


def held_by_child(folder, **options):
    pid = fork(hold, folder, *options.values())
    until((folder / "held").exists)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    ended(pid)


def test_of_two_processes_on_one_cell_one_leaves_and_the_other_is_undisturbed(in_tmp):
    trained(LONG, "whole")
    first = fork(train, LONG, "a", slowly, log="first.log")
    until(Path("a/checkpoint.pt").exists)
    second = fork(train, LONG, "a", log="second.log")
    codes = [ended(first), ended(second)]
    assert codes == [0, BUSY]
    assert "a is being run by another process (process" in Path("second.log").read_text()
    assert outcome("a") == outcome("whole")
    assert not Path("a/failed.json").exists()


def test_two_processes_that_start_together_on_a_new_cell_do_not_disturb_each_other(in_tmp):
    trained(LONG, "whole")
    codes = sorted(ended(pid) for pid in [fork(train, LONG, "a") for _ in range(3)])
    assert codes[0] == 0
    assert set(codes) <= {0, BUSY}
    assert outcome("a") == outcome("whole")


def test_a_killed_holder_holds_no_more(in_tmp):
    end(held_by_child(in_tmp))
    with Lock(in_tmp / "lock"):
        assert holder(in_tmp / "lock")["pid"] == os.getpid()
    assert holder(in_tmp / "lock") is None
    assert not (in_tmp / "lock").exists()


def test_who_holds_a_folder_can_be_asked_without_taking_it(in_tmp):
    pid = held_by_child(in_tmp)
    assert holder(in_tmp / "lock")["pid"] == pid
    with pytest.raises(Busy, match=f"process {pid} on "), Lock(in_tmp / "lock"):
        pass
    end(pid)
    assert holder(in_tmp / "lock") is None


def test_without_locks_signs_of_life_keep_others_out(in_tmp, no_locks):
    pid = held_by_child(in_tmp)
    with pytest.raises(Busy), Lock(in_tmp / "lock"):
        pass
    end(pid)


def test_without_locks_a_dead_holder_is_outwaited(in_tmp, no_locks):
    end(held_by_child(in_tmp))
    with Lock(in_tmp / "lock") as mine:
        assert mine.holds()


def test_without_locks_one_of_two_that_start_together_gets_the_folder(in_tmp, no_locks):
    pids = [fork(hold, in_tmp, 1.5) for _ in range(2)]
    assert sorted(ended(pid) for pid in pids) == [0, BUSY]


def test_where_an_open_file_cannot_be_removed_a_holder_that_left_is_not_waited_for(
    in_tmp, no_locks, monkeypatch
):
    def refuse(*arguments, **options):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    with Lock(in_tmp / "lock"):
        pass
    monkeypatch.setattr(lock, "SILENCE", 1e9)
    with Lock(in_tmp / "lock") as mine:
        assert mine.holds()


def foreign(**values):
    """The record of a process on another machine whose lock this machine does not see."""
    record = {"host": "elsewhere", "pid": 1, "job": "", "token": "t", "beat": 3} | values
    Path("lock").write_text(json.dumps(record))


def test_a_holder_on_another_machine_that_gives_signs_of_life_is_respected(in_tmp, quick):
    foreign()

    def living():
        for beat in range(100):
            foreign(beat=beat)
            time.sleep(0.1)

    pid = fork(living)
    with pytest.raises(Busy, match="on elsewhere"), Lock(in_tmp / "lock"):
        pass
    end(pid)


def test_a_holder_on_another_machine_that_gives_none_is_dead(in_tmp, quick):
    foreign()
    with Lock(in_tmp / "lock"):
        assert json.loads(Path("lock").read_text())["pid"] == os.getpid()


def test_a_job_that_was_requeued_to_another_machine_does_not_wait_for_itself(in_tmp, monkeypatch):
    monkeypatch.setattr(lock, "SILENCE", 1e9)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    foreign(job="12_3")
    with Lock(in_tmp / "lock") as mine:
        assert mine.holds()


def test_a_folder_removed_and_made_again_is_not_held_any_more(in_tmp):
    folder = in_tmp / "a"
    folder.mkdir()
    with Lock(Path(folder, "lock")) as mine:
        (folder / "lock").unlink()
        assert not mine.holds()
        (folder / "lock").touch()
        assert not mine.holds()
    assert (folder / "lock").exists()  # it is another's
