"""State dicts of torch's own optimizers in the conventions of this package."""

from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from optim.adam import Adam, AdamW
from optim.base import Group, check_range, number, peak_of
from optim.decoupled import base_of
from optim.sgd import SGD

TWINS: dict[type[Optimizer], type[Optimizer]] = {Adam: torch.optim.Adam, AdamW: torch.optim.AdamW}
NAMES = {"exp_avg": "m", "exp_avg_sq": "v"}
#: What ``cls`` has no use for, or decides by itself.
DROPPED = {
    "amsgrad", "capturable", "decoupled_weight_decay", "differentiable", "foreach", "fused",
    "maximize",
}  # fmt: skip


def from_torch(
    state_dict: dict[str, Any], cls: type[Optimizer], *, max_lr: float | None = None
) -> dict[str, Any]:
    r"""Return a state dict with which ``cls`` goes on where its twin in ``torch.optim`` stopped.

    ``torch.optim.AdamW(weight_decay=w)`` removes :math:`\eta_t \alpha w` of a weight, so
    :math:`\lambda = \alpha w`. Steps and moments are the same under other names; they are copied.

    Args:
        state_dict: Of ``torch.optim.AdamW`` for ``AdamW``, of ``torch.optim.Adam`` for ``Adam``, of
            ``X`` for ``decoupled(X)``.
        cls: The optimizer that is to load it.
        max_lr: :math:`\alpha`, the highest learning rate of the schedule; by default what a
            scheduler has left in each group as ``max_lr`` or ``initial_lr``, else ``lr``.

    Raises:
        ValueError: ``cls`` has no twin; the dict is of ``amsgrad`` or ``maximize``; its decay is
            L2's and that of ``cls`` decoupled, or the reverse, which dicts of ``Adam`` and
            ``AdamW`` tell from torch 2.7 on; or :math:`\lambda` is 1 or more.

    Example:
        >>> import torch
        >>> from optim import AdamW, from_torch
        >>> theta = torch.ones(2, requires_grad=True)
        >>> theirs = torch.optim.AdamW([theta], lr=0.01, weight_decay=0.5)
        >>> ours = AdamW([theta])
        >>> ours.load_state_dict(from_torch(theirs.state_dict(), AdamW))
        >>> ours.param_groups[0]["lr"], ours.param_groups[0]["weight_decay"]
        (0.01, 0.005)
    """
    twin = TWINS.get(cls) or base_of(cls)
    if twin is None:
        reason = "torch's SGD keeps the learning rate out of its momentum, the paper's in it; "
        raise ValueError(
            f"{cls.__name__} has no twin in torch.optim: {reason if issubclass(cls, SGD) else ''}"
            "from_torch knows Adam, AdamW and what decoupled() makes"
        )
    names = NAMES if cls in TWINS else {}
    state = {
        index: {
            names.get(name, name): value.clone() if isinstance(value, Tensor) else value
            for name, value in entry.items()
        }
        for index, entry in state_dict["state"].items()
    }
    groups = [_converted(group, cls, twin, max_lr) for group in state_dict["param_groups"]]
    return {"state": state, "param_groups": groups}


def _converted(
    group: Group, cls: type[Optimizer], twin: type[Optimizer], max_lr: float | None
) -> Group:
    name, decay = cls.__name__, group["weight_decay"]
    # Before torch 2.7 a group did not say so, and one optimizer only did it.
    coupled = group.get("decoupled_weight_decay", twin is torch.optim.AdamW)
    if decay and coupled and cls is Adam:
        raise ValueError(f"weight_decay={decay} is that of torch's AdamW, which no L2 term equals")
    if decay and not coupled and cls is not Adam:
        raise ValueError(
            f"weight_decay={decay} of torch's {twin.__name__} is L2's, which no decoupled decay "
            f"equals: set it to 0 in the groups, or, if {name} wrote them, decoupled=True"
        )
    peak = peak_of(group) if max_lr is None else max_lr
    alpha = check_range("max_lr", number(group["lr"] if peak is None else peak), 0, inf)
    if coupled:
        decay = check_range(f"the decay lr * {decay} of a step at lr={alpha}", alpha * decay, 0, 1)
    own = {"max_lr": alpha, "weight_decay": decay, "decoupled": cls is not Adam}
    if cls not in TWINS:
        return group | own
    for key in ("amsgrad", "maximize"):
        if group.get(key):
            raise ValueError(f"{name} has no {key}, with which this state dict was made")
    return {key: value for key, value in group.items() if key not in DROPPED} | own
