"""What a person's variables and files say of W&B holds; what names one run never merges two."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.datafile import records

ROOT = Path(__file__).parents[2]
AGENT = {  # what `wandb agent` sets for the command that it starts
    "WANDB_SWEEP_ID": "search",
    "WANDB_RUN_ID": "given",
    "WANDB_SWEEP_PARAM_PATH": "wandb/sweep-search/config-given.yaml",
    "WANDB_PROJECT": "tuning",
    "WANDB_ENTITY": "team",
    "WANDB_DIR": ".",
}


@pytest.fixture
def agent(tmp_path, login):
    """The environment of a command that W&B's agent starts, with the file that it writes."""
    file = tmp_path / AGENT["WANDB_SWEEP_PARAM_PATH"]
    file.parent.mkdir(parents=True)
    file.write_text("wandb_version: 1\nlr:\n  desc: null\n  value: 0.25\n")
    return login | AGENT


@pytest.mark.parametrize(
    ("variables", "typed", "expected"),
    [
        ({}, "", {"project": "decoupled-weight-decay", "entity": ""}),
        ({"WANDB_PROJECT": "mine"}, "", {"project": "mine"}),
        ({"WANDB_PROJECT": "mine"}, ", project='typed'", {"project": "typed"}),
        ({"WANDB_PROJECT": ""}, "", {"project": "decoupled-weight-decay"}),
        ({"WANDB_ENTITY": "team"}, "", {"entity": "team"}),
        ({"WANDB_ENTITY": "team"}, ", entity='typed'", {"entity": "typed"}),
        ({"WANDB_RUN_GROUP": "night"}, "", {"run_group": "night"}),
        ({"WANDB_JOB_TYPE": "probe"}, "", {"job_type": "probe"}),
        ({"WANDB_NAME": "the one"}, "", {"display_name": "the one"}),
        ({"WANDB_NOTES": "by hand"}, "", {"notes": "by hand"}),
        ({"WANDB_TAGS": "a, adamw,b"}, "", {"tags": ["adamw", "a", "b"]}),
        ({"WANDB_RUN_ID": "mine", "WANDB_RESUME": "must"}, "", {"run_id": "a"}),
        ({"TRAINING_JOB_NAME": "job", "SM_TRAINING_ENV": "{}"}, "", {"run_id": "a"}),
        (
            dict.fromkeys(
                ("WANDB_MODE", "WANDB_ENTITY", "WANDB_DIR", "WANDB_TAGS", "WANDB_RUN_GROUP"), ""
            ),
            "",
            {"entity": "", "tags": ["adamw"], "run_group": "sweep"},
        ),
    ],
    ids=str,
)
def test_variables_win_over_defaults_and_what_is_typed_wins_over_both(
    variables, typed, expected, python, tmp_path
):
    python(f"cell('a', **dict(dict(project=None){typed}))", env=variables)
    run = records(tmp_path / "runs/a")[2]
    got = {key: getattr(run, key) for key in expected}
    assert {key: list(v) if key == "tags" else v for key, v in got.items()} == expected


def test_where_wandb_dir_points_a_run_finds_its_earlier_attempts(python, tmp_path):
    for steps in ("range(0, 30, 10)", "range(20, 50, 10)"):
        python(f"cell('a', {steps})", env={"WANDB_DIR": "elsewhere"})
    history = records(tmp_path / "elsewhere")[0]
    assert [row["_step"] for row in history] == [0, 10, 20, 30, 40]
    assert not list(tmp_path.glob("runs/a/wandb"))


