"""The probe: right about what it sees, invisible to the run, and the same after a kill."""

import json
from math import pi
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.errors import UserError
from experiments.probe.decay_probe import DecayProbe, angle, equilibrium
from experiments.probe.table import COLUMNS, compact, of_quantiles
from experiments.record.identity import identity
from experiments.run import trainer
from experiments.run.cell import run
from experiments.sweep.compose import Cell
from optim import SGD, Adam, AdamW
from tests.tiny_runs import TINY, build_config, composed, dying_at, final_weights

#: Five looks; every third one, the last among them, keeps samples.
WATCHED = (*TINY, "probe=decay", "probe.looks=5", "probe.sample=3", "probe.sample_every=3")


def probe_rows(folder):
    return [json.loads(line) for line in (folder / "probe.jsonl").read_text().splitlines()]


OPTIMIZERS = ("adam", "adamw", "sgd", "sgdw", "torch_adam", "torch_adamw", "adam_l2_m", "adam_l2_v",
              "adam_preconditioned")  # fmt: skip


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_a_run_that_is_watched_is_the_same_to_the_bit(in_tmp, monkeypatch, optim):
    weights = final_weights(monkeypatch)
    words = (f"optim={optim}", "lr=0.01", "wd=0.001", "optim.eps=1e-6" if "adam" in optim else "")
    for name, base in (("plain", TINY), ("watched", WATCHED)):
        run(composed(*base, *filter(None, words)), in_tmp / name)
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    files = [(in_tmp / name / "metrics.jsonl").read_bytes() for name in ("plain", "watched")]
    assert files[0] == files[1]
    assert not (in_tmp / "plain" / "probe.jsonl").exists()
    rows = probe_rows(in_tmp / "watched")
    assert {tuple(row) for row in rows} == {tuple(name for name in COLUMNS if name != "id")}
    # 12 steps, of which the looks are in the middles of fifths, counted from 1
    assert sorted({row["step"] for row in rows}) == [2, 4, 7, 9, 11]
    layers = {row["layer"] for row in rows}
    assert len(rows) == 5 * len(layers)
    sampled = {row["step"] for row in rows if row["sample_r"]}
    assert sampled == {4, 11}


@pytest.mark.parametrize("optim", ["adam", "sgd", "adamw"])
@pytest.mark.parametrize("dies_at", [1, 5, 11])
def test_a_killed_run_resumes_to_the_same_table(in_tmp, monkeypatch, optim, dies_at):
    config = composed(*WATCHED, f"optim={optim}", "checkpoint_every=1e-9")
    run(config, in_tmp / "whole")
    with dying_at(dies_at, monkeypatch):
        run(config, in_tmp / "killed")
    (in_tmp / "killed" / "probe.jsonl").open("a").write('{"step": 99, "torn')
    run(config, in_tmp / "killed")
    tables = [(in_tmp / name / "probe.jsonl").read_bytes() for name in ("whole", "killed")]
    assert tables[0] == tables[1]


def test_what_was_begun_unwatched_does_not_go_on_watched(in_tmp, monkeypatch):
    with dying_at(3, monkeypatch):
        run(composed(*TINY, "checkpoint_every=1e-9"), in_tmp / "a")
    with pytest.raises(UserError, match="the probe changed since .* was begun .none, now"):
        run(composed(*WATCHED), in_tmp / "a")


def test_a_run_that_nobody_watched_is_run_again_for_its_table_and_then_never_more(
    in_tmp, monkeypatch
):
    run(composed(*TINY), in_tmp / "a")
    row = run(composed(*WATCHED), in_tmp / "a")
    assert row["probe"] == "decay"
    assert probe_rows(in_tmp / "a")
    monkeypatch.setattr(trainer.Trainer, "run", None)
    assert run(composed(*WATCHED), in_tmp / "a") == row
    assert run(composed(*TINY), in_tmp / "a") == row


@pytest.mark.parametrize(("mark", "again"), [("", True), ("decay", False)])
def test_a_committed_run_is_repeated_only_if_it_has_no_table(in_tmp, mark, again):
    row = run(composed(*TINY), in_tmp / "a")
    table = in_tmp / "results" / "adhoc" / "runs.csv"
    table.parent.mkdir(parents=True)
    table.write_text(f"id,test_error,probe\n{row['id']},12.5,{mark}\n")
    run(composed(*WATCHED), in_tmp / "b")
    assert (in_tmp / "b" / "probe.jsonl").exists() == again


