import pytest
import torch

from optim import SGD, SGDW, schedule
from tests.optim.trajectories import assert_same, far_apart, given, noise, trajectory

HALF_AT_SECOND = (1.0, 0.5, 1.0).__getitem__
START = (1.0, -2.0, 0.5)


def test_sgdw_follows_algorithm_1_by_hand():
    # m1 = .1*2 = .2;             theta1 = 1 - .2 - .01*1             = .79
    # m2 = .9*.2 + .5*.1*2 = .28; theta2 = .79 - .28 - .5*.01*.79     = .50605
    path = trajectory(SGDW, given([2, 2]), 2, HALF_AT_SECOND, momentum=0.9, weight_decay=0.01)
    assert path.flatten().tolist() == pytest.approx([0.79, 0.50605], abs=1e-14)


def test_sgd_follows_algorithm_1_by_hand():
    # g1 = 2 + .5*1 = 2.5;    m1 = .1*2.5 = .25;                        theta1 = 1 - .25    = .75
    # g2 = 2 + .5*.75 = 2.375; m2 = .9*.25 + .5*.1*2.375 = .34375;      theta2 = .75 - m2   = .40625
    path = trajectory(SGD, given([2, 2]), 2, HALF_AT_SECOND, momentum=0.9, weight_decay=0.5)
    assert path.flatten().tolist() == pytest.approx([0.75, 0.40625], abs=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("ours", "wd"), [(SGD, 0.01), (SGD, 0.0), (SGDW, 0.0)])
def test_equals_torch_sgd_under_a_constant_schedule(ours, wd, momentum):
    options = {"start": START, "momentum": momentum, "weight_decay": wd}
    expected = trajectory(torch.optim.SGD, noise(), 20, **options)
    assert_same(trajectory(ours, noise(), 20, **options), expected)


def test_differs_from_torch_sgd_under_a_cosine_as_the_rate_enters_the_momentum():
    options = {"start": START, "momentum": 0.9, "weight_decay": 0.01, "eta": schedule.cosine(20)}
    theirs = trajectory(torch.optim.SGD, noise(), 20, **options)
    assert far_apart(trajectory(SGD, noise(), 20, **options), theirs)


def test_equals_torch_sgd_under_a_cosine_without_momentum():
    options = {"start": START, "momentum": 0.0, "weight_decay": 0.01, "eta": schedule.cosine(20)}
    expected = trajectory(torch.optim.SGD, noise(), 20, **options)
    assert_same(trajectory(SGD, noise(), 20, **options), expected)


def test_momentum_keeps_coasting_when_the_rate_is_zero_but_decay_stops():
    # m1 = .1*2 = .2; theta1 = 1 - .2 - .01 = .79; then eta = 0: m2 = .9*.2, theta2 = .79 - .18
    path = trajectory(SGDW, given([2, 2]), 2, (1.0, 0.0, 1.0).__getitem__, weight_decay=0.01)
    assert path.flatten().tolist() == pytest.approx([0.79, 0.61], abs=1e-14)
