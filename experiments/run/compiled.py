"""The forward pass of a training step as torch.compile makes it."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from experiments.errors import UserError
from experiments.models import DrawsNumbers

#: The lowest torch whose compiled gradients on a CPU were seen to agree with those of the network
#: as it is. Torch 2.6 computes others for a transformer's embeddings, without any error.
ON_CPU = (2, 14)


def compiles(device: str = "cpu") -> bool:
    """Whether compiled gradients are right on a kind of device with this version of torch."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    return device != "cpu" or version >= ON_CPU


def check_compiler(device: torch.device) -> None:
    """Refuse to compile for a device with a version of torch that may compute something else.

    Raises:
        UserError: The device is a CPU and torch is older than ``ON_CPU``.
    """
    if not compiles(device.type):
        raise UserError(
            f"compile=true on a CPU needs torch {'.'.join(map(str, ON_CPU))} or later, since 2.6 "
            f"computes wrong gradients there; got torch {torch.__version__}"
        )


class Code:
    """The forward pass of networks that are built alike, compiled once: their weights are inputs.

    Compilation comes with the first call. Every size of a batch gets code of its own, and nothing
    is left of what this process compiled before: a run is the same after whatever other cells.

    Args:
        model: One of the networks, in training mode.
    """

    def __init__(self, model: nn.Module):
        self._like = copy.deepcopy(model).to("meta")  # a network without weights
        self._fast: Callable[[dict[str, Tensor], Tensor], Tensor] | None = None

    def __call__(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return a network's outputs.

        Raises:
            UserError: Torch cannot compile, for example without a C++ compiler.
        """
        from torch._dynamo.exc import TorchDynamoException  # takes a second to import

        if self._fast is None:
            torch.compiler.reset()
            self._fast = torch.compile(self._forward, dynamic=False)
        if isinstance(model, DrawsNumbers) and isinstance(self._like, DrawsNumbers):
            self._like.drawn = model.drawn
        weights = dict(model.named_parameters()) | dict(model.named_buffers())
        try:
            return self._fast(weights, inputs)
        except TorchDynamoException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"compile=true: torch cannot compile here: {reason}") from error

    def _forward(self, weights: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self._like, weights, (inputs,))
        return outputs


class Compiled:
    """What to call in a network's place; its code may be that of another network built alike.

    Attributes:
        code: Compiled at its first call.
    """

    def __init__(self, model: nn.Module):
        self._model = model
        self.code = Code(model)

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.code(self._model, inputs)
