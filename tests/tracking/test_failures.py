"""Whatever W&B does, the run goes on, ends in good time, and one warning says what happened."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

SURVIVES = """
cell("before")
cell("hit", middle={middle})
cell("after")
"""


def warnings(output):
    return [line for line in output.splitlines() if line.startswith("WARNING")]


def done(output):
    return [line.split()[1] for line in output.splitlines() if line.startswith("done")]


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_killed_service_costs_one_mirror_and_no_run(mode, python, server, login, tmp_path):
    output = python(SURVIVES.format(middle="kill_service"), env=login | {"WANDB_MODE": mode})
    assert done(output) == ["before", "hit", "after"]
    (warning,) = warnings(output)
    assert warning.startswith("WARNING W&B stops mirroring cell hit, which goes on: ")
    if mode == "online":
        assert server.runs["after"].summary["id"] == "after"
    else:
        assert list(tmp_path.glob("runs/after/wandb/*/run-after.wandb"))


def test_between_runs_and_at_the_end_there_is_no_service_that_could_be_killed(python):
    code = SURVIVES.format(middle="kill_service").replace("\n", "\nprint('left', *cores())\n")
    assert [line for line in python(code).splitlines() if "left" in line] == ["left"] * 4


def test_a_kept_service_is_one_for_many_runs_and_gives_way_to_another_if_killed(python, tmp_path):
    code = "WandbTracker.keep_service = True\ncell('first')\nprint('left', *cores())"
    code += SURVIVES.format(middle="kill_service").replace("\n", "\nprint('left', *cores())\n")
    output = python(code)
    left = [line.split()[1:] for line in output.splitlines() if line.startswith("left")]
    first, _, before, hit, after = left
    assert first == before != after
    assert (hit, len(after)) == ([], 1)
    assert len(warnings(output)) == 1
    assert list(tmp_path.glob("runs/after/wandb/*/run-after.wandb"))


@pytest.mark.parametrize("state", ["failing", "hanging"])
def test_a_kept_service_goes_offline_where_the_server_fails(state, python, server, login, tmp_path):
    setattr(server, state, True)
    code = "WandbTracker.keep_service = True\ncell('a', init_timeout=1)\ncell('b')"
    assert done(python(code, env=login)) == ["a", "b"]
    for name in "ab":
        assert list(tmp_path.glob(f"runs/{name}/wandb/offline-run-*/run-{name}.wandb"))


def test_a_service_that_hangs_is_waited_for_once(python):
    code = SURVIVES.format(middle="lambda: kill_service(signal.SIGSTOP)")
    code = code.replace('"hit"', '"hit", init_timeout=1') + "print('left', *cores())"
    output = python("import experiments.tracking.mirror as t\nt.GRACE = 0\n" + code)
    for pid in output.partition("left")[2].split():
        os.kill(int(pid), signal.SIGKILL)
    assert done(output) == ["before", "hit", "after"]
    assert warnings(output) == [
        "WARNING W&B is switched off and the run goes on: W&B does not answer"
    ]


@pytest.mark.parametrize("state", ["failing", "hanging"])
def test_a_server_lost_in_the_middle_is_waited_for_once(state, python, server, login, tmp_path):
    code = SURVIVES.format(middle=f"lambda: server_is('{state}')").replace(
        '"hit"', '"hit", init_timeout=1'
    )
    output = python(code, env=login)
    assert done(output) == ["before", "hit", "after"]
    assert len(warnings(output)) == 1
    assert server.runs["before"].state == "finished"
    (file,) = tmp_path.glob("runs/hit/wandb/run-*/run-hit.wandb")  # `wandb sync` finds it whole
    assert b"test_error" in file.read_bytes()
    assert list(tmp_path.glob("runs/after/wandb/offline-run-*"))


@pytest.mark.parametrize("state", ["failing", "hanging", "absent"])
def test_a_key_without_a_network_means_offline_and_only_the_first_run_waits(
    state, python, server, login, tmp_path
):
    variables = login
    if state == "absent":
        variables = login | {"WANDB_BASE_URL": "http://127.0.0.1:9"}
    else:
        setattr(server, state, True)
    output = python("cell('a', init_timeout=1)\nprint('---')\ncell('b')", env=variables)
    first, second = output.split("---\n")
    assert [line.split(":")[0] for line in first.splitlines()] == [
        *("WARNING W&B goes offline", "INFO W&B", "done a")
    ]
    assert [line.split("`")[0] for line in second.splitlines()] == [
        *("INFO W&B: offline; upload with ", "done b")
    ]
    for name in "ab":
        assert list(tmp_path.glob(f"runs/{name}/wandb/offline-run-*/run-{name}.wandb"))


def test_a_malformed_key_means_offline_also_where_there_is_no_input_to_ask(python, server):
    output = python("os.close(0)\ncell('a')\ncell('b')", env={"WANDB_API_KEY": "short"})
    assert len(warnings(output)) == 1
    assert output.count("W&B: offline") == 2
    assert server.requests == []


LONG = """
cell("a", range(1500))
cell("b", range(1500))
"""


def test_a_full_disk_costs_no_run(python, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=200k none {small} && exec "
    if subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mount} true"], capture_output=True
    ).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    prefix = ["unshare", "-m", "sh", "-c", f'{mount} "$@"', "sh"]
    output = python(LONG, prefix=prefix, env={"WANDB_DIR": str(small)})
    assert done(output) == ["a", "b"]
    assert all("mirroring cell" in line for line in warnings(output))
    assert len(warnings(output)) == 2


def test_a_limit_on_what_can_be_written_costs_no_run(python, login):
    limit = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nimport resource\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))"
    output = python(limit + LONG, env=login)
    assert done(output) == ["a", "b"]
    assert len(warnings(output)) == 2


def test_what_goes_wrong_for_one_run_only_costs_its_mirror_only(python):
    code = """
Path("runs/folder").mkdir(parents=True)
Path("runs/folder/wandb").write_text("in the way")
cell("folder")
cell("row", finish={"test_error": object()})
cell("neither")
"""
    output = python(code)
    assert done(output) == ["folder", "row", "neither"]
    assert [line.split(",")[0] for line in warnings(output)] == [
        f"WARNING W&B stops mirroring cell {name}" for name in ("folder", "row")
    ]
    assert "neither/wandb/offline-run" in output


def test_a_missing_wandb_is_said_once(python, tmp_path):
    hidden = "raise ModuleNotFoundError(\"No module named 'wandb'\")"
    Path(tmp_path, "hidden").mkdir()
    Path(tmp_path, "hidden", "wandb.py").write_text(hidden)
    output = python("sys.path.insert(0, 'hidden')\ncell('a')\ncell('b')")
    assert done(output) == ["a", "b"]
    (warning,) = warnings(output)
    assert warning.startswith("WARNING W&B is switched off: ModuleNotFoundError")
