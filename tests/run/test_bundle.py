"""Cells that train together end as they would alone, whatever becomes of the others."""

import json
import logging
import os
import signal
from functools import partial

import pytest
import torch

from experiments import interrupt
from experiments.interrupt import Interrupted
from experiments.record.folder import RunFolder
from experiments.run import build, bundle, recorder
from experiments.run.bundle import run_bundle
from experiments.run.cell import course, run_cell
from experiments.run.compiled import compiles
from experiments.run.trainer import Trainer
from tests.recordings import Recorded, rates_stay_unread
from tests.tiny_runs import build_config

#: Cells of one kind, of two seeds. The one called "wild" diverges.
CELLS = {
    "adamw": ("optim=adamw", "lr=0.01", "wd=0.02"),
    "adam": ("optim=adam", "lr=0.02", "wd=0.02", "no_decay=norm_and_bias"),
    "other": ("optim=adamw", "lr=0.01", "wd=0.02", "seed=1"),
    "wild": ("optim=sgd", "lr=1e30", "wd=0"),
    "sgdw": ("optim=sgdw", "lr=0.1", "wd=0.01", "seed=1", "betas=[0.8,0.9]"),
}
LONG = ("epochs=9", "batch_size=9", "precision=fp32")  # 27 steps, in batches of 9, 9 and 6


def configs(*words):
    return {name: build_config(*LONG, *own, *words) for name, own in CELLS.items()}


def together(cells, folder):
    """Run cells in one bundle; return what became of each, by its name."""
    names = list(cells)
    starts = {n: partial(course, cells[name], folder / name) for n, name in enumerate(names)}
    with interrupt.listening():
        return {names[n]: end for n, end in run_bundle(starts)}


def left_behind(folder):
    """Result and metrics of a run, without what no two runs share."""
    row = json.loads((folder / "result.json").read_text())
    lines = (folder / "metrics.jsonl").read_text()
    return {key: value for key, value in row.items() if key not in ("seconds", "date")}, lines


@pytest.fixture
def alone(in_tmp):
    """The cells, each run for itself."""
    cells = configs()
    for name, config in cells.items():
        run_cell(config, in_tmp / "alone" / name)
    return cells


def test_cells_end_as_they_do_alone_also_if_one_diverges(alone, in_tmp):
    ends = together(alone, in_tmp / "all")
    for name, end in ends.items():
        assert end["status"] == ("diverged" if name == "wild" else "finished")
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)
    assert list(ends)[0] == "wild"  # at the first look at its losses
    assert set(ends) == set(CELLS)


@pytest.mark.skipif(not compiles(), reason="compile=true is refused with this torch")
@pytest.mark.slow
def test_cells_are_compiled_once_together_and_end_as_they_do_alone(in_tmp, monkeypatch):
    calls = []
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *a, **k: calls.append(a) or compile_(*a, **k))
    cells = {name: configs("compile=true")[name] for name in ("adamw", "other", "sgdw")}
    for name, config in cells.items():
        run_cell(config, in_tmp / "alone" / name)
    assert len(calls) == 3
    together(cells, in_tmp / "all")
    assert len(calls) == 4
    for name in cells:
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)


def test_cells_with_dropout_end_as_they_do_alone(in_tmp):
    words = ("model=gpt", "model.dropout=0.2", "model.width=8")
    cells = {name: config for name, config in configs(*words).items() if name != "wild"}
    together(cells, in_tmp / "all")
    for name, config in cells.items():
        run_cell(config, in_tmp / "alone" / name)
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)


def acting(monkeypatch, act):
    """Let ``act`` see every trainer before it updates its weights."""
    update = Trainer.update

    def watched(self, *batch):
        act(self)
        update(self, *batch)

    monkeypatch.setattr(Trainer, "update", watched)


def rate(trainer):
    return trainer.optimizer.param_groups[0]["initial_lr"]


def test_a_cell_that_fails_stops_no_other_and_says_why(alone, in_tmp, monkeypatch):
    def break_one(trainer):
        if rate(trainer) == 0.02 and trainer.step == 5:
            raise RuntimeError("a broken cell")

    with monkeypatch.context() as patched:
        acting(patched, break_one)
        ends = together(alone, in_tmp / "all")
    assert str(ends["adam"]) == "a broken cell"
    assert RunFolder(in_tmp / "all" / "adam").failure() == "RuntimeError: a broken cell"
    for name in set(CELLS) - {"adam"}:
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)
    again = together(alone, in_tmp / "all")  # finds the others finished
    assert again["adam"]["status"] == "finished"
    assert left_behind(in_tmp / "all" / "adam") == left_behind(in_tmp / "alone" / "adam")


