"""The command of a cell composes to the very runs that the table has of it."""

import shlex
from pathlib import Path

import pytest

from experiments.record import tables
from experiments.record.identity import identity
from experiments.report.data import commands
from experiments.report.data.panels import panels
from experiments.sweep import grid
from tests.report.report_data import frame, run

ROOT = Path(__file__).parents[3]


def committed(name):
    return panels(
        frame(tables.read(tables.file(ROOT / "results", name))), "test_error", grid.planned(name)
    )


def identities(command):
    """Identities of what a command runs, but for the precision, which rows have as resolved."""
    words = shlex.split(command)
    assert words[:2] == ["python", "train.py"]
    typed = [w for w in words[2:] if w != "-m" and not w.startswith("precision=")]
    cells = grid.cells(grid.loader(), grid.default(), typed)
    return sorted(identity(cell.job, None) for cell in cells)


@pytest.mark.parametrize("name", ["figure4_cpu", "lm", "loss_scale", "modular"])
def test_a_command_runs_what_the_committed_rows_of_its_cell_are(name):
    for panel in committed(name)[::3]:
        words = commands.settings(panel, grid.shortest)
        lines = commands.again(name, panel, words)
        for at in (0, len(lines) - 1):
            cell = panel.cells.iloc[at]
            rows = panel.runs[(panel.runs["lr"] == cell["lr"]) & (panel.runs["wd"] == cell["wd"])]
            assert identities(lines[at]) == sorted(rows["id"])


def test_what_the_configuration_has_anyway_is_left_out_and_task_and_optimizer_stay():
    panel = next(one for one in committed("modular") if one.optim == "adamw")
    words = commands.settings(panel)
    assert "task.modulus=47" in words
    assert grid.shortest(words) == ["task=modular", "optim=adamw"]
    lines = commands.again("modular", panel, grid.shortest(words))
    assert lines[0] == (
        "python train.py -m task=modular optim=adamw lr=2.5e-4 wd=0 seed=0,1,2 name=modular_again"
    )


def test_best_cells_run_again_at_as_many_seeds_that_nobody_has_used():
    rows = [run(lr=0.1, seed=s, test_error=e) for s, e in ((0, 5.0), (4, 6.0))]
    rows += [run(lr=0.2, seed=s, test_error=9.0) for s in (0, 4)]
    (line,) = commands.best_again("toy", panels(frame(rows), "test_error"), "test_error")
    assert "lr=0.1 wd=0.01 seed=5,6 name=toy_best" in line


def test_the_papers_cells_have_no_command():
    panel = committed("paper")[0]
    assert {*commands.again("paper", panel, commands.settings(panel))} == {""}


def test_a_name_that_is_no_plain_word_is_quoted_for_hydra_and_the_shell():
    rows = [run(optim="<script> '\"", lr=0.1)]
    (panel,) = panels(frame(rows), "test_error")
    words = commands.settings(panel, grid.shortest)
    assert 'optim="<script> \'\\""' in words
    (line,) = commands.again("toy", panel, words)
    assert 'optim="<script> \'\\""' in shlex.split(line)
