"""What Algorithms 1 and 2 share: checked rates, state dicts, lists of like tensors."""

from collections.abc import Callable, Iterable
from itertools import chain
from math import inf
from numbers import Real
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

Group = dict[str, Any]
State = dict[str, Any]
Number = float | Tensor
Bucket = tuple[list[Tensor], list[Tensor], list[State]]

#: How far above its peak rounding may carry a schedule, as a share of the peak: one that multiplies
#: a float32 tensor step by step drifts by about 1e-7 a step.
ROUNDING = 1e-4
#: Keys of the groups of torch.optim that the paper's optimizers do not have.
TORCH_KEYS = {"foreach", "maximize"}
#: What torch and others call the moments that are ``m`` and ``v`` here.
FOREIGN_MOMENTS = {"exp_avg", "exp_avg_sq", "momentum_buffer"}
#: Keys that came when state dicts and pickles had been written already, at what they were then.
ADDED_LATER: Group = {"max_lr": None, "capturable": False, "decay_power": 1.0, "cautious": False}


def check_range(key: str, value: Any, low: float, high: float, *, open_low: bool = False) -> float:
    """Return ``value`` as a float if it lies in [low, high), or (low, high) with ``open_low``.

    Raises:
        ValueError: It is no number (a tensor is none), is NaN, or lies outside.
    """
    # NaN fails every comparison, so it is refused without a line of its own.
    if not isinstance(value, Real) or not low <= float(value) < high or (open_low and value == low):
        interval = f"{'(' if open_low else '['}{low}, {high})"
        raise ValueError(f"{key} must be a number in {interval}, got {value!r}")
    return float(value)  # a NumPy scalar in a state dict would not load with weights_only=True


def checked_rates(group: Group, *, decoupled: bool) -> Group:
    r"""Return the group's rates, each within its range, and what its ``weight_decay`` means.

    ``max_lr`` is :math:`\alpha`. A group that comes without it takes torch's ``initial_lr``, with
    which it may be anywhere in its schedule, or else ``lr``.

    Raises:
        ValueError: A rate is out of range, or the decay would be more than ``weight_decay``.
    """
    alpha = peak_of(group)
    lr = check_range("lr", number(group["lr"]), 0, inf, open_low=alpha is None)
    alpha = lr if alpha is None else check_range("max_lr", number(alpha), 0, inf, open_low=True)
    decay = check_range("weight_decay", group["weight_decay"], 0, 1 if decoupled else inf)
    if decoupled and decay and lr > (1 + ROUNDING) * alpha:
        raise ValueError(
            f"lr={lr} is above max_lr={alpha}, at which a step removes weight_decay={decay} of "
            "each weight: pass max_lr=, the highest rate that the schedule or search reaches"
        )
    return {"lr": lr, "max_lr": alpha, "weight_decay": decay, "decoupled": decoupled}


def peak_of(group: Group) -> Any:
    """Return the group's ``max_lr``, else its ``initial_lr``, else None."""
    peak = group.get("max_lr")
    return group.get("initial_lr") if peak is None else peak


def with_tensors(rates: Group, group: Group) -> Group:
    """Return ``rates`` with the group's own lr where that is a tensor, into which others write."""
    return rates | {"lr": group["lr"]} if isinstance(group["lr"], Tensor) else rates


def step_rates(group: Group, *, decoupled: bool) -> tuple[Number, Number]:
    r"""Return :math:`\eta_t \alpha` and :math:`\eta_t` of a step; tensors if lr must stay one.

    Raises:
        ValueError: A rate is out of range, or the step would remove more than ``weight_decay``.
        RuntimeError: It would, and lr is a tensor that only the device can read.
    """
    lr = group["lr"]
    stays = isinstance(lr, Tensor) and in_graph(group)
    if stays and (torch.compiler.is_compiling() or lr.device.type != "cpu"):
        if decoupled and group["weight_decay"]:
            fits = lr <= (1 + ROUNDING) * group["max_lr"]
            torch._assert_async(fits, "lr is above the optimizer's max_lr")
        lr, alpha = widened(lr), group["max_lr"]
    else:
        rates = checked_rates(group, decoupled=decoupled)
        lr, alpha = widened(lr) if stays else rates["lr"], rates["max_lr"]
    return lr, lr / alpha


def in_graph(group: Group) -> bool:
    """Whether a graph may hold the step, so that no number may be read from a tensor."""
    return group.get("capturable", False) or torch.compiler.is_compiling()


def number(value: Any) -> Any:
    """Return what a tensor without dimensions holds; anything else as it is."""
    scalar = isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point()
    return value.item() if scalar else value


def widened(numbers: Tensor) -> Tensor:
    """Return numbers in float64, or what the device has instead."""
    return numbers.float() if numbers.device.type == "mps" else numbers.double()


