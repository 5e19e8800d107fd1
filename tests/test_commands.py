"""What analyze.py can be asked to do, in today's words and in those of before."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments import commands
from experiments.errors import UserError

ROOT = Path(__file__).parents[1]
KEYS = set(OmegaConf.load(ROOT / "configs" / "analyze" / "analyze.yaml")) - {"defaults", "hydra"}


@pytest.mark.parametrize(
    ("typed", "now"),
    [
        ("experiment=modular status=true", "experiment=modular command=status"),
        ("cost=true experiment=figure2", "command=cost experiment=figure2"),
        ("experiment=verdict", "command=verdict"),
        ("experiment=propositions", "command=propositions"),
        ("experiment=laws", "command=laws"),
        ("experiment=why runs_dir=x", "command=why runs_dir=x"),
    ],
)
def test_the_words_of_before_are_done_and_the_new_ones_said(capsys, typed, now):
    assert commands.current_form(typed.split()) == now.split()
    assert capsys.readouterr().err == f"now: python analyze.py {now}\n"


@pytest.mark.parametrize(
    "typed", ["experiment=modular axis=lambda", "command=report experiment=why", "command=verdict"]
)
def test_the_words_of_today_stay_as_they_are(capsys, typed):
    assert commands.current_form(typed.split()) == typed.split()
    assert commands.current_form(["status=false", *typed.split()])[-1] == typed.split()[-1]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "function", "arguments"),
    [
        ("report", "experiments.report.pages.request.report", "options planned preset typed"),
        ("status", "experiments.sweep.slurm.status.status_of", "options"),
        ("cost", "experiments.sweep.cost.cost_of", "modular"),
        ("verdict", "experiments.report.pages.verdict.write_verdict", "results"),
        ("why", "experiments.report.pages.why.write_why", "runs results"),
        ("propositions", "experiments.propositions.check_propositions", "results"),
        ("transfer", "experiments.report.pages.transfer.carry_over", "results {} {'lr':1}"),
    ],
)
def test_each_command_does_its_own_thing_with_its_own_keys(monkeypatch, name, function, arguments):
    calls = []
    monkeypatch.setattr(function, lambda *given, **named: calls.append(given) or f"{name} done")
    folders = {"runs_dir": "runs", "results_dir": "results", "known": "{}", "new": "{'lr':1}"}
    said = commands.run({"command": name, "experiment": "modular", **folders}, {"command"})
    assert said == f"{name} done"
    (given,) = calls
    assert len(given) == len(arguments.split())
    if name not in ("report", "status"):
        assert [str(value) for value in given] == arguments.split()


def test_a_key_that_a_command_does_not_read_is_named(monkeypatch):
    options = {"command": "why", "experiment": "???", "axis": "lambda"}
    with pytest.raises(UserError) as refused:
        commands.run(options, {"command", "axis"})
    assert str(refused.value) == "command=why reads no axis; it reads runs_dir, results_dir"
    with pytest.raises(UserError, match="command=report reads no known; it reads experiment, axis"):
        commands.run(options | {"command": "report"}, {"command", "known.lr"})
    with pytest.raises(UserError, match="command must be one of report, status, cost, verdict"):
        commands.run(options | {"command": "reports"}, {"command"})


def printed_commands():
    """Every call of analyze.py that people are told to type, with the file that says it."""
    kinds = {"README.md", "Makefile", "*.py", "*.yaml", "docs/*.md", "results/**/README.md"}
    for folder in ("", "configs", "experiments", "hydra_plugins"):
        for kind in kinds if folder == "" else ("*.py", "*.yaml"):
            files = (ROOT / folder).rglob(kind) if folder else ROOT.glob(kind)
            for file in files:
                for found in re.findall(r"python analyze\.py ([^#`\n>\"&]*)", file.read_text()):
                    yield file.relative_to(ROOT), found


def test_every_command_that_is_printed_can_be_typed():
    found = list(printed_commands())
    assert {str(file) for file, _ in found} >= {"README.md", "Makefile", "docs/why.md"}
    for file, line in found:
        words = [
            word for word in re.sub(r"\$?\(.*|\).*|%s|\{.*|'", "", line).split() if "=" in word
        ]
        keys = {word.split("=")[0].split(".")[0] for word in words}
        name = next((w.split("=")[1] for w in words if w.startswith("command=")), "report")
        assert keys <= KEYS, (file, line)
        allowed = commands.COMMANDS[name].keys
        assert allowed is None or keys <= {"command", *allowed}, (file, line)
        assert commands.current_form(words) == words, (file, line)
