from math import cos, pi, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    MultiStepLR,
)

from optim import AdamW, normalized_weight_decay, schedule

EVERY = [
    lambda steps, warmup_steps=0: schedule.constant(steps, warmup_steps=warmup_steps),
    lambda steps, warmup_steps=0: schedule.step(steps, warmup_steps=warmup_steps),
    lambda steps, warmup_steps=0: schedule.cosine(steps, warmup_steps=warmup_steps),
    lambda steps, warmup_steps=0: schedule.warm_restarts(steps, t_0=3, warmup_steps=warmup_steps),
]
every_one = pytest.mark.parametrize("make", EVERY)


def rates(make_scheduler, steps):
    """The rate of each step, from 1, as a torch scheduler sets it."""
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    scheduler = make_scheduler(optimizer)
    path = []
    for _ in range(steps):
        path.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return path


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schedule.cosine(50), lambda o: CosineAnnealingLR(o, T_max=50)),
        (schedule.step(50), lambda o: MultiStepLR(o, milestones=[15, 30, 40], gamma=0.1)),
        (
            schedule.warm_restarts(70, t_0=10, t_mult=2),
            lambda o: CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2),
        ),
        (
            schedule.warm_restarts(35, t_0=10, t_mult=1),
            lambda o: CosineAnnealingWarmRestarts(o, T_0=10, T_mult=1),
        ),
    ],
    ids=["cosine", "step", "restarts", "equal restarts"],
)
def test_agrees_with_torchs_scheduler(ours, theirs):
    path = rates(lambda optimizer: LambdaLR(optimizer, ours), ours.steps)
    assert path == pytest.approx(rates(theirs, ours.steps), abs=1e-12)


@every_one
def test_the_first_step_is_a_whole_one_without_warm_up(make):
    assert make(10)(0) == 1.0


def test_the_cosine_ends_one_step_short_of_zero():
    eta = schedule.cosine(100)
    assert (eta(50), eta(100), eta(105)) == (0.5, 0.0, 0.0)
    assert eta(99) == 0.5 + 0.5 * cos(pi * 99 / 100) > 0


def test_the_paper_drops_the_rate_at_epochs_30_60_and_80_of_100():
    eta = schedule.step(100)
    drops = [t for t in range(1, 100) if eta(t) != eta(t - 1)]
    assert drops == [30, 60, 80]
    assert [eta(t) for t in (0, 30, 60, 99)] == pytest.approx([1, 0.1, 0.01, 0.001])


def test_the_papers_restarts_have_their_minima_before_100_300_700_and_1500():
    eta = schedule.warm_restarts(1500, t_0=100, t_mult=2)
    ends = [t for t in range(1, 1501) if eta(t) > eta(t - 1)]
    assert ends == [100, 300, 700, 1500]
    assert all(eta(t) == 1.0 and eta(t - 1) < 1e-3 for t in ends)
    # halfway through each cycle of length 100, 200, 400, 800
    assert [eta(t) for t in (50, 200, 500, 1100)] == pytest.approx([0.5] * 4)
    assert [eta.period(t) for t in (0, 99, 100, 299, 300, 700)] == [100, 100, 200, 200, 400, 800]


@every_one
@settings(max_examples=30, deadline=None)
@given(budget=st.tuples(st.integers(1, 50), st.integers(1, 50)))
def test_the_warm_up_is_linear_and_precedes_the_shape(make, budget):
    warmup, remaining = budget
    eta = make(warmup + remaining, warmup_steps=warmup)
    assert [eta(t) for t in range(warmup)] == [(t + 1) / warmup for t in range(warmup)]
    shape = make(remaining)
    assert [eta(warmup + t) for t in range(remaining)] == [shape(t) for t in range(remaining)]


@every_one
@settings(max_examples=30, deadline=None)
@given(steps=st.integers(1, 200), step=st.integers(0, 400))
def test_the_multiplier_lies_between_0_and_1_even_past_the_budget(make, steps, step):
    assert 0 <= make(steps)(step) <= 1


@pytest.mark.parametrize("make", EVERY[:3])
def test_without_restarts_the_period_is_the_whole_budget(make):
    assert {make(20, warmup_steps=5).period(t) for t in range(20)} == {20}


def test_the_warm_up_belongs_to_the_first_cycle():
    eta = schedule.warm_restarts(20, t_0=4, warmup_steps=3)
    assert [eta.period(t) for t in (0, 2, 3, 6, 7)] == [4, 4, 4, 4, 8]


def test_normalized_decay_of_a_restart_comes_from_its_period():
    # 5 batches an epoch; cycles of 10 and 20 epochs: lambda = wd / sqrt(steps of the cycle)
    eta, per_epoch = schedule.warm_restarts(150, t_0=50), 5
    decays = [
        normalized_weight_decay(0.1, batch_size=8, train_size=40, epochs=eta.period(t) / per_epoch)
        for t in (0, 50)
    ]
    assert decays == pytest.approx([0.1 / sqrt(50), 0.1 / sqrt(100)])


@every_one
def test_a_schedulers_state_dict_loads_without_pickled_objects(make, tmp_path):
    def start():
        optimizer = AdamW([torch.ones(1, requires_grad=True)])
        return optimizer, LambdaLR(optimizer, make(10, warmup_steps=2))

    optimizer, scheduler = start()
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    second = start()[1]
    second.load_state_dict(torch.load(tmp_path / "scheduler.pt", weights_only=True))
    optimizer.step()
    scheduler.step()
    second.optimizer.step()
    second.step()
    assert second.get_last_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedule.cosine(0), r"^steps must .*\[1, inf\).*got 0$"),
        (lambda: schedule.constant(1.5), r"^steps must .*got 1.5$"),
        (lambda: schedule.cosine(10, warmup_steps=10), r"^warmup_steps must .*=10\), got 10$"),
        (lambda: schedule.cosine(10, warmup_steps=-1), r"^warmup_steps must .*got -1$"),
        (lambda: schedule.step(10, factor=0.0), r"^factor must .*\(0, 1\), got 0.0$"),
        (lambda: schedule.step(10, factor=1.0), r"^factor must .*got 1.0$"),
        (lambda: schedule.step(10, factor=float("nan")), r"^factor must .*got nan$"),
        (lambda: schedule.step(10, milestones=(0.5, 0.5)), r"^milestones must .*\(0, 1\), got"),
        (lambda: schedule.step(10, milestones=(0.6, 0.3)), r"^milestones must"),
        (lambda: schedule.step(10, milestones=(0.0, 0.3)), r"^milestones must"),
        (lambda: schedule.step(10, milestones=(0.3, 1.0)), r"^milestones must"),
        (lambda: schedule.warm_restarts(10, t_0=0), r"^t_0 must .*\[1, inf\), got 0$"),
        (lambda: schedule.warm_restarts(10, t_0=2, t_mult=0), r"^t_mult must .*got 0$"),
        (lambda: schedule.warm_restarts(10, t_0=2, t_mult=1.5), r"^t_mult must .*got 1.5$"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