def test_a_sweep_runs_a_cell_that_has_no_table_of_what_is_asked(in_tmp):
    from hydra_plugins.decay_lab.sweeper import _missing

    run(composed(*TINY), in_tmp / "runs" / "a")
    run(composed(*WATCHED), in_tmp / "runs" / "b")
    (in_tmp / "runs" / "c").mkdir()
    for words, missing in ((TINY, [2]), (WATCHED, [0, 2])):
        job = build_config(*words).plain()
        cells = [Cell(job, in_tmp / "runs", name) for name in "abc"]
        assert _missing(cells) == [cells[i] for i in missing]
    table = in_tmp / "results" / "adhoc" / "runs.csv"
    table.parent.mkdir(parents=True)
    table.write_text(f"id,probe\n{identity(job, None)},\n")
    assert _missing(cells) == [cells[0], cells[2]]
    table.write_text(f"id,probe\n{identity(job, None)},decay\n")
    assert _missing(cells) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("optim=rmspropw",), "not of RMSpropW"),
        (("probe.looks=0",), "probe.looks must be a whole number of at least 1, got 0"),
        (("probe.sample=1.5",), "probe.sample must be a whole number of at least 1, got 1.5"),
        (("+probe.look=3",), "reads no key probe.look; did you mean probe.looks?"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_the_run(in_tmp, words, said):
    with pytest.raises(UserError, match=said):
        run(composed(*WATCHED, *words), in_tmp / "a")
    assert not (in_tmp / "a" / "probe.jsonl").exists()


def test_a_device_without_double_precision_is_refused():
    theta = torch.ones(2, requires_grad=True)
    there = SimpleNamespace(device=torch.device("mps"))
    with pytest.raises(UserError, match="double precision, which device=mps does not know"):
        DecayProbe(Adam([theta]), {"layer": there}, 1, 0, print)


def watch(optimizer, theta, gradients, **options):
    """Return the rows that a probe writes along given gradients, one look a step."""
    rows = []
    options = {"looks": len(gradients), "sample": 2, "sample_every": 1} | options
    probe = DecayProbe(optimizer, {"layer": theta}, len(gradients), 0, rows.extend, **options)
    for step, gradient in enumerate(gradients):
        theta.grad = gradient.clone()
        probe.before_step(step)
        optimizer.step()
        probe.after_step(step)
    return rows


def test_a_row_tells_the_spectrum_of_a_quadratic():
    # a rate so small that the weights stay: vhat = ((h + .3) theta)^2, r = 1e-12 * .3 / root vhat
    curvature = torch.linspace(0.1, 2.0, 101, dtype=torch.float64)
    theta = torch.linspace(1.0, 3.0, 101, dtype=torch.float64).requires_grad_()
    optimizer = Adam([theta], lr=1e-12, weight_decay=0.3, eps=0.0)
    gradient = curvature * theta.detach()
    row = watch(optimizer, theta, [gradient] * 9)[-1]
    root = ((curvature + 0.3) * theta.detach()).numpy()
    r = 0.3e-12 / root
    for name, values in (("r", r), ("root_v", root)):
        found = [row[column] for column in of_quantiles(name)]
        assert found == pytest.approx(np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]), rel=1e-4)
    assert row["logs"] == row["size"] == 101
    assert row["cov_logs"] / row["var_log_v"] == pytest.approx(-1, rel=1e-4)
    assert row["mean_log_r"] == pytest.approx(np.log10(r).mean(), rel=1e-4)
    assert row["mean_log_v"] == pytest.approx(np.log10(root).mean(), rel=1e-3)
    assert row["var_log_r"] == pytest.approx(np.log10(r).var(), rel=1e-4)
    weights = theta.detach().numpy()
    assert row["shrink"] == pytest.approx((r * weights**2).sum() / (weights**2).sum(), rel=1e-4)
    # v has h theta and .3 theta in it: the share of what is not (h theta)^2
    share = 1 - (curvature / (curvature + 0.3)).square().numpy()
    assert row["v_from_l2"] == pytest.approx(np.median(share), rel=1e-4)
    assert (row["nominal"], row["eta"]) == (0.3e-12, 1)
    assert row["gradient_norm"] == pytest.approx(gradient.norm().item(), rel=1e-4)
    sample = [np.array(row[f"sample_{name}"].split(), float) for name in ("r", "root_v")]
    assert sample[0] * sample[1] == pytest.approx(0.3e-12, rel=1e-4)
    assert len(sample[0]) == 2


