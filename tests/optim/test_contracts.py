"""What every optimizer of the paper promises, on both code paths of Adam's."""

from math import nan, prod

import pytest
import torch
from hypothesis import given as with_any
from hypothesis import settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LambdaLR

from optim import SGD, SGDW, Adam, AdamW
from tests.optim.trajectories import DECOUPLED, PAPER, VARIANTS, assert_same, noise, trajectory

all_of_them = pytest.mark.parametrize(("optimizer_class", "options"), [*PAPER, *VARIANTS])
decoupled_ones = pytest.mark.parametrize(("optimizer_class", "options"), DECOUPLED)
few = settings(max_examples=20, deadline=None)
etas = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def weight(*values, dtype=torch.float64, grad=None):
    theta = torch.tensor(values, dtype=dtype, requires_grad=True)
    theta.grad = None if grad is None else torch.full_like(theta, grad)
    return theta


def one_step(optimizer_class, theta, eta=1.0, **options):
    optimizer = optimizer_class([theta], **options)
    optimizer.param_groups[0]["lr"] *= eta
    optimizer.step()
    return theta.detach()


@decoupled_ones
@few
@with_any(lr=st.floats(1e-6, 10), decay=st.floats(0, 0.99), etas=etas)
def test_with_no_gradient_a_weight_shrinks_by_eta_lambda_whatever_the_rate(
    optimizer_class, options, lr, decay, etas
):
    path = trajectory(
        optimizer_class,
        lambda t, theta: torch.zeros_like(theta),
        len(etas),
        eta=[*etas, 1.0].__getitem__,
        start=(1.0, -3.0),
        lr=lr,
        weight_decay=decay,
        **options,
    )
    # lr * eta / lr and decay / lr * lr round, hence the relative 1e-9 where 1 - decay cancels
    expected = prod(1 - eta * decay for eta in etas)
    assert path[-1].tolist() == pytest.approx([expected, -3 * expected], rel=1e-9, abs=1e-12)


@decoupled_ones
@few
@with_any(scale=st.floats(1e-3, 1e3))
def test_scaling_the_start_and_the_rate_scales_the_whole_path(optimizer_class, options, scale):
    # For given gradients theta_t is linear in (theta_0, alpha); a decay of lr * wd would break it.
    options = options | {"weight_decay": 0.05, "eta": lambda t: 1 / (1 + t)}
    path = trajectory(optimizer_class, noise(), 5, start=(1.0, -2.0), lr=0.1, **options)
    scaled = trajectory(
        optimizer_class, noise(), 5, start=(scale, -2 * scale), lr=0.1 * scale, **options
    )
    assert_same(scaled / scale, path, rtol=1e-10)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("optimizer_class", [Adam, AdamW])
@few
@with_any(scale=st.floats(1e-6, 1e6))
def test_adam_without_epsilon_ignores_the_scale_of_the_gradient(optimizer_class, fused, scale):
    options = {"start": (1.0, -2.0), "eps": 0.0, "fused": fused}
    path = trajectory(optimizer_class, noise(), 5, **options)
    scaled = trajectory(optimizer_class, lambda t, theta: scale * noise()(t, theta), 5, **options)
    assert_same(scaled, path, rtol=1e-10)


@pytest.mark.parametrize(("twin", "decoupled", "options"), [
    (SGD, SGDW, {}), (Adam, AdamW, {"fused": False}), (Adam, AdamW, {"fused": True}),
])  # fmt: skip
def test_rivals_without_decay_are_bit_identical(twin, decoupled, options):
    run = {"steps": 10, "eta": lambda t: 1 / (1 + t), "start": (1.0, -2.0, 0.3), **options}
    assert torch.equal(trajectory(twin, noise(), **run), trajectory(decoupled, noise(), **run))


