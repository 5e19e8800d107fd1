"""What every task is: two or three sets of examples that live on the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from experiments.errors import UserError
from experiments.seeding import stream


@dataclass(frozen=True)
class Examples:
    """Inputs (N, ...) and class labels (N,) on one device."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> "Examples":
        return Examples(self.inputs[index], self.labels[index])

    def to(self, device: torch.device) -> "Examples":
        return Examples(self.inputs.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Task:
    """A classification problem.

    Attributes:
        train: Training examples.
        test: Test examples.
        network: Arguments that a network needs to fit the task (``channels``, ``classes``, ...).
        prepare: Maps stored inputs to network inputs, (B, ...) to (B, ...).
        augment: Changes prepared training inputs at random, given a CPU generator; None leaves
            them as they are.
        fingerprint: Hash of the data files, or of what generated the data.
        validation: Examples carved from the training set, or None.
        top: A prediction is an error if the label is not among so many likeliest classes; 5 makes
            every error that is reported a top-5 error.
    """

    train: Examples
    test: Examples
    network: dict[str, int]
    prepare: nn.Module
    augment: Callable[[Tensor, torch.Generator], Tensor] | None
    fingerprint: str
    validation: Examples | None = None
    top: int = 1

    def errors(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Count the wrong predictions: logits (..., classes), labels (...), a whole number ()."""
        if self.top == 1:
            return (logits.argmax(-1) != labels).sum()
        return (logits.topk(self.top).indices != labels[..., None]).all(-1).sum()

    def split(self, size: int, seed: int) -> "Task":
        """Carve ``size`` validation examples from the training set, chosen by the seed."""
        if not size:
            return self
        self.check_split(size)
        order = torch.randperm(len(self.train), generator=stream(seed, "split"))
        order = order.to(self.train.labels.device)
        return replace(self, train=self.train[order[size:]], validation=self.train[order[:size]])

    def check_split(self, size: int) -> None:
        """Refuse a validation split that leaves nothing to train on."""
        if size >= len(self.train):
            raise UserError(
                f"validation_size must lie in [0, {len(self.train)}), the training set, got {size}"
            )

    def to(self, device: torch.device) -> "Task":
        return replace(
            self,
            train=self.train.to(device),
            test=self.test.to(device),
            validation=self.validation and self.validation.to(device),
            prepare=self.prepare.to(device),
        )