def test_a_row_tells_norms_and_the_turn():
    # SGD from (3, 4) by -(4, -3)/2 without decay: a right angle to the weights, half their length
    theta = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    optimizer = SGD([theta], lr=0.5, momentum=0.0)
    (row,) = watch(optimizer, theta, [torch.tensor([4.0, -3.0], dtype=torch.float64)])
    assert (row["weight_norm"], row["gradient_norm"], row["update_norm"]) == (5, 5, 2.5)
    assert row["rotation"] == pytest.approx(np.arctan(0.5), rel=1e-4)
    assert (row["shrink"], row["rotation_predicted"]) == (0, 0)
    assert [row[column] for column in of_quantiles("root_v")] == [None] * 5
    assert (row["logs"], row["cov_logs"]) == (0, None)


def test_weights_of_zero_have_no_share_to_lose():
    theta = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = AdamW([theta], lr=0.1, weight_decay=0.25)
    (row,) = watch(optimizer, theta, [torch.ones(2, dtype=torch.float64)])
    assert [row[column] for column in of_quantiles("r")] == [0.25] * 5
    assert sorted(row["sample_r"].split()) == ["0.25", "nan"]
    assert row["rotation_predicted"] == pytest.approx((2 * 0.25 * 0.1 / 1.9) ** 0.5, rel=1e-4)
    whole = torch.zeros(2, requires_grad=True)
    (row,) = watch(AdamW([whole], lr=0.1), whole, [torch.ones(2)])
    assert (row["shrink"], row["rotation"], row["r_50"]) == (None, None, None)


def test_a_layer_without_a_gradient_has_no_row():
    theta = torch.ones(2, requires_grad=True)
    optimizer, rows = Adam([theta], weight_decay=0.1), []
    probe = DecayProbe(optimizer, {"layer": theta}, 1, 0, rows.extend)
    probe.before_step(0)
    optimizer.step()
    probe.after_step(0)
    assert rows == []


def test_the_same_weights_are_sampled_at_every_look_whatever_the_optimizer():
    gradients = [torch.ones(50, dtype=torch.float64)] * 3
    seen = []
    for cls in (AdamW, Adam):
        # a gradient of its own for every weight, so that its root v names it
        theta = torch.ones(50, dtype=torch.float64, requires_grad=True)
        own = [g * torch.arange(1, 51) for g in gradients]
        rows = watch(cls([theta], lr=1e-12), theta, own, sample=5)
        seen += [tuple(round(float(v)) for v in row["sample_root_v"].split()) for row in rows]
    assert len(set(seen)) == 1
    assert len(set(seen[0])) == 5


@pytest.mark.parametrize("turn", [1e-9, 1e-3, 1.0, 3.0])
def test_angles_are_exact_small_ones_too(turn):
    before = torch.tensor([2.0, 0.0], dtype=torch.float64)
    after = 7 * torch.tensor([np.cos(turn), np.sin(turn)], dtype=torch.float64)
    assert angle(before, after) == pytest.approx(turn, rel=1e-6)


def test_opposite_is_half_a_turn_and_zero_has_no_direction():
    one = torch.ones(3, dtype=torch.float64)
    assert angle(one, -one) == pytest.approx(pi)
    assert np.isnan(angle(one, 0 * one))


@pytest.mark.parametrize(
    ("cls", "options", "shrink"),
    [
        (AdamW, {"lr": 0.01, "weight_decay": 0.02, "betas": (0.9, 0.99)}, 0.02),
        (SGD, {"lr": 0.1, "weight_decay": 0.02, "momentum": 0.9}, 0.1 * 0.02 / (1 - 0.9)),
    ],
)
def test_a_layer_that_random_steps_turn_settles_at_the_predicted_rate(cls, options, shrink):
    # gradients of pure noise: a random walk against decay, simulated past its relaxation time
    theta = torch.randn(400, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theta.requires_grad_()
    generator = torch.Generator().manual_seed(2)
    noise = [torch.randn(400, dtype=torch.float64, generator=generator) for _ in range(600)]
    rows = watch(cls([theta], **options), theta, noise, sample_every=1000)[300:]
    for name in ("rotation", "rotation_predicted"):
        mean = np.mean([row[name] for row in rows])
        assert mean == pytest.approx(equilibrium(shrink, 0.9), rel=0.05)


def test_numbers_are_kept_to_five_digits_and_what_is_not_finite_as_nothing():
    blank = {name: 0 for name in COLUMNS if name != "id"}
    row = compact(blank | {"r_50": 1.234567e-5, "eta": float("nan"), "sample_r": [1.0, 2.345678]})
    assert (row["r_50"], row["eta"], row["sample_r"]) == (1.2346e-5, None, "1 2.3457")
    with pytest.raises(ValueError, match="extra"):
        compact(blank | {"extra": 1})
