"""The paper's weight decay for any torch optimizer."""

import copyreg
import inspect
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from optim.base import Group, checked_rates, fitted, own_group, step_rates, with_tensors


class _Made(type):
    """The type of the classes that :func:`decoupled` makes; they pickle as the call that did."""


class _Decoupled(Optimizer, metaclass=_Made):
    """What every class made by :func:`decoupled` puts before its base in the order of methods."""

    _base: type[Optimizer]
    decoupled = True

    def __init__(self, *args: Any, max_lr: float | None = None, **kwargs: Any):
        if "weight_decay" not in inspect.signature(self._base).bind(*args, **kwargs).arguments:
            kwargs["weight_decay"] = 0.0  # in the paper's units a foreign default is a mistake
        self._max_lr = max_lr
        super().__init__(*args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        defaults = {"max_lr": None} | (state.get("defaults") or self.defaults)
        for group in state["param_groups"]:
            marked = bool(group.get("weight_decay"))
            own = own_group(self, group, defaults, decoupled=True, marked=marked)
            group.update(own | self._checked(own))
        super().__setstate__(state | {"defaults": defaults})

    def add_param_group(self, param_group: Group) -> None:
        if "_max_lr" in self.__dict__:  # the first group, which the base's constructor adds
            self.defaults["max_lr"] = self.__dict__.pop("_max_lr")
        super().add_param_group(param_group | self._checked(self.defaults | param_group))

    def _checked(self, group: Group) -> Group:
        return with_tensors(checked_rates(group, decoupled=True), group)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

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


def base_of(cls: type[Optimizer]) -> type[Optimizer] | None:
    """Return the class of which :func:`decoupled` made ``cls``, or None if it did not."""
    return cls._base if issubclass(cls, _Decoupled) else None


def _reduced(cls: Any) -> Any:
    # A class that somebody has derived from one of them is found by its name, as any other.
    original = cls is _made.get(cls._base)
    return (decoupled, (cls._base,)) if original else cls.__qualname__


_made: dict[type[Optimizer], type[Any]] = {}
copyreg.pickle(_Made, _reduced)


def decoupled(cls: type[Optimizer]) -> type[Any]:
    r"""Return a subclass of ``cls`` with decoupled weight decay, named ``cls`` + "W".

    With :math:`u_t` the update that ``cls`` computes without weight decay, step :math:`t` is

    .. math:: \theta_t = \theta_{t-1} + u_t - \eta_t \lambda \theta_{t-1},

    where :math:`\lambda` is ``weight_decay`` in [0, 1), by default 0 whatever the default of
    ``cls``, and :math:`\eta_t` is ``lr / max_lr``: the class takes ``max_lr`` as a keyword beside
    the arguments of ``cls``, with the meaning that it has in :class:`~optim.AdamW`. A closure is
    called once, before anything changes. Only weights that have a gradient decay. The class and
    what is made of it can be pickled wherever ``cls`` can be imported.

    Args:
        cls: An optimizer with an argument ``weight_decay`` that can step without a closure.

    Raises:
        ValueError: ``cls`` is not such an optimizer; or, on construction, loading or a step, a rate
            of some group is out of range or ``lr`` above ``max_lr``; or a state dict is not of this
            class (see :func:`~optim.from_torch`). Nothing has changed then.

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
    if cls not in _made:
        about = f"``{cls.__name__}`` with decoupled weight decay; see :func:`decoupled`."
        members = {"_base": cls, "__module__": __name__, "__doc__": about}
        kind: Any = _Made
        if type(cls) is not type:  # ABCMeta, for one
            kind = type("_Made", (_Made, type(cls)), {})
            copyreg.pickle(kind, _reduced)
        _made[cls] = kind(f"{cls.__name__}W", (_Decoupled, cls), members)
    return _made[cls]


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


def _shrinkage(group: Group) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Return the group's weights that are to decay, and how much each is to lose."""
    _, eta = step_rates(group, decoupled=True)
    decay = group["weight_decay"]
    theta = [p for p in group["params"] if p.grad is not None] if decay else []
    return theta, torch._foreach_mul(theta, fitted(eta * decay, theta[0])) if theta else ()


def _without_hooks(step: Any) -> Callable[[Optimizer], object]:
    """Undo torch's wrapping of ``step``, with which the subclass would run every hook twice."""
    hooked = getattr(step, "hooked", False)
    bare: Callable[[Optimizer], object] = step.__wrapped__ if hooked else step
    return bare


RMSpropW = decoupled(torch.optim.RMSprop)
NAdamW = decoupled(torch.optim.NAdam)
RAdamW = decoupled(torch.optim.RAdam)
AdagradW = decoupled(torch.optim.Adagrad)