def test_if_nothing_can_be_written_to_wandb_dir_nothing_is_written_elsewhere(python, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    variables = {"WANDB_DIR": "file/below", "TMPDIR": str(tmp_path / "temporary")}
    output = python("cell('a')", env=variables)
    assert output.startswith("WARNING W&B stops mirroring cell a, which goes on: NotADirectory")
    assert not list(tmp_path.rglob("*.wandb"))


def test_wandb_mode_is_one_that_there_is(python):
    code = """
from experiments.errors import UserError
try:
    cell("a")
except UserError as error:
    print(error)
"""
    modes = "online, offline, disabled, shared, dryrun, run"
    assert python(code, env={"WANDB_MODE": "ofline"}) == (
        f"WANDB_MODE must be one of {modes}, got 'ofline'\n"
    )


def test_a_typed_mode_wins_over_wandb_mode(python, server, login):
    python("cell('a', mode='online')", env=login | {"WANDB_MODE": "offline"})
    python("cell('b', mode='offline')", env=login | {"WANDB_MODE": "online"})
    assert list(server.runs) == ["a"]


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_what_wandb_was_told_on_the_command_line_holds(
    mode, python, server, login, environment, tmp_path
):
    command = [sys.executable, "-m", "wandb", mode]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    output = python("cell('a')\ncell('b')", env=login)
    assert server.requests == []
    files = list(tmp_path.glob("runs/*/wandb/offline-run-*"))
    assert len(files) == (2 if mode == "offline" else 0)
    assert output.count("W&B: offline") == len(files)
    assert "WARNING" not in output


def test_a_run_under_an_agent_is_the_agents_and_has_its_objective(python, server, agent):
    code = "cell('a', range(0, {end}, 10){more}, finish=row('a', test_error=12.5))"
    python(code.format(end=30, more=", error=SystemExit(0)"), env=agent)
    python(code.format(end=50, more=""), env=agent)
    (run,) = server.runs.values()
    assert (run.name, run.sweep, run.project, run.entity) == ("given", "search", "tuning", "team")
    assert run.points("test_error") == [(step, step + 0.5) for step in range(0, 50, 10)]
    assert (run.state, run.summary["test_error"]) == ("finished", 12.5)


def test_an_agent_in_this_process_gets_a_run_for_each_call(python, server, agent):
    python(
        """
import wandb
for id in ("first", "second"):  # what wandb.agent(sweep, function) does
    os.environ["WANDB_RUN_ID"] = id
    wandb.teardown()
    wandb.setup()
    cell(id)
    assert cores()  # they are the agent's, who needs them to say that it lives
""",
        env=agent,
    )
    assert sorted(server.runs) == ["first", "second"]


def test_cells_of_a_sweep_are_runs_of_their_own_also_under_an_agent(python, server, agent):
    output = python(
        """
from experiments.tracking.mirror import drop_what_names_one_run
drop_what_names_one_run()
drop_what_names_one_run()
cell("a")
cell("b")
""",
        env=agent | {"WANDB_NAME": "one"},
    )
    assert output.count("WARNING") == 1
    assert "WANDB_RUN_ID, WANDB_NAME, WANDB_SWEEP_ID, WANDB_SWEEP_PARAM_PATH" in output
    assert {run.name: (run.display_name, run.sweep) for run in server.runs.values()} == {
        "a": ("cell a", None),
        "b": ("cell b", None),
    }


def test_runs_that_are_open_at_once_in_one_process_stay_apart(python, tmp_path):
    python(
        """
def others():
    time.sleep(1)
    cell("b", range(0, 60, 20))
    cell("c", error=KeyError())
try:
    cell("a", range(0, 80, 40), middle=others)
except KeyError:
    cell("d")
assert cores() == []
"""
    )
    steps = {"a": [0, 40], "b": [0, 20, 40], "c": [0, 10, 20], "d": [0, 10, 20]}
    for name, expected in steps.items():
        history, _, run, code = records(tmp_path / "runs" / name)
        assert ([row["_step"] for row in history], run.run_id) == (expected, name)
        assert code == (1 if name in "ac" else 0)


TINY = (
    *("task.modulus=7", "model.width=8", "model.heads=2", "batch_size=8", "warmup_epochs=0"),
    *("progress=false", "epochs=4"),
)


@pytest.fixture
def train(tmp_path, environment, agent):
    """Run train.py as W&B's agent does."""

    def run(*words):
        command = [sys.executable, str(ROOT / "train.py"), *words, *TINY]
        done = subprocess.run(
            command, env=environment | agent, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


def commit(folder, table):
    """Move the result of a run folder to a table like the committed ones."""
    row = json.loads((folder / "result.json").read_text())
    table.parent.mkdir(parents=True)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    shutil.rmtree(folder)


def test_an_agents_command_reports_its_objective_also_if_the_run_had_ended(train, server, tmp_path):
    for attempt in ("first", "from its folder", "from the table"):
        assert ("already finished" in train("seed=1", "name=tiny")) == (attempt != "first")
        (run,) = server.runs.values()
        assert (run.name, run.sweep, run.state) == ("given", "search", "finished")
        assert run.values()["seed"] == 1
        if attempt == "first":
            (folder,) = tmp_path.glob("runs/tiny/*")
            row = json.loads((folder / "result.json").read_text())
            lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
            errors = [(line["step"], line["test_error"]) for line in lines if "test_error" in line]
            assert run.points("test_error") == errors
        assert run.summary["test_error"] == row["test_error"]
        assert folder.exists() == (attempt != "from the table")
        if attempt == "from its folder":
            commit(folder, tmp_path / "results" / "tiny" / "runs.csv")
        server.runs.clear()  # the next is another run to the agent


def test_a_sweep_in_an_agents_command_is_many_runs_and_one_cell_of_two_sweeps_is_two(train, server):
    for launcher, name in (("local", "day"), ("basic", "night")):
        output = train("-m", "seed=1,2", f"hydra/launcher={launcher}", f"name={name}")
        assert output.count("a sweep is many runs") == 1
    assert sorted(run.group for run in server.runs.values()) == ["day", "day", "night", "night"]
    assert {run.sweep for run in server.runs.values()} == {None}
    assert {run.state for run in server.runs.values()} == {"finished"}
