"""The cost of a sweep, with operations worked out by hand and a clock that is told the time."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments.errors import UserError
from experiments.run.trainer import Trainer
from experiments.sweep import cost, grid
from experiments.sweep.cost import Kind, Operations, cost_of, count, needed, seconds_per_step, text
from experiments.tasks import Examples
from tests.tiny_runs import build_config, make_trainer

ROOT = Path(__file__).parents[2]


def linear(batch, batch_size):
    """What counting sees of a trainer whose network is one matrix, (4, 3)."""
    inputs, labels = torch.randn(batch, 3), torch.zeros(batch, dtype=torch.long)
    return SimpleNamespace(
        batches=SimpleNamespace(at=lambda step: Examples(inputs, labels)),
        model=torch.nn.Linear(3, 4, bias=False),
        budget=SimpleNamespace(batch_size=batch_size),
    )


def test_a_step_counts_forward_and_backward_and_an_evaluation_forward_alone():
    # 2 * 3 * 4 operations forward an example, as many for the gradient of the weights
    assert count(linear(batch=8, batch_size=8)) == Operations(step=8 * 48, example=24)


def test_a_batch_that_the_data_do_not_fill_is_counted_as_a_full_one():
    assert count(linear(batch=4, batch_size=8)) == Operations(step=8 * 48, example=24)


def test_counting_leaves_the_network_as_it_was():
    trainer = make_trainer(build_config("epochs=4"))
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    count(trainer)
    assert trainer.model.training
    assert all(p.grad is None for p in trainer.model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in trainer.model.state_dict().items())


def test_a_run_needs_its_steps_and_its_evaluations():
    # 49 pairs mod 7: 24 to train on, 4 of them to validate, in batches of 8, the third of 4; 25 to
    # test. 4 epochs of 3 steps, evaluated every 5 steps: after 5, 10 and 12.
    config = build_config("epochs=4", "batch_size=8", "eval_every=1.67", "validation_size=4")
    steps, trained, evaluated = needed(config, Operations(step=80, example=3))
    assert steps == 12
    assert trained == pytest.approx(4 * 20 * 80 / 8)
    assert evaluated == (3 * 25 + 20 + 4) * 3
    config = build_config("epochs=4", "batch_size=8", "eval_every=2")  # after 6 and 12
    assert needed(config, Operations(step=80, example=3))[2] == (2 * 25 + 24) * 3
    assert needed(replace(config, eval_train=True), Operations(80, 3))[2] == 2 * (25 + 24) * 3


def test_steps_are_timed_without_the_first_and_without_evaluations(monkeypatch):
    trainer = make_trainer(build_config("epochs=4"))
    now = [1000.0]

    def step(self, *batch):
        now[0] += 3 if self.step else 100

    monkeypatch.setattr(Trainer, "update", step)
    monkeypatch.setattr(Trainer, "evaluate", None)  # calling it would fail
    assert seconds_per_step([trainer], 10, clock=lambda: now[0]) == 3
    assert trainer.step == 1 + 4  # 12 seconds are the first that are enough
    pair = [make_trainer(build_config("epochs=4")) for _ in range(2)]
    assert seconds_per_step(pair, 10, clock=lambda: now[0]) == 3  # of one of the two
    assert [trainer.step for trainer in pair] == [1 + 2, 1 + 2]


def test_a_run_that_diverges_cannot_be_timed(monkeypatch):
    trainer = make_trainer(build_config("epochs=4", "optim=sgd", "lr=1e30"))
    with pytest.raises(UserError, match="the steps cannot be timed: the loss became"):
        seconds_per_step([trainer], 60)


def test_hours_are_the_steps_at_their_pace_and_the_evaluations_at_the_same_rate():
    kind = Kind("task net adam", runs=2, steps=7200, trained=9e15, evaluated=1e15, step_seconds=0.5)
    assert kind.rate == 9e15 / 3600  # operations a second
    assert kind.hours == pytest.approx(10 / 9)
    slow = Kind("task net sgd", 1, steps=3600, trained=2e15, evaluated=0, step_seconds=25.0,
                at_once=4)  # fmt: skip
    lines = text("name", [kind, slow], 5, "a machine").splitlines()
    assert lines[0] == "name: 3 runs, 10,800 steps, 12 PFLOP in all"
    columns = [re.split(r"\s{2,}", line) for line in lines[1:4]]
    assert columns == [
        ["kind", "runs", "steps a run", "FLOP a run", "ms a step", "FLOP/s", "a run"],
        ["task net adam", "2", "3,600", "5 P", "500", "2.5 T", "33.3 min"],
        ["task net sgd, 4 together", "1", "3,600", "2 P", "25,000", "22.2 G", "25 h"],
    ]
    # 1.111 + 25 hours, by five processes
    assert lines[4].startswith("26.1 h in one process, 5.22 h in the 5 ")
    assert "measured: a step, on a machine" in lines[5]
    assert "estimated: all times but a step's" in lines[6]


@pytest.mark.parametrize(("hours", "said"), [(1234, "1,234 h"), (0.5, "30 min"), (0.001, "3.6 s")])
def test_a_time_is_told_in_the_unit_that_suits_it(hours, said):
    assert cost._duration(hours) == said


@pytest.fixture
def a_second_a_step(monkeypatch):
    monkeypatch.setattr(cost, "seconds_per_step", lambda trainers, seconds: 1.0)


@pytest.mark.parametrize("figure", ["figure2", "figure4", "figureS3"])
def test_headers_tell_the_operations_that_are_counted(figure, a_second_a_step):
    """Without any data: noise stands in for CIFAR and for ImageNet32x32."""
    runs, total = re.match(
        rf"{figure}: (\d+) runs, .* steps, ([\d.]+ [PE])FLOP", cost_of(figure)
    ).groups()
    header = (grid.CONFIGS / "experiment" / f"{figure}.yaml").read_text()
    stated, prefix, whole = re.search(
        r"runs,? (?:of )?([\d.]+) ([PE])FLOP( in all)?", header
    ).groups()
    stated = float(stated) * {"P": 1e15, "E": 1e18}[prefix]
    counted = float(total.split()[0]) * {"P": 1e15, "E": 1e18}[total.split()[1]]
    assert stated == pytest.approx(counted / (1 if whole else int(runs)), rel=0.02)
    hours = float(re.search(r"([\d,]+) GPU-hours", header)[1].replace(",", ""))
    assert hours == pytest.approx(counted / 52e12 / 3600, rel=0.02)


@pytest.mark.parametrize(
    ("preset", "kinds"),
    [("quickstart", {"adam", "adamw"}), ("modular", {"adam", "adamw", "torch_adamw"}),
     ("figure2_cpu_2000", {"sgd", "sgdw", "adam", "adamw"}), ("adhoc", {"adamw"})],
)  # fmt: skip
def test_every_preset_is_priced_by_the_kinds_of_its_cells(preset, kinds, a_second_a_step):
    lines = cost_of(preset).splitlines()
    runs = [re.split(r"\s{2,}", line)[:2] for line in lines[2 : 2 + len(kinds)]]
    assert {name.split()[-1] for name, _ in runs} == kinds
    assert sum(int(count) for _, count in runs) == max(1, len(grid.planned(preset)))


def test_a_report_times_real_steps():
    lines = cost_of("quickstart", seconds=0.05).splitlines()
    assert lines[0].startswith("quickstart: 39 runs, 58,500 steps, ")
    assert "0.05 seconds of each kind" in lines[-2]


def test_what_is_no_preset_is_answered_with_those_there_are():
    with pytest.raises(UserError, match=r"no preset figur2; there are: adhoc, .*figure2,"):
        cost_of("figur2")
    with pytest.raises(UserError, match="give experiment=NAME"):
        cost_of("???")


def test_analyze_tells_the_cost_when_asked_and_writes_nothing(tmp_path):
    code = """
import runpy, sys, types
module = types.ModuleType("experiments.sweep.cost")
module.cost_of = lambda name: f"{name} is dear"
sys.path.insert(0, sys.argv.pop(1))
sys.modules["experiments.sweep.cost"] = module
runpy.run_path(sys.path[0] + "/analyze.py", run_name="__main__")
"""
    command = [sys.executable, "-c", code, str(ROOT), "experiment=modular", "cost=true"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "modular is dear\n", done.stderr
    assert list(tmp_path.iterdir()) == []
