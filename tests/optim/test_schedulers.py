"""Whoever sets lr: with a zero gradient a weight shrinks by lr / max_lr * lambda, or not at all."""

from math import prod

import pytest
import torch
from torch.optim import lr_scheduler as torchs
from torch.optim.swa_utils import SWALR

from optim import SGD, SGDW, Adam, AdamW, RMSpropW

LR, DECAY, STEPS = 0.1, 0.05, 8
optimizers = pytest.mark.parametrize(
    ("optimizer_class", "options"),
    [(SGDW, {}), (AdamW, {"fused": False}), (AdamW, {"fused": True}), (RMSpropW, {})],
)


def linear(optimizer, **options):
    return torchs.LinearLR(optimizer, total_iters=4, **options)


def sequence(optimizer):
    parts = [linear(optimizer, start_factor=0.25), torchs.CosineAnnealingLR(optimizer, T_max=4)]
    return torchs.SequentialLR(optimizer, parts, milestones=[3])


def chain(optimizer):
    parts = [torchs.ConstantLR(optimizer, 0.25, 3), torchs.ExponentialLR(optimizer, 0.9)]
    return torchs.ChainedScheduler(parts, optimizer)


def cyclic(optimizer, base_lr=0.01, max_lr=LR):
    return torchs.CyclicLR(optimizer, base_lr, max_lr, step_size_up=3, cycle_momentum=True)


def one_cycle(optimizer, max_lr=LR, **options):
    return torchs.OneCycleLR(optimizer, max_lr, total_steps=STEPS + 1, **options)


# A scheduler that starts where it is highest, and the peak in multiples of LR.
RIGHT = {
    "LambdaLR": lambda o: torchs.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: torchs.MultiplicativeLR(o, lambda t: 0.9),
    "StepLR": lambda o: torchs.StepLR(o, step_size=2),
    "MultiStepLR": lambda o: torchs.MultiStepLR(o, [2, 4]),
    "ConstantLR": lambda o: torchs.ConstantLR(o, factor=0.3, total_iters=3),
    "LinearLR": lambda o: linear(o, start_factor=0.25),
    "ExponentialLR": lambda o: torchs.ExponentialLR(o, 0.8),
    "SequentialLR": sequence,
    "CosineAnnealingLR": lambda o: torchs.CosineAnnealingLR(o, T_max=6),
    "ChainedScheduler": chain,
    "ReduceLROnPlateau": lambda o: torchs.ReduceLROnPlateau(o, factor=0.5, patience=1),
    "CyclicLR": cyclic,
    "CosineAnnealingWarmRestarts": lambda o: torchs.CosineAnnealingWarmRestarts(o, T_0=3),
    "OneCycleLR": one_cycle,
    "PolynomialLR": lambda o: torchs.PolynomialLR(o, total_iters=6, power=2),
    "SWALR": lambda o: SWALR(o, swa_lr=0.05, anneal_epochs=3),
}
# Schedulers that rise above the rate at which they start.
RISING = {
    "LambdaLR": lambda o: torchs.LambdaLR(o, lambda t: min(1 + t, 4)),
    "MultiplicativeLR": lambda o: torchs.MultiplicativeLR(o, lambda t: 1.1),
    "StepLR": lambda o: torchs.StepLR(o, step_size=4, gamma=2),
    "ExponentialLR": lambda o: torchs.ExponentialLR(o, 1.1),
    "CosineAnnealingLR": lambda o: torchs.CosineAnnealingLR(o, T_max=4, eta_min=4 * LR),
    "CyclicLR": lambda o: cyclic(o, LR, 4 * LR),
    "SWALR": lambda o: SWALR(o, swa_lr=4 * LR, anneal_epochs=3),
}


def run(optimizer, make, theta, steps=STEPS):
    """Step along a scheduler without a gradient; return the rates and the weights."""
    scheduler = make(optimizer)
    rates, weights = [], []
    for _ in range(steps):
        theta.grad = torch.zeros_like(theta)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        weights.append(theta.item())
        metric = [1.0] if isinstance(scheduler, torchs.ReduceLROnPlateau) else []
        scheduler.step(*metric)
    return rates, weights


