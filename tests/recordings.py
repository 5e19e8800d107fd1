"""Recordings of steps on the CPU, which has no CUDA graphs.

A recording is the list of the operations of a step, which a replay carries out again on the same
tensors: like a graph it holds every Python number as it was, and it refuses to read a number from a
tensor. Only torch.cuda.graph itself is left to a GPU.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from experiments.run.capture import Captured
from optim import base


class Recording(TorchDispatchMode):
    """What a step did, operation by operation."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        out = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, out))
        return out

    def replay(self):
        with torch.no_grad():
            for function, args, kwargs, out in self.operations:
                again = function(*args, **kwargs)
                for old, new in zip(tree_flatten(out)[0], tree_flatten(again)[0], strict=True):
                    if torch.is_tensor(old) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Recorded(Captured):
    """Records on the CPU; a recording is made by taking the step, which is then not replayed."""

    def __init__(self, required=False):
        super().__init__(required, self.record, lambda step: step())
        self.recordings = []

    def record(self, step, generators):
        recording, taken = Recording(), []
        with recording:
            step()
        self.recordings.append(recording)
        return lambda: recording.replay() if taken else taken.append(True)


def rates_stay_unread(monkeypatch):
    """Let the optimizers take a learning rate in a tensor unread, as they do on a GPU."""
    read = base.checked_rates

    def unread(group, *, decoupled):
        tensor = torch.is_tensor(group["lr"])
        return {"lr": 0, "max_lr": group["max_lr"]} if tensor else read(group, decoupled=decoupled)

    monkeypatch.setattr(base, "checked_rates", unread)
