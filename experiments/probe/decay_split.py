r"""Which part of an optimizer's update is weight decay: one rule a family, each split exact.

The first moment is linear in what enters it, so it is a sum, m = m_loss + m_L2, of which m_L2 is
fed by :math:`\lambda \theta` alone and follows the recurrence of m. The preconditioner
:math:`1 / (\sqrt{\hat v} + \epsilon)` is taken as it is: that v holds the L2 term too is told
apart by following a second v that does not.

Notation as in ``optim``: :math:`\alpha` is ``max_lr``, :math:`\eta_t \alpha` is ``lr``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from experiments.errors import UserError
from optim import SGD, SGDW, Adam, AdamL2M, AdamL2V, AdamPreconditioned, AdamW
from optim.base import aligned, decay_multiplier

Group = dict[str, Any]
State = dict[str, Any]
Memory = dict[str, Tensor]


class Rule:
    """How decay reaches the weights in one family of optimizers.

    A tensor's ``memory`` starts empty and belongs to the rule: what must be followed from step to
    step, of the tensor's shape and type.
    """

    def remember(self, memory: Memory, theta: Tensor, grad: Tensor, group: Group) -> None:
        """Follow a step, given the weights before it; a rule without a memory does nothing."""

    def part(self, memory: Memory, theta: Tensor, state: State, group: Group) -> Tensor:
        """Return what decay added to the weights in a step, in double precision.

        Args:
            memory: After :meth:`remember` of this step.
            theta: The weights before the step.
            state: The optimizer's state of the tensor after the step.
            group: The tensor's parameter group, as the step saw it.
        """
        return theta.double() * -self.nominal(group)

    def nominal(self, group: Group) -> float:
        """Return the share of a weight that the rule's formula says a step takes."""
        raise NotImplementedError

    def v_without_l2(self, memory: Memory) -> Tensor | None:
        """Return the second moment of the loss's gradients alone, if L2 enters the real one."""
        return None


class Decoupled(Rule):
    r"""AdamW and SGDW: :math:`\eta_t^p \lambda` of every weight, or of those that are aligned."""

    def part(self, memory, theta, state, group):
        if group["cautious"]:
            (theta,) = aligned([theta], [state["m"]])
        return super().part(memory, theta, state, group)

    def nominal(self, group):
        eta = group["lr"] / group["max_lr"]
        return decay_multiplier(eta, group["decay_power"]) * group["weight_decay"]


class TimesRate(Rule):
    r"""``torch.optim.AdamW``: :math:`\eta_t \alpha w` of every weight."""

    def nominal(self, group):
        return group["lr"] * group["weight_decay"]


class Momentum(Rule):
    r"""SGD with L2: :math:`m_{L2} \leftarrow \beta_1 m_{L2} + \eta_t \alpha \lambda \theta`."""

    def remember(self, memory, theta, grad, group):
        m = memory.setdefault("m", torch.zeros_like(theta))
        m.mul_(group["momentum"]).add_(theta, alpha=group["lr"] * group["weight_decay"])

    def part(self, memory, theta, state, group):
        return -memory["m"].double()

    def nominal(self, group):
        return group["lr"] * group["weight_decay"] / (1 - group["momentum"])


class Preconditioned(Rule):
    r"""Adam with L2: :math:`-\eta_t \alpha \hat m_{L2} / (\sqrt{\hat v} + \epsilon)`.

    Args:
        l2_in: Which lines of the step take the L2 term, as in ``optim.Adam.l2_in``.
    """

    def __init__(self, l2_in: frozenset[str]):
        self.l2_in = l2_in

    def remember(self, memory, theta, grad, group):
        beta1, beta2 = group["betas"]
        if "m" in self.l2_in:
            m = memory.setdefault("m", torch.zeros_like(theta))
            m.mul_(beta1).add_(theta, alpha=(1 - beta1) * group["weight_decay"])
        if "v" in self.l2_in:
            v = memory.setdefault("v", torch.zeros_like(theta))
            v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)

    def part(self, memory, theta, state, group):
        decay = torch.zeros_like(theta, dtype=torch.float64)
        if "m" in self.l2_in:
            decay += memory["m"].double() / (1 - group["betas"][0] ** float(state["step"]))
        if "step" in self.l2_in:
            decay += group["weight_decay"] * theta.double()
        return -group["lr"] * decay / (root_v(state, group) + group["eps"])

    def nominal(self, group):
        return group["lr"] * group["weight_decay"]

    def v_without_l2(self, memory):
        return memory.get("v")


RULES: dict[type[Optimizer], Rule] = {
    SGD: Momentum(),
    SGDW: Decoupled(),
    AdamW: Decoupled(),
    torch.optim.AdamW: TimesRate(),
    torch.optim.Adam: Preconditioned(Adam.l2_in),
    **{cls: Preconditioned(cls.l2_in) for cls in (Adam, AdamL2M, AdamL2V, AdamPreconditioned)},
}


def rule_of(optimizer: Optimizer) -> Rule:
    """Return the rule by which an optimizer decays.

    Raises:
        UserError: It is not known for this optimizer, or not with these settings.
    """
    rule = RULES.get(type(optimizer))
    odd = [key for key in ("amsgrad", "maximize") if optimizer.defaults.get(key)]
    if rule is None or odd:
        known = ", ".join(f"{cls.__module__.split('.')[0]}.{cls.__name__}" for cls in RULES)
        raise UserError(
            f"probe=decay can tell the decay in an update of {known}; not of "
            f"{type(optimizer).__name__}{''.join(f' with {key}' for key in odd)}"
        )
    return rule


def second_moment(state: State) -> Tensor | None:
    """Return Adam's v as the state holds it, ours or torch's; None without one."""
    return state.get("v", state.get("exp_avg_sq"))


def root_v(state: State, group: Group) -> Tensor | None:
    r"""Return :math:`\sqrt{\hat v_t}` in double precision; None for an optimizer without v."""
    v = second_moment(state)
    if v is None:
        return None
    return (v.double() / (1 - group["betas"][1] ** float(state["step"]))).sqrt()


def momentum(group: Group) -> float:
    r"""Return :math:`\beta_1`."""
    return group["betas"][0] if "betas" in group else group["momentum"]