def weight():
    return torch.ones((), dtype=torch.float64, requires_grad=True)


def rates_of(make, steps=STEPS):
    """The rates that a scheduler means: those it gives to a torch optimizer."""
    theta = weight()
    return run(torch.optim.SGD([theta], lr=LR, momentum=0.9), make, theta, steps)[0]


def shrunk(rates, alpha):
    return [prod(1 - lr / alpha * DECAY for lr in rates[: t + 1]) for t in range(len(rates))]


def test_every_scheduler_of_torch_is_here():
    assert set(torchs.__all__) - {"LRScheduler"} <= set(RIGHT)


@optimizers
@pytest.mark.parametrize("name", RIGHT)
def test_a_scheduler_that_starts_or_ends_its_warm_up_at_lr_is_right(name, optimizer_class, options):
    theta = weight()
    optimizer = optimizer_class([theta], lr=LR, weight_decay=DECAY, **options)
    rates, weights = run(optimizer, RIGHT[name], theta)
    assert rates == pytest.approx(rates_of(RIGHT[name]), rel=1e-12)
    assert len(set(rates)) > 1
    assert weights == pytest.approx(shrunk(rates, LR), rel=1e-9)


@optimizers
@pytest.mark.parametrize("name", RISING)
def test_one_that_rises_above_is_refused_before_any_weight_moves(name, optimizer_class, options):
    theta = weight()
    optimizer = optimizer_class([theta], lr=LR, weight_decay=DECAY, **options)
    expected = rates_of(RISING[name])
    late = next(t for t, lr in enumerate(expected) if lr > LR)
    with pytest.raises(ValueError, match=r"^lr=0\.\d+ is above max_lr=0\.1, .* pass max_lr=") as e:
        run(optimizer, RISING[name], theta)
    assert "\n" not in str(e.value)
    # what was taken until then is right, and nothing since
    assert theta.item() == pytest.approx(([1.0, *shrunk(expected, LR)])[late], rel=1e-9)


@optimizers
@pytest.mark.parametrize("name", RISING)
def test_with_its_peak_as_max_lr_it_is_right(name, optimizer_class, options):
    theta, expected = weight(), rates_of(RISING[name])
    peak = max(expected)
    optimizer = optimizer_class([theta], lr=LR, weight_decay=DECAY, max_lr=peak, **options)
    rates, weights = run(optimizer, RISING[name], theta)
    assert rates == pytest.approx(expected, rel=1e-12)
    assert weights == pytest.approx(shrunk(rates, peak), rel=1e-9)


@optimizers
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("start", [1e-3, 0.1, 5.0])
def test_one_cycle_takes_lambda_at_its_peak_whatever_lr_was(
    start, three_phase, optimizer_class, options
):
    def make(optimizer):
        return one_cycle(optimizer, max_lr=0.5, three_phase=three_phase)

    theta = weight()
    optimizer = optimizer_class([theta], lr=start, weight_decay=DECAY, **options)
    rates, weights = run(optimizer, make, theta)
    assert rates == pytest.approx(rates_of(make), rel=1e-12)
    assert weights == pytest.approx(shrunk(rates, 0.5), rel=1e-9)
    assert max(rates) > 0.4


@optimizers
def test_an_lr_set_by_hand_counts_and_stays(optimizer_class, options):
    theta = weight()
    optimizer = optimizer_class([theta], lr=LR, weight_decay=DECAY, **options)
    optimizer.param_groups[0]["lr"] = LR / 4
    rates, weights = run(optimizer, lambda o: torchs.LambdaLR(o, lambda t: 1.0), theta, 2)
    assert rates == [LR / 4, LR / 4]
    assert weights == pytest.approx(shrunk(rates, LR), rel=1e-9)
    optimizer.param_groups[0]["lr"] = 2 * LR
    with pytest.raises(ValueError, match="is above max_lr"):
        optimizer.step()
    optimizer.param_groups[0]["max_lr"] = 4 * LR
    optimizer.step()
    assert theta.item() == pytest.approx(weights[-1] * (1 - DECAY / 2), rel=1e-9)