@all_of_them
def test_resumes_exactly_from_a_state_dict(optimizer_class, options, tmp_path):
    def start(theta, lr):
        optimizer = optimizer_class([theta], lr=lr, weight_decay=0.01, **options)
        return optimizer, LambdaLR(optimizer, lambda t: min(1, t / 5))  # a warm-up from 0

    def advance(theta, optimizer, scheduler, steps):
        for t in steps:
            theta.grad = noise()(t, theta)
            optimizer.step()
            scheduler.step()

    theta = weight(1.0, -2.0, 0.5)
    run = theta, *start(theta, lr=0.1)
    advance(*run, range(3))
    saved = {"theta": theta.detach(), "optimizer": run[1].state_dict(), "at": run[2].state_dict()}
    torch.save(saved, tmp_path / "checkpoint.pt")
    advance(*run, range(3, 8))

    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    copy = saved["theta"].clone().requires_grad_()
    resumed = copy, *start(copy, lr=7.0)  # the state dict knows alpha, not the constructor
    resumed[1].load_state_dict(saved["optimizer"])
    resumed[2].load_state_dict(saved["at"])
    advance(*resumed, range(3, 8))
    assert torch.equal(copy, theta)


@all_of_them
def test_each_group_has_its_own_rate_and_decay(optimizer_class, options):
    settings = [{"lr": 0.1, "weight_decay": 0.02}, {"lr": 0.4, "weight_decay": 0.5}]
    together = [weight(1.0, -2.0, grad=3.0) for _ in settings]
    optimizer = optimizer_class([{"params": [together[0]], **settings[0]}], lr=9.0, **options)
    optimizer.add_param_group({"params": [together[1]], **settings[1]})
    LambdaLR(optimizer, lambda t: 0.5)
    optimizer.step()
    for theta, setting in zip(together, settings, strict=True):
        alone = one_step(
            optimizer_class, weight(1.0, -2.0, grad=3.0), eta=0.5, **setting, **options
        )
        assert torch.equal(theta.detach(), alone)


@all_of_them
def test_a_group_added_in_mid_schedule_starts_its_own(optimizer_class, options):
    optimizer = optimizer_class([weight(1.0)], lr=0.1, **options)
    LambdaLR(optimizer, lambda t: 0.25)
    optimizer.add_param_group({"params": [weight(1.0)]})
    optimizer.add_param_group({"params": [weight(1.0)], "lr": 0.0, "max_lr": 0.3})
    optimizer.add_param_group({"params": [weight(1.0)], "lr": 0.0, "initial_lr": 0.2})
    rates = [(group["lr"], group["max_lr"]) for group in optimizer.param_groups]
    assert rates == [(0.025, 0.1), (0.1, 0.1), (0.0, 0.3), (0.0, 0.2)]


@all_of_them
def test_leaves_the_gradient_and_the_decay_as_they_were(optimizer_class, options):
    theta = weight(1.0, -2.0, grad=3.0)
    optimizer = optimizer_class([theta], lr=0.1, weight_decay=0.3, **options)
    optimizer.step()
    assert torch.equal(theta.grad, torch.full_like(theta, 3.0))
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


@all_of_them
def test_a_weight_counts_only_the_steps_in_which_it_had_a_gradient(optimizer_class, options):
    options = {"lr": 0.1, "weight_decay": 0.02, **options}
    often, seldom, alone = weight(1.0), weight(1.0), weight(1.0)
    optimizer = optimizer_class([often, seldom], **options)
    reference = optimizer_class([alone], **options)
    for t in range(5):
        often.grad = torch.ones_like(often)
        seldom.grad = alone.grad = None
        if t in (1, 4):
            seldom.grad, alone.grad = noise()(t, seldom), noise()(t, alone)
        optimizer.step()
        reference.step()
    assert torch.equal(seldom, alone)
    assert [optimizer.state[theta]["step"] for theta in (often, seldom)] == [5, 2]


