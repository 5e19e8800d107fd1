"""The helpers of the optimizer tests: follow an optimizer along gradients that the test chooses."""

import torch
from torch.optim.lr_scheduler import LambdaLR

from optim import SGD, SGDW, Adam, AdamL2M, AdamL2V, AdamPreconditioned, AdamW

# Every optimizer of the paper, Adam's twice: once for each of its two code paths; and what lies
# between Adam and AdamW, which has one path.
PAPER = [
    (SGD, {}),
    (SGDW, {}),
    (Adam, {"fused": False}),
    (Adam, {"fused": True}),
    (AdamW, {"fused": False}),
    (AdamW, {"fused": True}),
    (AdamL2M, {}),
    (AdamL2V, {}),
    (AdamPreconditioned, {}),
]
# Decay that is not the paper's: another power of eta, or on some weights only.
VARIANTS = [
    (SGDW, {"decay_power": 2.0, "cautious": True}),
    (AdamW, {"decay_power": 0.0, "fused": False}),
    (AdamW, {"decay_power": 2.0, "fused": True}),
    (AdamW, {"cautious": True}),
]
DECOUPLED = [(cls, options) for cls, options in PAPER if cls.decoupled]


def trajectory(optimizer_class, gradient, steps, eta=None, start=(1.0,), lr=0.1, **options):
    """Return the weights after each step, stacked: (steps, len(start)).

    ``gradient(t, theta)`` is the gradient at step t, counted from 0; ``eta(t)`` its multiplier.
    """
    theta = torch.tensor(start, dtype=torch.float64)
    theta.requires_grad_()
    optimizer = optimizer_class([theta], lr=lr, **options)
    scheduler = LambdaLR(optimizer, eta or (lambda t: 1.0))
    path = []
    for t in range(steps):
        theta.grad = torch.as_tensor(gradient(t, theta.detach()), dtype=theta.dtype)
        optimizer.step()
        scheduler.step()
        path.append(theta.detach().clone())
    return torch.stack(path)


def given(values):
    """Return the gradient function that hands out ``values``, one a step."""
    return lambda t, theta: torch.full_like(theta, values[t])


def noise(seed=0):
    """Return a gradient function: a different normal tensor at each step, the same at each call."""

    def gradient(t, theta):
        generator = torch.Generator().manual_seed(1000 * seed + t)
        return torch.randn(theta.shape, dtype=torch.float64, generator=generator)

    return gradient


def assert_same(actual, expected, rtol=1e-12):
    """Compare within rounding of float64: about 1e-16 an operation, some hundreds of them."""
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol)


def far_apart(actual, expected):
    """Whether two paths differ by far more than rounding."""
    return not torch.allclose(actual, expected, rtol=1e-4, atol=1e-6)
