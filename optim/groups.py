"""Which of a model's parameters decay."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

NO_DECAY = ("none", "norm_and_bias", "embeddings_too")


def parameter_groups(
    model: nn.Module, weight_decay: float, no_decay: str = "none"
) -> list[dict[str, Any]]:
    """Split the parameters that train into those that decay and those that do not.

    Args:
        model: Any module; parameters that require no gradient are left out.
        weight_decay: The decay of those that decay, checked by the optimizer.
        no_decay: What to spare: ``none``, as in the paper, where every parameter decays;
            ``norm_and_bias``, every tensor of one dimension or fewer, the usual rule today; or
            ``embeddings_too``, beside those the table of every ``nn.Embedding`` and what a module's
            ``no_weight_decay()`` names, timm's way to mark position embeddings: parameters or whole
            submodules of its own, ``*`` and ``?`` as in file names. A name of nothing is ignored.

    Returns:
        One or two parameter groups for any torch optimizer; a group that would be empty is left
        out.

    Raises:
        ValueError: ``no_decay`` is none of these, no parameter trains, or the shape of one that
            decides where it belongs is not there yet (a lazy module before its first batch) or no
            longer (FSDP and ZeRO keep flat parts of it).

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
    if no_decay != "none":
        _refuse_hidden_shapes(model)
    spared = {id(p) for p in params if no_decay != "none" and p.ndim <= 1}
    if no_decay == "embeddings_too":
        spared |= {id(p) for p in _embeddings(model)}
    groups = [
        {"params": [p for p in params if id(p) not in spared], "weight_decay": weight_decay},
        {"params": [p for p in params if id(p) in spared], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _refuse_hidden_shapes(model: nn.Module) -> None:
    for name, p in model.named_parameters():
        if is_lazy(p):
            raise ValueError(f"{name} has no shape yet: pass a batch through the model first")
        if getattr(p, "_fsdp_flattened", False) or hasattr(p, "ds_shape"):
            raise ValueError(
                f"{name} is sharded and flat: make the groups before wrapping the model"
            )


def _embeddings(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            yield module.weight
        named = getattr(module, "no_weight_decay", None)
        patterns = (named() if callable(named) else named) or ()
        if patterns:
            for name, p in module.named_parameters(remove_duplicate=False):
                if any(fnmatchcase(name, s) or fnmatchcase(name, f"{s}.*") for s in patterns):
                    yield p
