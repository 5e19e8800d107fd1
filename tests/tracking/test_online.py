"""Runs on a server: logged, resumed, synced, read back. The SDK is real, the server is ours."""

import subprocess
import sys
from pathlib import Path


def test_a_run_arrives_with_its_description_points_and_row(python, server, login):
    output = python("cell('a')", env=login)
    run = server.runs["a"]
    assert (run.project, run.group, run.job_type, run.tags) == ("lab", "sweep", "train", ["adamw"])
    assert run.display_name == "cell a"
    assert run.values() == {"name": "sweep", "lr": 0.001, "optim": {"name": "adamw"}}
    assert run.points("test_error") == [(0, 0.5), (10, 10.5), (20, 20.5)]
    assert run.state == "finished"
    assert run.summary["status"] == "finished"
    assert output == f"INFO W&B: {server.url}/me/lab/runs/a\ndone a\n"


def test_a_run_that_comes_again_is_resumed_and_no_step_is_logged_twice(python, server, login):
    python("cell('a', range(0, 50, 10), error=SystemExit(0))", env=login, expected=0)
    assert server.runs["a"].state == "failed"
    python("cell('a', range(20, 80, 10))", env=login)
    assert [step for step, _ in server.runs["a"].points("test_error")] == [*range(0, 80, 10)]
    assert (server.runs["a"].state, len(server.runs)) == ("finished", 1)


def sync(environment, login, folder):
    command = [sys.executable, "-m", "wandb", "sync", "--yes"]
    files = sorted(folder.glob("wandb/offline-run-*"))
    environment = environment | login
    subprocess.run([*command, *files], env=environment, cwd=folder, check=True, capture_output=True)
    return len(files)


def test_offline_attempts_are_synced_as_one_run(python, server, login, environment, tmp_path):
    python("cell('a', range(0, 50, 10), error=SystemExit(0))")
    # A login does not split a run that began offline.
    assert "offline" in python("cell('a', range(20, 80, 10))", env=login)
    assert server.requests == []
    assert sync(environment, login, tmp_path / "runs/a") == 2
    run = server.runs["a"]
    assert run.points("test_error") == [(step, step + 0.5) for step in range(0, 80, 10)]
    assert (run.group, run.summary["id"]) == ("sweep", "a")

    assert "http" in python("cell('a', range(60, 100, 10))", env=login)  # once synced, it may
    assert run.points("test_error") == [(step, step + 0.5) for step in range(0, 100, 10)]


def test_the_login_of_netrc_counts_and_no_secret_gets_into_a_file_or_to_the_server(
    python, server, login, environment, tmp_path
):
    key = login["WANDB_API_KEY"]
    netrc, remote = Path(environment["NETRC"]), "https://me:hunter2@example.com/lab.git"
    host = server.url.removeprefix("http://")
    netrc.write_text(f"machine {host} login user password {key}\n")
    for command in (["init", "-q"], ["remote", "add", "origin", remote]):
        subprocess.run(["git", *command], cwd=tmp_path, env=environment, check=True)
    python("cell('a')")
    assert server.runs["a"].state == "finished"
    sent = [server.runs["a"].files, server.runs["a"].node(), server.runs["a"].config]
    files = [path.read_bytes() for path in tmp_path.glob("runs/**/*") if path.is_file()]
    files += [path.read_bytes() for path in tmp_path.glob("home/.[!n]*/**/*") if path.is_file()]
    assert any(b"test_error" in content for content in files)
    for secret in (key, "hunter2", "lab.git"):
        assert not [content for content in files if secret.encode() in content]
        assert secret not in str(sent)
