"""The forward pass of a training step as torch.compile makes it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from experiments.errors import UserError

#: The lowest torch whose compiled gradients on a CPU were seen to agree with those of the network
#: as it is. Torch 2.6 computes others for a transformer's embeddings, without any error.
ON_CPU = (2, 14)


def check_compiler(device: torch.device) -> None:
    """Refuse to compile for a device with a version of torch that may compute something else.

    Raises:
        UserError: The device is a CPU and torch is older than ``ON_CPU``.
    """
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if device.type == "cpu" and version < ON_CPU:
        raise UserError(
            f"compile=true on a CPU needs torch {'.'.join(map(str, ON_CPU))} or later, since 2.6 "
            f"computes wrong gradients there; got torch {torch.__version__}"
        )


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what to call in a network's place; it has the network's own weights and generator.

    Compilation comes with the first call. Every size of a batch gets code of its own, and nothing
    is left of what this process compiled before: a run is the same after whatever other cells.
    What is called raises UserError where torch cannot compile, as without a C++ compiler.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes a second to import

    torch.compiler.reset()
    fast = torch.compile(model, dynamic=False)

    def forward(inputs: Tensor) -> Tensor:
        try:
            return fast(inputs)
        except TorchDynamoException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"compile=true: torch cannot compile here: {reason}") from error

    return forward