def test_cells_that_were_asked_to_stop_go_on_alone_and_in_other_bundles(alone, in_tmp, monkeypatch):
    def stop(trainer):
        if trainer.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    folder = in_tmp / "all"
    with monkeypatch.context() as patched:
        acting(patched, stop)
        with pytest.raises(Interrupted):
            together(alone, folder)
    assert all(RunFolder(folder / name).has_checkpoint() for name in set(CELLS) - {"wild"})
    run_cell(alone["adamw"], folder / "adamw")
    (folder / "other").rename(in_tmp / "away")  # so it begins anew, beside others at their step 8
    together({name: alone[name] for name in ("sgdw", "other", "adam", "wild")}, folder)
    for name in CELLS:
        assert left_behind(folder / name) == left_behind(in_tmp / "alone" / name)


class Killed(BaseException):
    """Nothing of ours runs after it."""


def test_cells_of_a_bundle_that_was_killed_go_on_from_their_checkpoints(in_tmp, monkeypatch):
    monkeypatch.setattr(recorder, "SHARE", 1e9)  # a checkpoint after every step
    cells = configs("checkpoint_every=1e-9")
    del cells["wild"]

    def kill(trainer):
        if rate(trainer) == 0.1 and trainer.step == 6:
            raise Killed

    with monkeypatch.context() as patched:
        acting(patched, kill)
        with pytest.raises(Killed):
            together(cells, in_tmp / "all")
    resumed = []
    with monkeypatch.context() as patched:
        acting(patched, lambda trainer: resumed.append(trainer.step))
        together(cells, in_tmp / "all")
    assert min(resumed) == 6
    for name, config in cells.items():
        run_cell(config, in_tmp / "alone" / name)
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)


@pytest.mark.parametrize("room", [3, 1])
def test_where_memory_runs_out_the_bundle_is_halved(alone, in_tmp, monkeypatch, caplog, room):
    take, sizes = bundle.Steps.take, []

    def with_size(self, group):
        sizes.append(len(group))
        return take(self, group)

    def refuse(trainer):
        if sizes[-1] > room and trainer.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(bundle.Steps, "take", with_size)
        acting(patched, refuse)
        ends = together(alone, in_tmp / "all")
    assert set(ends) == set(CELLS)
    for name in CELLS:
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)
    said = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert said[0] == "memory ran out with 5 cells at once; they go on in two halves"
    assert sum("memory ran out" in line for line in said) == (1 if room == 3 else 4)


def test_a_lone_cell_without_memory_fails_and_the_others_finish(alone, in_tmp, monkeypatch):
    def refuse(trainer):
        if rate(trainer) == 0.02:
            raise torch.OutOfMemoryError("CUDA out of memory")

    acting(monkeypatch, refuse)
    ends = together(alone, in_tmp / "all")
    assert isinstance(ends["adam"], torch.OutOfMemoryError)
    assert RunFolder(in_tmp / "all" / "adam").failure() == "out of memory: CUDA out of memory"
    assert all(ends[name]["status"] for name in set(CELLS) - {"adam"})


@pytest.fixture
def recorded(monkeypatch):
    """Let runs record their steps, as on a GPU."""
    rates_stay_unread(monkeypatch)
    monkeypatch.setattr(build, "resolve_capture", lambda *how, **more: True)
    monkeypatch.setattr(build, "Captured", Recorded)


def test_cells_whose_steps_are_one_recording_end_as_they_do_captured_alone(recorded, alone, in_tmp):
    ends = together(alone, in_tmp / "all")
    assert ends["adamw"]["capture"] == "true"
    for name, end in ends.items():
        assert end["status"] == ("diverged" if name == "wild" else "finished")
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)


def test_when_the_gpu_is_gone_every_cell_says_so_and_the_same_command_goes_on(
    recorded, alone, in_tmp, monkeypatch
):
    def vanish(trainer):
        if trainer.step == 1:
            raise RuntimeError("CUDA error: device not found")

    with monkeypatch.context() as patched:
        acting(patched, vanish)
        ends = together(alone, in_tmp / "all")
    assert set(map(str, ends.values())) == {"CUDA error: device not found"}
    for name in CELLS:
        assert RunFolder(in_tmp / "all" / name).failure() == (
            "RuntimeError: CUDA error: device not found"
        )
    together(alone, in_tmp / "all")
    for name in CELLS:
        assert left_behind(in_tmp / "all" / name) == left_behind(in_tmp / "alone" / name)


# On a CUDA device -----------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize("word", ["true", "false"])
def test_on_a_gpu_cells_end_as_they_do_alone(in_tmp, word):
    cells = configs("device=cuda", f"capture={word}")
    ends = together(cells, in_tmp / "all")
    for name, config in cells.items():
        row = run_cell(config, in_tmp / "alone" / name)
        assert ends[name]["status"] == row["status"]
        assert ends[name]["test_loss"] == pytest.approx(row["test_loss"], rel=1e-3)
