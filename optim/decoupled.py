"""The paper's weight decay for any torch optimizer."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.optim.optimizer import Optimizer

from optim.base import checked_rates


class _Decoupled(Optimizer):
    """What every class made by :func:`decoupled` puts before its base in the order of methods."""

    _base: type[Optimizer]

    def __init__(self, *args: Any, **kwargs: Any):
        if "weight_decay" not in inspect.signature(self._base).bind(*args, **kwargs).arguments:
            kwargs["weight_decay"] = 0.0  # in the paper's units a foreign default is a mistake
        super().__init__(*args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        rates = checked_rates(self.defaults | param_group, decoupled=True)
        super().add_param_group(param_group | rates)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # Taken from the old weights and before the step, whose size may depend on them.
        shrinkages = [_shrinkage(group) for group in self.param_groups]
        decays = [group["weight_decay"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                group["weight_decay"] = 0.0
            _without_hooks(self._base.step)(self)
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay
        for theta, shrinkage in shrinkages:
            if theta:
                torch._foreach_sub_(theta, shrinkage)
        return loss


@cache
def decoupled(cls: type[Optimizer]) -> type[Optimizer]:
    r"""Return a subclass of ``cls`` with decoupled weight decay, named ``cls`` + "W".

    With :math:`u_t` the update that ``cls`` computes without weight decay, step :math:`t` is

    .. math:: \theta_t = \theta_{t-1} + u_t - \eta_t \lambda \theta_{t-1},

    where :math:`\lambda` is ``weight_decay`` in [0, 1), by default 0 whatever the default of
    ``cls``, and :math:`\eta_t` is ``lr / initial_lr`` as with the other optimizers of this package.
    A closure is called once, before anything changes. Only weights that have a gradient decay.

    Args:
        cls: An optimizer with an argument ``weight_decay`` that can step without a closure.

    Raises:
        ValueError: ``cls`` is not such an optimizer; or, on construction, a hyperparameter of some
            group is out of range.

    Source: https://arxiv.org/abs/1711.05101v3, equation 1 and Algorithm 2, line 12.

    Example:
        >>> import torch
        >>> from optim import decoupled
        >>> theta = torch.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = decoupled(torch.optim.Adamax)([theta], lr=0.05, weight_decay=0.01)
        >>> theta.grad = torch.zeros(2)
        >>> optimizer.step()
        >>> optimizer.__class__.__name__, theta.detach()
        ('AdamaxW', tensor([ 0.9900, -1.9800]))
    """
    _refuse_unfit(cls)
    about = f"``{cls.__name__}`` with decoupled weight decay; see :func:`decoupled`."
    members = {"_base": cls, "__module__": __name__, "__doc__": about}
    return type(f"{cls.__name__}W", (_Decoupled, cls), members)


def _refuse_unfit(cls: type[Optimizer]) -> None:
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise ValueError(f"decoupled needs a subclass of torch.optim.Optimizer, got {cls!r}")
    if issubclass(cls, _Decoupled):
        raise ValueError(f"{cls.__name__} has decoupled weight decay already")
    closure = inspect.signature(cls.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"{cls.__name__} calls its closure again and again, so it has no single old weight to "
            "decay; decoupled needs an optimizer that can step without a closure"
        )
    if "weight_decay" not in inspect.signature(cls).parameters:
        raise ValueError(f"{cls.__name__} has no argument weight_decay for decoupled to replace")


def _shrinkage(group: dict[str, Any]) -> tuple[list[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Return the group's weights that are to decay, and how much each is to lose."""
    share = group["lr"] / group["initial_lr"] * group["weight_decay"]
    theta = [p for p in group["params"] if p.grad is not None] if share else []
    return theta, torch._foreach_mul(theta, share) if theta else ()


def _without_hooks(step: Callable) -> Callable:
    """Undo torch's wrapping of ``step``, with which the subclass would run every hook twice."""
    return step.__wrapped__ if getattr(step, "hooked", False) else step


RMSpropW = decoupled(torch.optim.RMSprop)
NAdamW = decoupled(torch.optim.NAdam)
RAdamW = decoupled(torch.optim.RAdam)
AdagradW = decoupled(torch.optim.Adagrad)