@pytest.mark.parametrize("optimizer_class", [SGD, SGDW, Adam, AdamW])
def test_types_may_mix_in_a_group(optimizer_class):
    # Rounding to 8 bits after each of two steps: 2 * 2**-8; fp32 keeps 24 bits.
    tolerance = {torch.bfloat16: 2**-7, torch.float32: 1e-6, torch.float64: 1e-14}
    params = [weight(1.0, -2.0, dtype=dtype, grad=0.5) for dtype in (*tolerance, *tolerance)]
    optimizer = optimizer_class(params, lr=0.125, weight_decay=0.0625)
    optimizer.step()
    optimizer.step()
    reference = weight(1.0, -2.0, grad=0.5)
    alone = optimizer_class([reference], lr=0.125, weight_decay=0.0625)
    alone.step()
    alone.step()
    for theta in params:
        assert optimizer.state[theta]["m"].dtype == theta.dtype
        assert_same(theta.detach().double(), reference.detach(), rtol=tolerance[theta.dtype])


@all_of_them
def test_a_closure_is_called_once_before_the_step_with_gradients_on(optimizer_class, options):
    theta, seen = weight(1.0), []

    def closure():
        loss = (2 * theta).sum()
        loss.backward()
        seen.append(theta.item())
        return loss.item()

    assert optimizer_class([theta], lr=0.1, **options).step(closure) == 2.0
    assert seen == [1.0]
    assert theta.item() != 1.0


@all_of_them
def test_sparse_and_complex_gradients_are_refused_before_any_weight_moves(optimizer_class, options):
    fine, sparse = weight(1.0, grad=1.0), weight(1.0, 2.0)
    sparse.grad = torch.ones(2, dtype=torch.float64).to_sparse()
    optimizer = optimizer_class([{"params": [fine]}, {"params": [sparse]}], lr=0.1, **options)
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        optimizer.step()
    assert fine.item() == 1.0
    imaginary = weight(1j, dtype=torch.complex64, grad=1.0)
    with pytest.raises(RuntimeError, match="does not support complex gradients"):
        optimizer_class([imaginary], lr=0.1, **options).step()


BAD = [
    (SGDW, {"lr": 0.0}), (SGDW, {"lr": -1.0}), (SGDW, {"lr": nan}), (SGDW, {"lr": float("inf")}),
    (SGDW, {"lr": "0.1"}), (SGDW, {"lr": torch.tensor([0.1])}), (SGDW, {"momentum": 1.0}),
    (SGDW, {"weight_decay": torch.tensor(0.1)}), (SGDW, {"lr": torch.tensor(1)}),
    (SGD, {"momentum": -0.1}), (SGD, {"momentum": nan}), (SGD, {"weight_decay": -1e-4}),
    (SGD, {"weight_decay": nan}), (SGDW, {"weight_decay": 1.0}), (AdamW, {"weight_decay": 1.0}),
    (Adam, {"weight_decay": float("inf")}), (Adam, {"betas": (0.9, 1.0)}),
    (Adam, {"betas": (nan, 0.9)}), (Adam, {"betas": 0.9}), (Adam, {"betas": (0.9,)}),
    (AdamW, {"eps": -1e-8}), (AdamW, {"eps": nan}), (AdamW, {"fused": "auto"}),
]  # fmt: skip


@pytest.mark.parametrize(("optimizer_class", "bad"), BAD)
def test_a_value_out_of_range_is_refused_by_name_and_leaves_no_group_behind(optimizer_class, bad):
    key = next(iter(bad))
    with pytest.raises(ValueError, match=rf"^{key}.* must be .*got "):
        optimizer_class([weight(0.0)], **{"lr": 0.1} | bad)
    optimizer = optimizer_class([weight(0.0)], lr=0.1)
    with pytest.raises(ValueError, match=rf"^{key}.* must be .*got "):
        optimizer.add_param_group({"params": [weight(0.0)], **bad})
    assert len(optimizer.param_groups) == 1


def test_l2_may_exceed_1_where_decoupled_decay_may_not():
    assert SGD([weight(0.0)], lr=0.1, weight_decay=10.0).param_groups[0]["weight_decay"] == 10.0


def test_step_hooks_run_once():
    optimizer, calls = AdamW([weight(1.0, grad=1.0)]), []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step()
    assert calls == [1]