def add_scaled_(to: list[Tensor], what: list[Tensor], scale: Number) -> None:
    """Add to each tensor ``scale`` times the one beside it; a vector has a scale for each."""
    if isinstance(scale, float):
        torch._foreach_add_(to, what, alpha=scale)
    else:
        torch._foreach_add_(to, torch._foreach_mul(what, fitted(scale, what[0])))


def decay_multiplier(eta: Number, power: float) -> Any:
    r"""Return :math:`\eta_t^p`, the factor on decay; 0 for 0 also if the power is 0.

    Thus a step at a rate of 0 moves nothing. Torch takes one before it loads a distributed
    checkpoint.
    """
    return eta**power * (eta > 0)


def aligned(theta: list[Tensor], m: list[Tensor]) -> list[Tensor]:
    """Return the weights, those against whose sign ``m`` points replaced by 0."""
    # Signs, because a product of two small numbers may round to 0. 1 + their product is 0, 1 or 2.
    mask = torch._foreach_mul(torch._foreach_sign(theta), torch._foreach_sign(m))
    torch._foreach_add_(mask, 1)
    torch._foreach_clamp_max_(mask, 1)
    torch._foreach_mul_(mask, theta)
    return list(mask)


def fitted(scale: Number, like: Tensor) -> Any:
    """Return ``scale`` as lists of tensors take it, in the type of ``like`` if that is exact."""
    if isinstance(scale, float):
        return scale
    if like.dtype in (torch.float32, torch.float64):  # the kernels for lists want one type
        scale = scale.to(like.dtype)
    return list(scale.unbind()) if scale.ndim else scale


def own_group(
    optimizer: Optimizer, group: Group, defaults: Group, *, decoupled: bool, marked: bool
) -> Group:
    """Return a group of a state dict or pickle, completed by flags that came after it was written.

    Args:
        optimizer: Who is to load it.
        group: As it was written.
        defaults: The optimizer's; a group must have those that are neither None nor a flag.
        decoupled: What its ``weight_decay`` must mean.
        marked: Whether it must say so.

    Raises:
        ValueError: It is another optimizer's.
    """
    name = type(optimizer).__name__
    flags = {
        key: value
        for key, value in defaults.items()
        if value is None or isinstance(value, bool) or key in ADDED_LATER
    }
    missing = sorted(defaults.keys() - flags.keys() - group.keys())
    if missing:
        raise ValueError(f"not a state dict of {name}: its groups have no {', '.join(missing)}")
    if marked and "decoupled" not in group:
        raise ValueError(
            f"not a state dict of {name} but of a torch optimizer, whose weight_decay is L2's or, "
            "in AdamW, removes lr * weight_decay of a weight; decoupled as in the paper it removes "
            f"lr / max_lr * weight_decay: optim.from_torch(state_dict, {name}) converts it"
        )
    if group.get("decoupled", decoupled) != decoupled:
        ours, theirs = ("decoupled", "L2's") if decoupled else ("L2's", "decoupled")
        raise ValueError(
            f"not a state dict of {name}: its weight_decay={group['weight_decay']} is {theirs}, "
            f"which no {ours} decay equals"
        )
    return flags | group


