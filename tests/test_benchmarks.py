"""Guards against regressions of speed without timing: what a step calls, not how long it takes."""

import string
import sys
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import draw, faults, gpu
from benchmarks.__main__ import PARTS
from benchmarks.measure import Timing, time_together
from experiments.run import trainer
from optim import SGD, SGDW, Adam, AdamW
from tests.tiny_runs import build_config, make_trainer


class Calls(TorchDispatchMode):
    """Counts the operators that are dispatched inside the block."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def syncs(calls):
    """How often a number was read; in inference mode torch names it otherwise."""
    return calls.count["_local_scalar_dense"] + calls.count["item"]


def test_a_training_step_never_waits_for_a_number():
    made = make_trainer(build_config("epochs=40", "wd=0.01"))
    made.train_step()
    with Calls() as calls:
        for _ in range(trainer.CHECK_EVERY - 1):
            made.train_step()
    assert syncs(calls) == 0


def test_a_step_of_the_transformer_calls_no_more_operators_than_it_did():
    made = make_trainer(build_config("epochs=40", "wd=0.01"))
    made.train_step()
    with Calls() as calls:
        made.train_step()
    # how often a tensor is detached, which copies nothing, differs between versions of torch
    assert sum(calls.count.values()) - calls.count["detach"] <= 151
    assert calls.count["mm"] + calls.count["addmm"] <= 21  # 7 products, forward and two backward


def test_the_transformer_projects_token_and_place_once_for_a_pair_not_once_for_an_input():
    """The projections of the first block see 8 tokens x 3 places whatever the batch."""
    made = make_trainer(build_config("epochs=40", "wd=0.01"))
    rows = []
    made.model.blocks[0].key_value.register_forward_hook(
        lambda module, inputs, output: rows.append(inputs[0].shape[0])
    )
    made.train_step()
    assert rows == [8 * 3]


@pytest.mark.parametrize(("cls", "allowed"), [(SGD, 6), (SGDW, 6), (Adam, 4), (AdamW, 4)])
def test_an_optimizer_calls_as_many_operators_for_many_tensors_as_for_one(cls, allowed):
    counts = []
    for tensors in (1, 50):
        thetas = [torch.ones(3, requires_grad=True) for _ in range(tensors)]
        for theta in thetas:
            theta.grad = torch.ones(3)
        optimizer = cls(thetas, lr=0.1, weight_decay=0.01)
        optimizer.step()
        with Calls() as calls:
            optimizer.step()
        counts.append(sum(calls.count.values()))
    assert counts[0] == counts[1] <= allowed


def test_evaluation_reads_numbers_once_a_set(monkeypatch):
    made = make_trainer(build_config("epochs=4", "wd=0.01"))
    monkeypatch.setattr(trainer, "EVALUATION_BATCH", 5)  # 25 examples in five parts
    with Calls() as calls:
        made.evaluate("test", made.task.test)
    assert syncs(calls) == 1  # the errors; the losses of all parts come as one list
    assert calls.count["stack"] == 1


def test_a_timing_is_the_median_with_its_quartiles():
    timing = Timing.of([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (timing.low, timing.median, timing.high) == (2, 3, 4)
    assert timing.spread == pytest.approx(2 / 3)


def test_rivals_are_timed_in_turn():
    order = []
    actions = {name: lambda name=name: order.append(name) for name in "ab"}
    time_together(actions, repeats=2, number=1, warm_up=1)
    assert order == ["a", "b", "a", "b", "a", "b"]


def test_a_target_is_met_from_the_side_that_is_better():
    assert draw.met({"ours": 1, "ratio": 3.1, "target": 3})
    assert not draw.met({"ours": 1, "ratio": 2.9, "target": 3})
    assert draw.met({"ours": 0.4, "target": 0.5, "lower_is_better": True})
    assert draw.met({"ours": 0.4}) is None
    lines = draw.table({"part": {"rows": [{"what": "x", "ours": 2.5, "target": 2}]}}).splitlines()
    assert lines[2] == "| x | 2.5 |  |  |  |  | ≥ 2 | yes |"


def test_the_ratio_to_a_target_is_at_least_one_where_it_is_met():
    assert draw.to_target({"ours": 1, "ratio": 3, "target": 1.5}) == 2
    assert draw.to_target({"ours": 2, "target": 4, "lower_is_better": True}) == 2
    assert draw.to_target({"ours": 1, "target": 4}) == 0.25


def test_what_safety_costs_is_a_part_of_the_benchmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "submission", lambda *size: [])
    monkeypatch.setattr(faults, "lost_work", lambda **how: [])
    monkeypatch.setattr(faults, "NETWORKS", {"small one": ("task=modular", "model.width=8")})
    results = {"faults": {"rows": PARTS["faults"]("data", "cache", 1)}}
    assert "| checkpoints of a small one under AdamW, % of a run |" in draw.table(results)
    assert [draw.met(row) for row in results["faults"]["rows"]] == [None, True]
    draw.figure(results, tmp_path / "picture")  # of a target that is met a hundred times over
    assert (tmp_path / "picture.svg").stat().st_size > 0


@pytest.mark.parametrize("task", ["modular", "shakespeare"])
def test_cells_measured_together_have_the_bits_of_one_alone(task, tmp_path):
    noise = tmp_path / "noise.txt"
    noise.write_text(string.printable * 100)
    rows = [
        gpu.measure(task, cells, "false", 0.01, torch.device("cpu"), str(noise)) for cells in (1, 2)
    ]
    assert rows[0]["bits"] == rows[1]["bits"]
    assert all(row["cell_steps"] > 0 and row["start"] > 0 for row in rows)
    told = gpu.table([row | {"way": "here", "same_bits": True} for row in rows]).splitlines()
    assert told[1].split()[:2] == [task, "here"]
    assert "to the bit" in told[2]


def test_kernels_that_overlap_count_once():
    assert gpu.covered([(0, 2), (1, 3), (1, 2), (5, 6)]) == 4


def test_without_a_gpu_there_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch finds no NVIDIA GPU here"):
        gpu.main()
