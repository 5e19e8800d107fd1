"""Decay that is not the paper's, AdamC's power of eta and the cautious one, against its formula."""

from math import nan

import pytest
import torch

from optim import SGD, SGDW, Adam, AdamW, schedule
from tests.optim.trajectories import assert_same, far_apart, noise, trajectory

ALPHA, DECAY, BETA1, BETA2, EPS = 0.1, 0.03, 0.9, 0.99, 1e-3
START, STEPS = (1.0, -2.0, 0.05, -0.01), 30
ETA = schedule.cosine(STEPS, warmup_steps=5)
KINDS = [(SGDW, {}), (AdamW, {"fused": False}), (AdamW, {"fused": None})]
each_kind = pytest.mark.parametrize(("cls", "options"), KINDS)


def written_out(cls, power, cautious):
    """The weights after each step by theta - u - eta^p lambda I(u theta >= 0) theta."""
    theta = torch.tensor(START, dtype=torch.float64)
    m, v, path = torch.zeros_like(theta), torch.zeros_like(theta), []
    for t in range(STEPS):
        gradient, eta = noise()(t, theta), ETA(t)
        if cls is SGDW:
            m = BETA1 * m + eta * ALPHA * gradient
            u = m
        else:
            m = BETA1 * m + (1 - BETA1) * gradient
            v = BETA2 * v + (1 - BETA2) * gradient**2
            root = (v / (1 - BETA2 ** (t + 1))).sqrt()
            u = eta * ALPHA * m / (1 - BETA1 ** (t + 1)) / (root + EPS)
        decays = u * theta >= 0 if cautious else torch.ones_like(theta, dtype=torch.bool)
        theta = theta - u - eta**power * DECAY * torch.where(decays, theta, 0.0)
        path.append(theta)
    return torch.stack(path)


def stepped(cls, options, **variant):
    betas = {"momentum": BETA1} if cls in (SGD, SGDW) else {"betas": (BETA1, BETA2), "eps": EPS}
    return trajectory(
        cls, noise(), STEPS, ETA, START, ALPHA, weight_decay=DECAY, **betas, **options, **variant
    )


@each_kind
@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
@pytest.mark.parametrize("cautious", [False, True])
def test_decay_follows_its_formula(cls, options, power, cautious):
    path = stepped(cls, options, decay_power=power, cautious=cautious)
    assert_same(path, written_out(cls, power, cautious))
    others = [(p, c) for p in (0, 1, 2) for c in (False, True) if (p, c) != (power, cautious)]
    assert all(far_apart(path, written_out(cls, p, c)) for p, c in others)


@each_kind
def test_the_defaults_are_the_papers_to_the_bit(cls, options):
    given = stepped(cls, options, decay_power=1.0, cautious=False)
    assert torch.equal(given, stepped(cls, options))


@each_kind
@pytest.mark.parametrize("power", [0, 1, 2])
def test_a_step_at_a_rate_of_0_moves_nothing(cls, options, power):
    start = torch.tensor(START, dtype=torch.float64)
    theta = start.clone().requires_grad_()
    optimizer = cls([theta], lr=ALPHA, weight_decay=DECAY, decay_power=power, **options)
    optimizer.param_groups[0]["lr"] = 0.0
    theta.grad = torch.ones_like(theta)
    optimizer.step()
    assert torch.equal(theta.detach(), start)


def test_the_signs_of_small_numbers_count():
    # 1e-30 * -1e-30 rounds to -0.0 in float32, which is >= 0
    theta = torch.tensor([1e-30, 1e-30], requires_grad=True)
    theta.grad = torch.tensor([-1e-30, 1e-30])
    SGDW([theta], lr=1e-6, weight_decay=0.5, cautious=True).step()
    torch.testing.assert_close(theta.detach(), torch.tensor([1e-30, 0.5e-30]), atol=0, rtol=1e-5)


def test_a_weight_without_an_update_decays():
    theta = torch.ones(2, requires_grad=True)
    theta.grad = torch.zeros(2)
    AdamW([theta], lr=0.1, weight_decay=0.25, cautious=True).step()
    assert theta.tolist() == [0.75, 0.75]


@pytest.mark.parametrize("cls", [SGDW, AdamW])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay_power": -1}, r"decay_power must be a number in \[0, inf\), got -1"),
        ({"decay_power": nan}, "decay_power must be a number"),
        ({"decay_power": "2"}, "decay_power must be a number in .*, got '2'"),
        ({"cautious": 1}, "cautious must be True or False, got 1"),
    ],
)
def test_what_cannot_be_is_refused(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls([torch.ones(1, requires_grad=True)], lr=0.1, **options)


@pytest.mark.parametrize("cls", [SGD, Adam])
@pytest.mark.parametrize("options", [{"decay_power": 2}, {"cautious": True}])
def test_l2_has_no_variant(cls, options):
    with pytest.raises(
        ValueError, match=f"are for decoupled decay; that of {cls.__name__} is L2's"
    ):
        cls([torch.ones(1, requires_grad=True)], lr=0.1, **options)


def test_the_kernel_takes_no_cautious_decay():
    theta = torch.ones(1, requires_grad=True)
    theta.grad = torch.ones(1)
    optimizer = AdamW([theta], weight_decay=0.1, cautious=True, fused=True)
    with pytest.raises(ValueError, match="fused=True cannot take a cautious weight decay of AdamW"):
        optimizer.step()


@each_kind
def test_a_state_dict_says_which_decay_it_is(cls, options):
    def made(**variant):
        return cls([torch.ones(1, requires_grad=True)], lr=0.1, **options, **variant)

    reader = made()
    reader.load_state_dict(made(decay_power=2, cautious=True).state_dict())
    (group,) = reader.param_groups
    assert (group["decay_power"], group["cautious"]) == (2, True)
    bad = made().state_dict()
    bad["param_groups"][0]["decay_power"] = -3
    with pytest.raises(ValueError, match="decay_power must be"):
        made().load_state_dict(bad)
