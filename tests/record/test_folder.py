"""A run folder is written by the process that holds it, by no other, and read by anybody."""

import json
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.errors import UserError
from experiments.record.folder import (
    RunFolder,
    RunWriter,
    finished_sweeps,
    is_done,
    run_folders,
    stored_row,
    write_failure,
)
from tests.report.report_data import run, write_runs
from tests.tiny_runs import TINY, composed


def test_a_folder_that_is_anothers_by_now_is_not_written(in_tmp):
    config = OmegaConf.to_container(composed(*TINY), resolve=True)
    files = RunWriter(Path("a"), config, "id")
    with files.held():
        Path("a/lock").unlink()
        Path("a/lock").touch()
        for write in (files.append, files.checkpoint, files.finish):
            with pytest.raises(UserError, match="was removed while the run went on"):
                write({})
        files.fail(ValueError("no"))
    assert sorted(os.listdir("a")) == ["config.yaml", "lock"]


def test_what_a_run_has_left_can_be_read_at_any_time(in_tmp):
    seen = RunFolder(Path("a"))
    assert not seen.is_begun()
    assert (seen.row(), seen.metrics(), seen.probe(), seen.sample()) == (None, [], [], None)
    assert (seen.failure(), seen.failed_in(), seen.holder()) == (None, None, None)
    files = RunWriter(Path("a"), {"lr": 1.0}, "id")
    assert seen.is_begun()
    with files.held():
        files.append({"step": 1})
        files.append_probe([{"step": 1}, {"step": 2}])
        files.write_sample("a + b\n")
        files.checkpoint({"step": 1})
        assert seen.holder()["pid"] == os.getpid()
        assert seen.has_checkpoint()
        assert not seen.is_finished()
        files.fail(ValueError("no"))
        assert seen.failure() == "ValueError: no"
        files.finish(run(id="id"))
    assert seen.row()["id"] == "id"
    assert (seen.metrics(), seen.probe()) == ([{"step": 1}], [{"step": 1}, {"step": 2}])
    assert seen.sample() == "a + b\n"
    assert (seen.holder(), seen.failure(), seen.has_checkpoint()) == (None, None, False)


def test_the_folders_of_a_sweep_are_those_of_its_runs(in_tmp):
    write_runs(Path("runs/toy"), [run(seed=1), run(seed=0)])
    for name in ("runs/toy/.sweep", "runs/toy/begun", "runs/other/begun"):
        Path(name).mkdir(parents=True)
    Path("runs/toy/file").touch()
    assert [one.path.name for one in run_folders(Path("runs/toy"))] == [
        "adamw-0",
        "adamw-1",
        "begun",
    ]
    assert finished_sweeps(Path("runs")) == {Path("runs/toy")}
    assert run_folders(Path("none")) == []


def folder_with(**values):
    Path("a").mkdir(exist_ok=True)
    Path("a/result.json").write_text(json.dumps(run(**values)))
    return Path("a")


def test_a_committed_row_is_the_run_and_not_what_its_folder_holds(in_tmp):
    folder = folder_with(id="x", test_error=1.0)
    committed = {"x": {"id": "x", "test_error": "2.0"}}
    assert stored_row(folder, "x", "none", committed)["test_error"] == "2.0"
    assert stored_row(None, "x", "none", committed)["test_error"] == "2.0"
    assert stored_row(folder, "x")["test_error"] == 1.0
    assert stored_row(None, "x") is None
    Path("a/result.json").write_text("{")
    assert stored_row(folder, "x", "none", committed)["test_error"] == "2.0"


def test_the_result_of_another_run_in_the_folder_is_not_this_runs(in_tmp):
    folder = folder_with(id="other")
    assert stored_row(folder, "x") is None
    assert not is_done(folder, "x", "none")
    assert stored_row(folder, None)["id"] == "other"


def test_a_row_of_a_run_without_the_probe_that_is_asked_for_does_not_do(in_tmp):
    folder = folder_with(id="x", probe="decay")
    plain = {"x": {"id": "x"}}
    assert stored_row(folder, "x", "decay", plain)["probe"] == "decay"
    assert is_done(None, "x", "none", plain)
    assert not is_done(None, "x", "decay", plain)
    assert not is_done(folder, "x", "other", plain)


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "Expecting property name"), ('{"id": "x"}', "row lacks"), ("[]", "not a JSON object")],
)
def test_a_damaged_result_is_named_and_is_no_result(in_tmp, content, why):
    folder = folder_with(id="x")
    Path("a/result.json").write_text(content)
    assert not is_done(folder, "x", "none")
    with pytest.raises(UserError, match=rf"a/result\.json is damaged \(.*{why}"):
        stored_row(folder, "x")


def test_a_failure_says_in_which_job_it_was(in_tmp, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    write_failure(Path("a"), "no room")
    assert (RunFolder(Path("a")).failure(), RunFolder(Path("a")).failed_in()) == ("no room", "17")
    Path("a/failed.json").write_text("[")
    assert RunFolder(Path("a")).failure() == "failed.json is damaged"
    assert RunFolder(Path("a")).failed_in() is None


def test_run_folders_may_lie_deeper_and_what_a_run_keeps_is_none(in_tmp):
    sweep = Path("runs/toy")
    write_runs(sweep / "adam", [run(id="a")])
    write_runs(sweep, [run(id="b")])
    (begun,) = (path.parent for path in (sweep / "adam").glob("*/result.json"))
    (begun / "wandb" / "files").mkdir(parents=True)
    (sweep / "adam" / "made-by-hydra").mkdir()
    (sweep / ".sweep" / "x").mkdir(parents=True)
    found = [one.path for one in run_folders(sweep)]
    assert len(found) == 3
    assert {begun, sweep / "adam" / "made-by-hydra"} < set(found)
    assert finished_sweeps(Path("runs")) == {sweep}
