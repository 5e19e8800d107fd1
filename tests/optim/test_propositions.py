"""The paper's three propositions, each on a quadratic whose gradient autograd takes."""

import pytest
import torch
from torch.optim.optimizer import Optimizer

from optim import SGD, SGDW, decoupled
from tests.optim.trajectories import assert_same, far_apart, trajectory

ALPHA, DECAY = 0.1, 0.02
CURVATURE = torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64)
S = torch.tensor([0.5, 2.0, 4.0], dtype=torch.float64)
RUN = {"steps": 15, "start": (1.0, -2.0, 0.5), "lr": ALPHA}


def gradient(penalty=lambda theta: 0.0):
    """Return the gradient of a quadratic loss plus a penalty."""

    def of_sum(t, theta):
        theta = theta.clone().requires_grad_()
        loss = (CURVATURE * (theta - 1) ** 2).sum() / 2 + penalty(theta)
        return torch.autograd.grad(loss, theta)[0]

    return of_sum


class Preconditioned(Optimizer):
    """theta -= alpha * diag(s)^-1 (grad + weight_decay * theta): the optimizer of Proposition 3."""

    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for theta in group["params"]:
                grad = theta.grad.add(theta, alpha=group["weight_decay"])
                theta.sub_(group["lr"] * grad / S)


PreconditionedW = decoupled(Preconditioned)


def test_proposition_1_decay_of_sgd_is_l2_with_the_coefficient_divided_by_alpha():
    decayed = trajectory(SGDW, gradient(), weight_decay=DECAY, momentum=0.0, **RUN)
    argument = trajectory(SGD, gradient(), weight_decay=DECAY / ALPHA, momentum=0.0, **RUN)
    coefficient = DECAY / ALPHA
    penalty = gradient(lambda theta: coefficient / 2 * (theta**2).sum())
    assert_same(argument, decayed)
    assert_same(trajectory(SGD, penalty, momentum=0.0, **RUN), decayed)


def test_proposition_1_does_not_extend_to_momentum():
    decayed = trajectory(SGDW, gradient(), weight_decay=DECAY, momentum=0.9, **RUN)
    regularized = trajectory(SGD, gradient(), weight_decay=DECAY / ALPHA, momentum=0.9, **RUN)
    assert far_apart(regularized, decayed)


def test_proposition_2_the_coefficient_that_suits_one_weight_suits_no_other():
    decayed = trajectory(PreconditionedW, gradient(), weight_decay=DECAY, **RUN)
    for i, s in enumerate(S.tolist()):
        # lambda * theta_i = alpha * lambda' / s_i * theta_i
        regularized = trajectory(Preconditioned, gradient(), weight_decay=DECAY * s / ALPHA, **RUN)
        for j in range(len(S)):
            if i == j:
                assert_same(regularized[:, j], decayed[:, j])
            else:
                assert far_apart(regularized[:, j], decayed[:, j])


def test_proposition_3_holds_in_the_form_of_the_appendix():
    decayed = trajectory(PreconditionedW, gradient(), weight_decay=DECAY, **RUN)
    coefficient = DECAY / ALPHA
    penalty = gradient(lambda theta: coefficient / 2 * ((theta * S.sqrt()) ** 2).sum())
    assert_same(trajectory(Preconditioned, penalty, **RUN), decayed)


def test_proposition_3_fails_as_equation_2_is_printed():
    decayed = trajectory(PreconditionedW, gradient(), weight_decay=DECAY, **RUN)
    coefficient = DECAY / ALPHA
    printed = gradient(lambda theta: coefficient / (2 * ALPHA) * ((theta * S.sqrt()) ** 2).sum())
    assert far_apart(trajectory(Preconditioned, printed, **RUN), decayed)


@pytest.mark.parametrize("alpha", [1e-3, 0.1])
def test_equation_1_exponential_decay_of_the_weights(alpha):
    # theta_{t+1} = (1 - lambda) theta_t - alpha * grad, with a gradient of 1
    path = trajectory(SGDW, lambda t, theta: 1.0 + 0 * theta, 3, lr=alpha, weight_decay=DECAY,
                      momentum=0.0)  # fmt: skip
    theta, expected = 1.0, []
    for _ in range(3):
        theta = (1 - DECAY) * theta - alpha
        expected.append(theta)
    assert path.flatten().tolist() == pytest.approx(expected, rel=1e-13)
