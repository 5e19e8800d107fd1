import copy
import pickle
from abc import ABC

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

import optim
from optim import AdagradW, NAdamW, RAdamW, RMSpropW, decoupled
from tests.optim.trajectories import assert_same, noise, trajectory

READY = [
    (RMSpropW, torch.optim.RMSprop),
    (NAdamW, torch.optim.NAdam),
    (RAdamW, torch.optim.RAdam),
    (AdagradW, torch.optim.Adagrad),
]
ready_ones = pytest.mark.parametrize(("ours", "base"), READY)
DECAY = 0.03


@ready_ones
def test_is_the_base_step_less_a_share_of_the_old_weights(ours, base):
    def eta(t):
        return 1 / (1 + t)

    theta = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = base([theta], lr=0.1)
    scheduler = LambdaLR(optimizer, eta)
    expected = []
    for t in range(8):
        theta.grad = noise()(t, theta)
        old = theta.detach().clone()
        optimizer.step()
        theta.data -= eta(t) * DECAY * old
        scheduler.step()
        expected.append(theta.detach().clone())
    path = trajectory(ours, noise(), 8, eta, start=(1.0, -2.0), weight_decay=DECAY)
    assert_same(path, torch.stack(expected))


@pytest.mark.parametrize(("base", "twin"), [(optim.SGD, optim.SGDW), (optim.Adam, optim.AdamW)])
def test_makes_the_papers_own_pairs(base, twin):
    run = {"eta": lambda t: 1 / (1 + t), "start": (1.0, -2.0), "weight_decay": DECAY}
    expected = trajectory(twin, noise(), 8, **run)
    assert_same(trajectory(decoupled(base), noise(), 8, **run), expected)


@pytest.mark.parametrize("base", [optim.SGD, optim.Adam, torch.optim.Adamax])
def test_its_peak_is_its_own_whether_or_not_the_base_knows_one(base):
    theta = torch.ones(1, dtype=torch.float64, requires_grad=True)
    theta.grad = torch.zeros_like(theta)
    optimizer = decoupled(base)([theta], lr=0.1, max_lr=0.4, weight_decay=DECAY)
    optimizer.step()
    assert theta.item() == pytest.approx(1 - DECAY / 4)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
    assert optimizer.param_groups[1]["max_lr"] == 0.4


def test_the_base_step_sees_the_old_weights():
    class Proportional(torch.optim.Optimizer):
        """theta -= lr * theta * grad: a step whose size depends on the weights."""

        def __init__(self, params, lr, weight_decay=0.0):
            super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, closure=None):
            for theta in self.param_groups[0]["params"]:
                theta -= self.param_groups[0]["lr"] * theta * theta.grad

    path = trajectory(decoupled(Proportional), lambda t, theta: 1 + 0 * theta, 1, weight_decay=0.25)
    assert path.item() == pytest.approx(1 - 0.1 - 0.25, abs=1e-15)  # not (1 - 0.25) * (1 - 0.1)


@ready_ones
def test_is_named_after_its_base_made_once_and_survives_pickling(ours, base):
    assert ours.__name__ == base.__name__ + "W"
    assert decoupled(base) is ours
    assert pickle.loads(pickle.dumps(ours)) is ours


class Abstract(torch.optim.Adamax, ABC):
    """An optimizer whose class is of a kind of its own, as some packages have them."""


class Derived(RMSpropW):
    """What somebody makes of one of ours."""


@pytest.mark.parametrize("cls", [decoupled(torch.optim.Adamax), decoupled(Abstract), Derived])
def test_whatever_is_made_survives_pickling_and_copying(cls):
    assert pickle.loads(pickle.dumps(cls)) is cls
    assert pickle._loads(pickle._dumps(cls)) is cls  # the pickler in Python, which wrappers extend
    assert copy.deepcopy(cls) is cls
    theta = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = cls([theta], lr=0.1, max_lr=0.2, weight_decay=DECAY)
    theta.grad = torch.ones(2)
    optimizer.step()
    twins = [pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)]
    optimizer.step()
    for twin in twins:
        assert type(twin) is cls
        (copied,) = twin.param_groups[0]["params"]
        copied.grad = theta.grad
        twin.step()
        assert torch.equal(copied, theta)


@ready_ones
def test_resumes_exactly_from_a_state_dict(ours, base, tmp_path):
    # float32, as torch casts a float32 part of NAdam's state to the weights' type on loading
    theta = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = ours([theta], lr=0.1, weight_decay=DECAY)
    theta.grad = noise()(0, theta).float()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.05
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")

    copy = theta.detach().clone().requires_grad_()
    second = ours([copy], lr=3.0)
    second.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    theta.grad, copy.grad = noise()(1, theta).float(), noise()(1, copy).float()
    optimizer.step()
    second.step()
    assert torch.equal(copy, theta)


def test_the_decay_is_restored_when_the_base_step_fails():
    class Broken(torch.optim.RMSprop):
        def step(self, closure=None):
            raise RuntimeError("broken")

    theta = torch.ones(1, requires_grad=True)
    theta.grad = torch.ones(1)
    optimizer = decoupled(Broken)([theta], weight_decay=DECAY)
    with pytest.raises(RuntimeError, match="broken"):
        optimizer.step()
    assert optimizer.param_groups[0]["weight_decay"] == DECAY
    assert theta.item() == 1.0


@ready_ones
def test_a_closure_is_called_once_on_the_old_weights(ours, base):
    theta, seen = torch.ones(1, requires_grad=True), []

    def closure():
        loss = (2 * theta).sum()
        loss.backward()
        seen.append(theta.item())
        return loss.item()

    assert ours([theta], lr=0.1, weight_decay=DECAY).step(closure) == 2.0
    assert seen == [1.0]


def test_weights_without_a_gradient_do_not_decay():
    theta = torch.ones(1, requires_grad=True)
    RMSpropW([theta], weight_decay=DECAY).step()
    assert theta.item() == 1.0


def test_a_foreign_default_does_not_become_a_decay_of_the_papers_units():
    assert torch.optim.AdamW([torch.ones(1)]).param_groups[0]["weight_decay"] == 0.01
    assert decoupled(torch.optim.AdamW)([torch.ones(1)]).param_groups[0]["weight_decay"] == 0.0


def test_step_hooks_run_once_even_if_the_base_class_was_used_before():
    theta = torch.ones(1, requires_grad=True)
    torch.optim.RMSprop([theta])  # on its first use torch wraps the class's step with the hooks
    optimizer, calls = RMSpropW([theta]), []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step()
    assert calls == [1]


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (torch.optim.LBFGS, "LBFGS calls its closure again and again"),
        (torch.optim.SparseAdam, "SparseAdam has no argument weight_decay"),
        (RMSpropW, "RMSpropW has decoupled weight decay already"),
        (dict, "needs a subclass of torch.optim.Optimizer"),
        (["RMSprop"], "needs a subclass of torch.optim.Optimizer"),
    ],
)
def test_refuses_what_has_no_decay_to_decouple(cls, reason):
    with pytest.raises(ValueError, match=reason):
        decoupled(cls)


@pytest.mark.parametrize(
    "bad", [{"lr": 0.0}, {"weight_decay": 1.0}, {"weight_decay": float("nan")}]
)
@ready_ones
def test_a_value_out_of_range_is_refused_by_name(ours, base, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ours([torch.ones(1)], **bad)
