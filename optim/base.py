"""What Algorithms 1 and 2 share: the schedule multiplier, range checks, lists of like tensors."""

from collections.abc import Callable, Iterable
from math import inf
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

Bucket = tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]


def check_range(key: str, value: Any, low: float, high: float, *, open_low: bool = False) -> float:
    """Return ``value`` as a float if it lies in [low, high), or (low, high) with ``open_low``.

    Raises:
        ValueError: It is no number (a tensor is none), is NaN, or lies outside.
    """
    # NaN fails every comparison, so it is refused without a line of its own.
    if not isinstance(value, Real) or not low <= value < high or (open_low and value == low):
        interval = f"{'(' if open_low else '['}{low}, {high})"
        raise ValueError(f"{key} must be a number in {interval}, got {value!r}")
    return float(value)  # a NumPy scalar in a state dict would not load with weights_only=True


def checked_rates(group: dict[str, Any], *, decoupled: bool) -> dict[str, float]:
    """Return the group's ``initial_lr``, ``lr`` and ``weight_decay``, each within its range.

    A group that comes without ``initial_lr`` starts its schedule here: its ``lr`` is alpha. One
    that brings ``initial_lr`` may be anywhere in its schedule, where ``lr`` can be 0.
    """
    if "initial_lr" in group:
        alpha = check_range("initial_lr", group["initial_lr"], 0, inf, open_low=True)
        lr = check_range("lr", group["lr"], 0, inf)
    else:
        alpha = lr = check_range("lr", group["lr"], 0, inf, open_low=True)
    decay = check_range("weight_decay", group["weight_decay"], 0, 1 if decoupled else inf)
    return {"initial_lr": alpha, "lr": lr, "weight_decay": decay}


class PaperOptimizer(Optimizer):
    r"""Base of the paper's optimizers; a subclass supplies ``update_`` for a list of tensors.

    In a parameter group ``initial_lr`` is :math:`\alpha` and ``lr`` is :math:`\eta_t \alpha`, as
    ``torch.optim.lr_scheduler.LambdaLR`` keeps them, so :math:`\eta_t` is their quotient and any
    scheduler that multiplies works. ``weight_decay`` is :math:`\lambda` and no step changes it.
    The state of a tensor is its own ``step`` (an int) and ``moments``, tensors of its shape.
    """

    decoupled = False
    moments: tuple[str, ...] = ()

    def __init__(self, params: ParamsT, **hyperparameters: Any):
        super().__init__(params, hyperparameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # A state dict written by a torch optimizer that never met a scheduler has no alpha.
            group.setdefault("initial_lr", group["lr"])

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        group = self.defaults | param_group
        super().add_param_group(param_group | self.checked(group))

    def checked(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return the group's hyperparameters, each within its range; extended by subclasses."""
        return checked_rates(group, decoupled=self.decoupled)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every tensor that has a gradient; return the closure's loss, if one is given.

        Raises:
            RuntimeError: A gradient is sparse or complex; no weight has changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = [(group, bucket) for group in self.param_groups for bucket in self._buckets(group)]
        for group, (theta, grad, state) in work:
            for entry in state:
                entry["step"] += 1
            self.update_(theta, grad, state, group, group["lr"] / group["initial_lr"])
        return loss

    def _buckets(self, group: dict[str, Any]) -> Iterable[Bucket]:
        """Split the tensors that have a gradient into lists of one device, dtype and age."""
        buckets: dict[tuple, Bucket] = {}
        for theta in group["params"]:
            grad = theta.grad
            if grad is None:
                continue
            dtype = theta.dtype
            if grad.layout is not torch.strided or dtype.is_complex:
                kind = "complex" if dtype.is_complex else "sparse"
                raise RuntimeError(f"{type(self).__name__} does not support {kind} gradients")
            if grad.dtype is not dtype:
                grad = grad.to(dtype)
            state = self.state[theta]
            if not state:
                state["step"] = 0
                state.update((name, torch.zeros_like(theta)) for name in self.moments)
            key = (theta.device, dtype, state["step"])
            if key not in buckets:
                buckets[key] = [], [], []
            thetas, grads, states = buckets[key]
            thetas.append(theta)
            grads.append(grad)
            states.append(state)
        return buckets.values()

    def update_(
        self,
        theta: list[Tensor],
        grad: list[Tensor],
        state: list[dict[str, Any]],
        group: dict[str, Any],
        eta: float,
    ) -> None:
        """Take one step on tensors of one device, dtype and age in place, leaving ``grad``."""
        raise NotImplementedError
