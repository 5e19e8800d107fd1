"""Which of a model's parameters decay."""

from typing import Any

from torch import nn

NO_DECAY = ("none", "norm_and_bias")


def parameter_groups(
    model: nn.Module, weight_decay: float, no_decay: str = "none"
) -> list[dict[str, Any]]:
    """Split the parameters that train into those that decay and those that do not.

    Args:
        model: Any module; parameters that require no gradient are left out.
        weight_decay: The decay of those that decay, checked by the optimizer.
        no_decay: What to spare: ``none``, as in the paper, where every parameter decays; or
            ``norm_and_bias``, every tensor of one dimension or fewer, the usual rule today.

    Returns:
        One or two parameter groups for any torch optimizer; a group that would be empty is left
        out.

    Raises:
        ValueError: ``no_decay`` is neither, or no parameter trains.

    Example:
        >>> from torch import nn
        >>> from optim import parameter_groups
        >>> groups = parameter_groups(nn.Linear(2, 3), 0.1, no_decay="norm_and_bias")
        >>> [(group["weight_decay"], len(group["params"])) for group in groups]
        [(0.1, 1), (0.0, 1)]
    """
    if no_decay not in NO_DECAY:
        raise ValueError(f"no_decay must be one of {', '.join(NO_DECAY)}, got {no_decay!r}")
    params = [p for p in model.parameters() if p.requires_grad]
    if not params:
        raise ValueError("the model has no parameter that requires a gradient")
    spared = [p for p in params if no_decay == "norm_and_bias" and p.ndim <= 1]
    decayed = [p for p in params if no_decay == "none" or p.ndim > 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
