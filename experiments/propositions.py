"""Propositions 1 to 3 of the paper, run in float64 rather than believed.

An optimizer O takes theta <- theta - alpha M_t grad f_t(theta), with weight decay lambda
theta <- (1 - lambda) theta - alpha M_t grad f_t(theta). The losses f_t are those of logistic
regression on fresh examples each step, so that no iterate converges and no difference can hide.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from experiments.record.provenance import commit
from experiments.seeding import stream
from optim import SGD, SGDW

STEPS, SIZE, BATCH = 1000, 200, 16
ALPHA, LAMBDA = 0.1, 1e-3
#: Standard deviations of log s for the preconditioner diag(1/s); 0 is a multiple of the identity.
SPREADS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)

Step = Callable[[Tensor, Tensor], Tensor]


def gradients(seed: int) -> Callable[[int, Tensor], Tensor]:
    """Return grad f_t(theta) of a stream of logistic regressions, (SIZE,) to (SIZE,)."""
    truth = torch.randn(SIZE, generator=stream(seed, "truth"), dtype=torch.float64)

    def gradient(step: int, theta: Tensor) -> Tensor:
        x = torch.randn(BATCH, SIZE, generator=stream(seed, "examples", step), dtype=torch.float64)
        labels = (x @ truth > 0).double()
        with torch.enable_grad():
            at = theta.detach().requires_grad_()
            loss = F.binary_cross_entropy_with_logits(x @ at, labels)
            return torch.autograd.grad(loss, at)[0]

    return gradient


def start(seed: int) -> Tensor:
    """Return theta_0, (SIZE,), float64."""
    return torch.randn(SIZE, generator=stream(seed, "start"), dtype=torch.float64)


def preconditioner(spread: float, seed: int) -> Tensor:
    """Return s, (SIZE,), log-normal: M = diag(1/s)."""
    normal = torch.randn(SIZE, generator=stream(seed, "preconditioner"), dtype=torch.float64)
    return (spread * normal).exp()


def path(step: Step, seed: int) -> Tensor:
    """Return the iterates (STEPS, SIZE) of a rule that maps (theta, gradient) to the next theta."""
    theta, gradient, iterates = start(seed), gradients(seed), []
    for t in range(STEPS):
        theta = step(theta, gradient(t, theta))
        iterates.append(theta)
    return torch.stack(iterates)


def optimizer_path(cls: type, weight_decay: float, seed: int, momentum: float = 0.0) -> Tensor:
    """Return the iterates (STEPS, SIZE) of one of the paper's optimizers."""
    theta, gradient, iterates = start(seed).requires_grad_(), gradients(seed), []
    optimizer = cls([theta], lr=ALPHA, momentum=momentum, weight_decay=weight_decay)
    for t in range(STEPS):
        theta.grad = gradient(t, theta)
        optimizer.step()
        iterates.append(theta.detach().clone())
    return torch.stack(iterates)


def proposition_1(seed: int, momentum: float = 0.0) -> float:
    """Return the largest deviation of SGD with L2 lambda/alpha from SGDW with lambda."""
    decayed = optimizer_path(SGDW, LAMBDA, seed, momentum)
    penalized = optimizer_path(SGD, LAMBDA / ALPHA, seed, momentum)
    return (decayed - penalized).abs().max().item()


def decayed_path(s: Tensor, seed: int) -> Tensor:
    """Return the iterates of O with decay under the fixed preconditioner diag(1/s)."""
    return path(lambda theta, grad: (1 - LAMBDA) * theta - ALPHA * grad / s, seed)


def proposition_2(spread: float, seed: int) -> tuple[float, float]:
    """Fit the one L2 coefficient that comes nearest to decay under diag(1/s).

    Decay takes the share lambda of every weight, an L2 coefficient c takes alpha c / s of it. By
    least squares over the weights the best c is lambda / alpha * mean(1/s) / mean(1/s^2), and of
    the decay remains sqrt(1 - mean(1/s)^2 / mean(1/s^2)): nothing only if all s are equal.

    Returns:
        The best coefficient as a multiple of lambda / alpha, and the root mean square of what
        remains, as a share of lambda.
    """
    s = preconditioner(spread, seed)
    wanted, offered = torch.full_like(s, LAMBDA), ALPHA / s
    best = (wanted @ offered) / (offered @ offered)
    remaining = (wanted - best * offered).norm() / wanted.norm()
    return best.item() * ALPHA / LAMBDA, remaining.item()


def proposition_3(coefficient: float, seed: int, spread: float = 1.0) -> float:
    """Return the largest deviation of decay from the penalty c/2 ||theta sqrt(s)||^2 without decay.

    Args:
        coefficient: c; the proof in the appendix has lambda / alpha.
        seed: Of the losses and the preconditioner.
        spread: Standard deviation of log s.
    """
    s = preconditioner(spread, seed)
    penalized = path(lambda theta, grad: theta - ALPHA * (grad + coefficient * s * theta) / s, seed)
    return (decayed_path(s, seed) - penalized).abs().max().item()


def rows(seed: int = 0) -> list[dict[str, Any]]:
    """Return every result as a row: proposition, case, spread, quantity, value."""

    def row(proposition: str, case: str, quantity: str, value: float, spread: float = 0.0):
        keys = ("proposition", "case", "spread", "quantity", "value")
        return dict(zip(keys, (proposition, case, spread, quantity, value), strict=True))

    deviation = f"largest deviation over {STEPS} steps"
    found = [
        row("1", "SGD, L2 = lambda/alpha, against SGDW", deviation, proposition_1(seed)),
        row("1", "the same with momentum 0.9, where it does not apply", deviation,
            proposition_1(seed, momentum=0.9)),
        row("3", "penalty lambda'/2, lambda' = lambda/alpha (appendix)", deviation,
            proposition_3(LAMBDA / ALPHA, seed), 1.0),
        row("3", "penalty lambda'/(2 alpha), as equation 2 prints it", deviation,
            proposition_3(LAMBDA / ALPHA / ALPHA, seed), 1.0),
    ]  # fmt: skip
    for spread in SPREADS:
        best, residual = proposition_2(spread, seed)
        found += [
            row("2", "best L2 coefficient, of lambda/alpha", "multiple", best, spread),
            row("2", "decay that the best L2 coefficient leaves", "share", residual, spread),
        ]
    return found


def check_propositions(results_dir: Path) -> str:
    """Compute everything, write results_dir/propositions/, and return the table as text."""
    from experiments.report.pages import propositions

    code = f"Code {commit()}, torch {torch.__version__}, float64 on the CPU."
    return propositions.write_propositions(rows(), results_dir / "propositions", code)