@optimizers
@pytest.mark.parametrize(
    ("key", "value"), [("weight_decay", 1.25), ("weight_decay", -0.1), ("lr", float("nan"))]
)
def test_a_value_set_by_hand_is_checked_before_the_step(key, value, optimizer_class, options):
    theta = weight()
    theta.grad = torch.ones_like(theta)
    optimizer = optimizer_class([theta], lr=LR, weight_decay=DECAY, **options)
    optimizer.param_groups[0][key] = value
    with pytest.raises(ValueError, match=f"^{key} must be a number in"):
        optimizer.step()
    assert theta.item() == 1.0


@pytest.mark.parametrize(
    ("optimizer_class", "options"), [(SGD, {}), (Adam, {}), (SGDW, {"weight_decay": 0.0})]
)
def test_a_rate_may_rise_freely_where_no_decay_is_a_share_of_it(optimizer_class, options):
    theta = weight()
    optimizer = optimizer_class([theta], lr=LR, **{"weight_decay": DECAY} | options)
    rates, _ = run(optimizer, RISING["CyclicLR"], theta)
    assert max(rates) > 3 * LR


@optimizers
def test_a_group_without_decay_may_rise_beside_one_that_may_not(optimizer_class, options):
    decaying, free = weight(), weight()
    groups = [{"params": [free], "weight_decay": 0.0, "lr": LR}, {"params": [decaying]}]
    optimizer = optimizer_class(groups, lr=LR, weight_decay=DECAY, **options)
    decaying.grad = free.grad = torch.zeros_like(free)
    optimizer.param_groups[0]["lr"] = 5 * LR
    optimizer.step()
    assert (decaying.item(), free.item()) == (pytest.approx(1 - DECAY), 1.0)


@optimizers
def test_no_scheduler_seems_to_be_attached_before_one_is(optimizer_class, options):
    # which range finders look for
    optimizer = optimizer_class([weight()], lr=LR, weight_decay=DECAY, **options)
    assert "initial_lr" not in optimizer.param_groups[0]


@optimizers
def test_a_rate_of_zero_may_start_a_schedule_that_knows_its_peak(optimizer_class, options):
    with pytest.raises(ValueError, match=r"^lr must be a number in \(0, inf\), got 0"):
        optimizer_class([weight()], lr=0.0, weight_decay=DECAY, **options)
    theta = weight()
    optimizer = optimizer_class([theta], lr=0.0, max_lr=LR, weight_decay=DECAY, **options)
    theta.grad = torch.zeros_like(theta)
    optimizer.step()
    assert theta.item() == 1.0
    optimizer.param_groups[0]["lr"] = LR
    optimizer.step()
    assert theta.item() == pytest.approx(1 - DECAY)


@optimizers
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), "0.1"])
def test_a_peak_out_of_range_is_refused_by_name(bad, optimizer_class, options):
    with pytest.raises(ValueError, match=r"^max_lr must be a number in \(0, inf\), got"):
        optimizer_class([weight()], lr=LR, max_lr=bad, **options)


@optimizers
def test_a_schedule_in_float32_may_round_above_its_peak(optimizer_class, options):
    theta = weight()
    lr = torch.tensor(LR)
    optimizer = optimizer_class([theta], lr=lr, weight_decay=1e-6, **options)
    scheduler = torchs.LinearLR(optimizer, start_factor=1e-3, total_iters=2000)
    for _ in range(2000):
        optimizer.step()
        scheduler.step()
    assert 0 < lr.item() / optimizer.param_groups[0]["max_lr"] - 1 < 1e-4
    theta.grad = torch.zeros_like(theta)
    optimizer.step()
