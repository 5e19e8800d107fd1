"""The part of an update that is decay, in float64, against sums written out here."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from experiments.errors import UserError
from experiments.probe.decay_split import momentum, root_v, rule_of
from optim import SGD, SGDW, Adam, AdamL2M, AdamL2V, AdamPreconditioned, AdamW, RMSpropW, schedule
from tests.optim.trajectories import VARIANTS

ALPHA, DECAY, BETA1, BETA2, EPS = 0.02, 0.3, 0.9, 0.98, 1e-8
ADAM = {"betas": (BETA1, BETA2), "eps": EPS}
SGDS = [(SGD, {}), (SGDW, {})]
ADAMS = [
    *((cls, ADAM | {"fused": fused}) for cls in (Adam, AdamW) for fused in (False, True)),
    *((cls, ADAM) for cls in (AdamL2M, AdamL2V, AdamPreconditioned)),
    *((cls, ADAM) for cls in (torch.optim.Adam, torch.optim.AdamW)),
]


def follow(cls, options, steps, gradient, start, alpha=ALPHA, wd=DECAY, eta=lambda t: 1.0):
    """Yield of each step: t, gradient, weights before and after, decay, and who made it."""
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = cls([theta], lr=alpha, weight_decay=wd, **options)
    scheduler, rule, memory = LambdaLR(optimizer, eta), rule_of(optimizer), {}
    (group,) = optimizer.param_groups
    for t in range(steps):
        before = theta.detach().clone()
        theta.grad = gradient(t, before)
        rule.remember(memory, before, theta.grad, group)
        optimizer.step()
        part = rule.part(memory, before, optimizer.state[theta], group)
        now = {"rule": rule, "group": dict(group), "state": optimizer.state[theta]}
        yield t, theta.grad, before, theta.detach().clone(), part, now | {"memory": memory}
        scheduler.step()


def noise(t, theta):
    return torch.randn(theta.shape, dtype=theta.dtype, generator=torch.Generator().manual_seed(t))


START = (1.0, -2.0, 0.5, 1e-3)


@pytest.mark.parametrize(
    ("cls", "options"),
    [*SGDS, *ADAMS, *((cls, ADAM | o if cls is AdamW else o) for cls, o in VARIANTS)],
)
def test_what_the_loss_does_and_what_decay_does_sum_to_the_update(cls, options):
    m = torch.zeros(len(START), dtype=torch.float64)  # of the loss alone
    for t, grad, before, after, decay, now in follow(
        cls, options, 40, noise, START, eta=schedule.cosine(40)
    ):
        lr = now["group"]["lr"]
        if cls in (SGD, SGDW):
            m = BETA1 * m + lr * grad
            loss = -m
        else:
            m = BETA1 * m + (1 - BETA1) * grad
            v = now["state"].get("v", now["state"].get("exp_avg_sq"))
            root = (v / (1 - BETA2 ** (t + 1))).sqrt()
            loss = -lr * m / (1 - BETA1 ** (t + 1)) / (root + EPS)
        torch.testing.assert_close(loss + decay, after - before, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("cls", "share"), [(AdamW, DECAY), (SGDW, DECAY), (torch.optim.AdamW, ALPHA * DECAY)]
)
def test_where_decay_is_decoupled_every_weight_loses_the_same_share(cls, share):
    eta = schedule.cosine(10)
    for t, _, before, _, decay, now in follow(cls, {}, 10, noise, START, eta=eta):
        torch.testing.assert_close(
            -decay / before, torch.full_like(before, eta(t) * share), rtol=1e-12, atol=0
        )
        assert now["rule"].nominal(now["group"]) == pytest.approx(eta(t) * share, rel=1e-12)


@pytest.mark.parametrize("cls", [AdamW, SGDW])
@pytest.mark.parametrize("power", [0, 2])
def test_decay_that_is_not_the_papers_is_what_is_left_of_the_update(cls, power):
    options, eta = {"decay_power": power}, schedule.cosine(10)
    for t, _, before, _, decay, now in follow(cls, options, 10, noise, START, eta=eta):
        assert now["rule"].nominal(now["group"]) == pytest.approx(eta(t) ** power * DECAY)
        torch.testing.assert_close(-decay, eta(t) ** power * DECAY * before, rtol=1e-12, atol=0)
    spared = set()
    for t, _, before, _, decay, now in follow(
        cls, options | {"cautious": True}, 10, noise, START, eta=eta
    ):
        decays = now["state"]["m"] * before >= 0
        spared |= set(decays.tolist())
        expected = torch.where(decays, eta(t) ** power * DECAY * before, 0.0)
        torch.testing.assert_close(-decay, expected, rtol=1e-12, atol=0)
    assert spared == {True, False}


def test_sgds_l2_tends_to_a_fixed_share_of_every_weight():
    # so small a rate that the weights stay: m_L2 = alpha lambda theta (1 + beta + ... + beta^t)
    for t, _, before, _, decay, now in follow(SGD, {}, 200, noise, START, alpha=1e-12):
        nominal = now["rule"].nominal(now["group"])
        assert nominal == pytest.approx(1e-12 * DECAY / (1 - BETA1), rel=1e-12)
        share = nominal * (1 - BETA1 ** (t + 1))
        torch.testing.assert_close(
            -decay / before, torch.full_like(before, share), rtol=1e-6, atol=0
        )
    assert share == pytest.approx(nominal, rel=1e-8)


CURVATURE = torch.tensor([1e-3, 0.1, 1.0, 30.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("cls", "root"),
    [
        (Adam, lambda h, theta: (h + DECAY) * theta.abs()),
        (AdamL2M, lambda h, theta: h * theta.abs()),
        (AdamPreconditioned, lambda h, theta: h * theta.abs()),
        (torch.optim.Adam, lambda h, theta: (h + DECAY) * theta.abs()),
    ],
)
def test_on_a_quadratic_the_spectrum_is_the_rate_times_decay_over_the_root(cls, root):
    # f = sum h theta^2 / 2 and a rate so small that theta stays: the gradient is h theta, so
    # vhat is its square (with lambda theta in it, if L2 enters v), mhat_L2 is lambda theta.
    options = ADAM | {"eps": 0.0}
    for _, _, before, _, decay, now in follow(
        cls, options, 60, lambda t, theta: CURVATURE * theta, START, alpha=1e-12
    ):
        expected = root(CURVATURE, before)
        torch.testing.assert_close(root_v(now["state"], now["group"]), expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(-decay / before, 1e-12 * DECAY / expected, rtol=1e-6, atol=0)


def test_l2_in_v_alone_decays_nothing():
    for *_, decay, _ in follow(AdamL2V, ADAM, 5, noise, START):
        assert not decay.any()


@pytest.mark.parametrize("cls", [Adam, AdamL2V])
def test_the_second_moment_without_l2_is_that_of_the_loss(cls):
    v = torch.zeros(len(START), dtype=torch.float64)
    for _, grad, *_, now in follow(cls, ADAM, 20, noise, START):
        v = BETA2 * v + (1 - BETA2) * grad**2
        torch.testing.assert_close(now["rule"].v_without_l2(now["memory"]), v, rtol=1e-12, atol=0)
    assert (now["state"]["v"] - v).abs().min() > 1e-3


@pytest.mark.parametrize("cls", [AdamL2M, AdamPreconditioned, AdamW, SGD])
def test_where_no_l2_enters_v_there_is_no_second_moment_without_it(cls):
    *_, (*_, now) = follow(cls, {}, 2, noise, START)
    assert now["rule"].v_without_l2(now["memory"]) is None


def test_momentum_is_beta1_and_sgd_has_no_root():
    *_, (*_, now) = follow(SGD, {"momentum": 0.7}, 1, noise, START)
    assert momentum(now["group"]) == 0.7
    assert root_v(now["state"], now["group"]) is None
    *_, (*_, now) = follow(Adam, {"betas": (0.6, 0.9)}, 1, noise, START)
    assert momentum(now["group"]) == 0.6


@pytest.mark.parametrize(
    ("cls", "options", "named"),
    [(RMSpropW, {}, "RMSpropW"), (torch.optim.Adam, {"amsgrad": True}, "Adam with amsgrad")],
)
def test_an_optimizer_that_it_does_not_know_is_refused(cls, options, named):
    with pytest.raises(UserError, match=f"not of {named}$"):
        rule_of(cls([torch.zeros(1, requires_grad=True)], lr=0.1, **options))
