"""Adam with its L2 term in one moment only, or in none, against recurrences written out here."""

from math import sqrt

import pytest
import torch

from optim import Adam, AdamL2M, AdamL2V, AdamPreconditioned, AdamW, schedule
from tests.optim.trajectories import assert_same, far_apart, given, noise, trajectory

MIXED = [AdamL2M, AdamL2V, AdamPreconditioned]
# An epsilon this large shows where it is added; these betas keep the arithmetic in one's head.
BY_HAND = {"betas": (0.5, 0.75), "eps": 0.5, "weight_decay": 1.0}


def reference(into_m, into_v, beside, gradient, steps, eta, start, lr=0.1, wd=0.3):
    """The weights of Adam whose L2 term has these factors in m, in v, and beside mhat."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    theta = torch.tensor(start, dtype=torch.float64)
    m = v = torch.zeros_like(theta)
    path = []
    for t in range(steps):
        grad = gradient(t, theta)
        m = beta1 * m + (1 - beta1) * (grad + into_m * wd * theta)
        v = beta2 * v + (1 - beta2) * (grad + into_v * wd * theta) ** 2
        mhat, vhat = m / (1 - beta1 ** (t + 1)), v / (1 - beta2 ** (t + 1))
        theta = theta - eta(t) * lr * (mhat + beside * wd * theta) / (vhat.sqrt() + eps)
        path.append(theta)
    return torch.stack(path)


@pytest.mark.parametrize(
    ("optimizer_class", "factors"),
    [
        (Adam, (1, 1, 0)),
        (AdamL2M, (1, 0, 0)),
        (AdamL2V, (0, 1, 0)),
        (AdamPreconditioned, (0, 0, 1)),
    ],
)
def test_the_l2_term_enters_where_the_name_says_and_nowhere_else(optimizer_class, factors):
    options = {"eta": schedule.cosine(30), "start": (1.0, -2.0, 0.5)}
    expected = reference(*factors, noise(), 30, **options)
    assert_same(trajectory(optimizer_class, noise(), 30, weight_decay=0.3, **options), expected)


@pytest.mark.parametrize(
    ("optimizer_class", "numerator", "root"),
    # from theta = 1 with g = 2: mhat = g + in m, vhat = (g + in v)^2, as both are corrected
    [(AdamL2M, 3, 2), (AdamL2V, 2, 3), (AdamPreconditioned, 3, 2), (Adam, 3, 3)],
)
def test_the_first_step_by_hand(optimizer_class, numerator, root):
    path = trajectory(optimizer_class, given([2]), 1, **BY_HAND)
    assert path.item() == pytest.approx(1 - 0.1 * numerator / (root + 0.5), abs=1e-14)


def test_the_second_step_tells_a_term_beside_the_moment_from_one_in_it():
    # g = 2, 0; after the first step both stand at .88: numerator 3 over 2.5.
    # v = .75 * 1 = .75 of (1 - .75^2) = .4375; beside: m = .5, of .75
    root = sqrt(0.75 / 0.4375) + 0.5
    beside = trajectory(AdamPreconditioned, given([2, 0]), 2, **BY_HAND)[-1].item()
    assert beside == pytest.approx(0.88 - 0.1 * (0.5 / 0.75 + 0.88) / root, abs=1e-14)
    # in it: m = .5 * 1.5 + .5 * .88 = 1.19, of .75
    within = trajectory(AdamL2M, given([2, 0]), 2, **BY_HAND)[-1].item()
    assert within == pytest.approx(0.88 - 0.1 * (1.19 / 0.75) / root, abs=1e-14)


@pytest.mark.parametrize("optimizer_class", MIXED)
@pytest.mark.parametrize("fused", [None, False, True])
def test_without_decay_they_are_adam_to_the_bit(optimizer_class, fused):
    run = {"steps": 10, "eta": lambda t: 1 / (1 + t), "start": (1.0, -2.0, 0.3), "fused": fused}
    assert torch.equal(
        trajectory(optimizer_class, noise(), **run), trajectory(Adam, noise(), **run)
    )


@pytest.mark.parametrize("optimizer_class", MIXED)
def test_with_decay_they_are_neither_rival(optimizer_class):
    options = {"start": (1.0, -2.0), "weight_decay": 0.1, "lr": 0.02}
    path = trajectory(optimizer_class, noise(), 20, **options)
    for rival in (Adam, AdamW):
        assert far_apart(path, trajectory(rival, noise(), 20, **options))


@pytest.mark.parametrize("optimizer_class", MIXED)
def test_the_fused_kernel_is_refused_what_it_does_not_know(optimizer_class):
    with pytest.raises(ValueError, match=f"fused=True cannot take .* {optimizer_class.__name__}"):
        trajectory(optimizer_class, noise(), 1, fused=True, weight_decay=0.1)