class PaperOptimizer(Optimizer):
    r"""Base of the paper's optimizers; a subclass supplies ``update_`` for a list of tensors.

    In a parameter group ``max_lr`` is :math:`\alpha` and ``lr`` is :math:`\eta_t \alpha`, so
    :math:`\eta_t` is their quotient, whoever sets ``lr``. ``weight_decay`` is :math:`\lambda`,
    which no step changes, and ``decoupled`` tells who reads a state dict what kind it is.
    The state of a tensor is its own ``step``, an int or in a ``capturable`` group a tensor, and
    ``moments``, tensors of its shape. What others keep beside them is left alone.
    """

    decoupled = False
    moments: tuple[str, ...] = ()

    def __init__(self, params: ParamsT, **hyperparameters: Any):
        super().__init__(params, hyperparameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what ``load_state_dict`` or pickle hands over, checked like a construction.

        Raises:
            ValueError: It was written by another optimizer, or has a value or a shape that this one
                cannot have. Nothing has changed then.
        """
        defaults = ADDED_LATER | (state.get("defaults") or self.defaults)
        for group in state["param_groups"]:
            # The first versions wrote no mark, but always where the schedule starts.
            marked = "initial_lr" not in group or bool(TORCH_KEYS & group.keys())
            own = own_group(self, group, defaults, decoupled=self.decoupled, marked=marked)
            group.update(own | self.checked(own))
        params = chain.from_iterable(group["params"] for group in state["param_groups"])
        for index, theta in enumerate(params):
            self._check_state(index, theta, state["state"].get(theta, {}))
        super().__setstate__(state | {"defaults": defaults})

    def _check_state(self, index: int, theta: Tensor, state: State) -> None:
        step = check_range(f"step of parameter {index}", number(state.get("step", 0)), 0, inf)
        missing = [name for name in self.moments if name not in state]
        if missing and (step or FOREIGN_MOMENTS & state.keys()):
            raise ValueError(
                f"not a state dict of {type(self).__name__}: parameter {index} has no "
                f"{', '.join(missing)} but {', '.join(map(str, state))}"
            )
        for name in self.moments if not missing else ():
            if state[name].shape != theta.shape:
                raise ValueError(
                    f"{name} of parameter {index} must have the parameter's shape "
                    f"{tuple(theta.shape)}, got {tuple(state[name].shape)}"
                )

    def add_param_group(self, param_group: Group) -> None:
        group = self.defaults | param_group
        super().add_param_group(param_group | self.checked(group))

    def checked(self, group: Group) -> Group:
        """Return the group's hyperparameters, each within its range; extended by subclasses."""
        for flag in ("capturable", "cautious"):
            if not isinstance(group[flag], bool):
                raise ValueError(f"{flag} must be True or False, got {group[flag]!r}")
        power = check_range("decay_power", group["decay_power"], 0, inf)
        if not self.decoupled and (power != 1 or group["cautious"]):
            raise ValueError(
                f"decay_power={power:g} and cautious={group['cautious']} are for decoupled decay; "
                f"that of {type(self).__name__} is L2's and takes decay_power=1, cautious=False"
            )
        rates = checked_rates(group, decoupled=self.decoupled) | {"decay_power": power}
        return with_tensors(rates, group)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every tensor that has a gradient; return the closure's loss, if one is given.

        Raises:
            RuntimeError: A gradient is sparse or complex; no weight has changed then. Or a CUDA
                graph is to hold a step that is not ``capturable``.
            ValueError: A rate has been set to what the constructor refuses, or ``lr`` to more than
                ``max_lr``; no weight has changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = []
        for group in self.param_groups:
            rates = step_rates(group, decoupled=self.decoupled)
            work += [(group, rates, bucket) for bucket in self._buckets(group)]
        for group, (lr, eta), (theta, grad, state) in work:
            if in_graph(group):
                torch._foreach_add_([entry["step"] for entry in state], 1)
            else:
                for entry in state:
                    entry["step"] += 1
            self.update_(theta, grad, state, group, lr, eta)
        return loss

    def _buckets(self, group: Group) -> Iterable[Bucket]:
        """Split the tensors that have a gradient into lists of one device, dtype and age.

        In a ``capturable`` group nobody can read an age, so ages mix.
        """
        graph = in_graph(group)
        buckets: dict[tuple[Any, ...], Bucket] = {}
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
            step = state.get("step")
            if graph or not step or type(step) is not int:
                step = self._prepared(state, theta, graph)
            key = (theta.device, dtype, None if graph else step)
            if key not in buckets:
                if theta.is_cuda and not graph and torch.cuda.is_current_stream_capturing():
                    raise RuntimeError(
                        f"to go into a CUDA graph {type(self).__name__} needs capturable=True"
                    )
                buckets[key] = [], [], []
            thetas, grads, states = buckets[key]
            thetas.append(theta)
            grads.append(grad)
            states.append(state)
        return list(buckets.values())

    def _prepared(self, state: State, theta: Tensor, graph: bool) -> int | Tensor:
        """Complete a state, into which others may have written first, and return its step."""
        step: int | Tensor = state.setdefault("step", 0)
        if self.moments[-1] not in state:
            state.update((name, torch.zeros_like(theta)) for name in self.moments)
        if not graph:
            step = int(step)
        elif not isinstance(step, Tensor):
            step = torch.full((), step, dtype=torch.float32, device=theta.device)
        state["step"] = step
        return step

    def update_(
        self,
        theta: list[Tensor],
        grad: list[Tensor],
        state: list[State],
        group: Group,
        lr: Number,
        eta: Number,
    ) -> None:
        """Take one step on tensors of one device, dtype and age in place, leaving ``grad``."""
        raise NotImplementedError

    def decay_(self, theta: list[Tensor], m: list[Tensor], group: Group, eta: Number) -> None:
        r"""Take the decoupled decay of a step from the old weights; L2's is not taken here.

        Args:
            theta: The weights before the step.
            m: The first moment after it, whose signs are those of the update :math:`u_t`.
            group: Their parameter group.
            eta: :math:`\eta_t`.
        """
        decay = group["weight_decay"]
        if not decay or not self.decoupled:
            return
        lost = aligned(theta, m) if group["cautious"] else theta
        add_scaled_(theta, lost, -decay_multiplier(eta, group["decay_power"]) * decay)
