"""What every task is: two or three sets of examples that live on the device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from experiments.errors import UserError
from experiments.seeding import stream

#: Label of a position that is not to be predicted, as torch's cross_entropy has it.
IGNORED = -100


@dataclass(frozen=True)
class Examples:
    """Inputs (N, ...) and class labels, (N,) or (N, T) with :data:`IGNORED` ones, on one device."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> "Examples":
        return Examples(self.inputs[index], self.labels[index])

    def to(self, device: torch.device) -> "Examples":
        return Examples(self.inputs.to(device), self.labels.to(device))

    def predictions(self) -> int:
        """Return how many labels are to be predicted: all, where an input has one."""
        if self.labels.ndim == 1:
            return len(self)
        return int((self.labels != IGNORED).sum())

    def carve(self, size: int, generator: torch.Generator) -> tuple["Examples", "Examples"]:
        """Return the examples without ``size`` drawn at random, and those."""
        order = torch.randperm(len(self), generator=generator).to(self.labels.device)
        return self[order[size:]], self[order[:size]]

    def measured(self) -> "Examples":
        """Return those on which error and loss are measured: all."""
        return self


class Sampled(Protocol):
    """A training set of which every batch is drawn anew, such as windows of a text.

    Its length is the number of examples that do not overlap: so many drawn ones make an epoch.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> "Sampled":
        """Return a training set of neighbouring examples."""

    def sample(self, size: int, generator: torch.Generator) -> Examples:
        """Draw a batch with a CPU generator."""

    def carve(self, size: int, generator: torch.Generator) -> tuple["Sampled", Examples]:
        """Return the set without ``size`` examples, and those."""

    def measured(self) -> Examples:
        """Return the fixed examples on which error and loss are measured."""

    def to(self, device: torch.device) -> "Sampled": ...


@dataclass(frozen=True)
class Task:
    """A classification problem, at one place of an input or at many.

    Attributes:
        train: Training examples: each seen once an epoch, or drawn anew for every batch.
        test: Test examples.
        network: Arguments that a network must take to fit the task (``channels``, ``classes``).
        prepare: Maps stored inputs to network inputs, (B, ...) to (B, ...).
        augment: Changes prepared training inputs at random, given a CPU generator; None leaves
            them as they are.
        fingerprint: Hash of the data files, or of what generated the data.
        validation: Examples carved from the training set, or None.
        top: A prediction is an error if the label is not among so many likeliest classes; 5 makes
            every error that is reported a top-5 error.
        network_options: Arguments that a network may take besides (``size``, the side of the
            images).
        write_sample: Returns a text that shows what a run has learnt, given the trained network in
            evaluation mode, its final metrics, and a CPU generator; None where there is none.
    """

    train: Examples | Sampled
    test: Examples
    network: dict[str, int]
    prepare: nn.Module
    augment: Callable[[Tensor, torch.Generator], Tensor] | None
    fingerprint: str
    validation: Examples | None = None
    top: int = 1
    network_options: Mapping[str, int] = field(default_factory=dict)
    write_sample: Callable[[nn.Module, Mapping[str, float], torch.Generator], str] | None = None

    def errors(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Count the wrong predictions, a whole number (): logits (..., classes), labels (...)."""
        if self.top == 1:
            wrong = logits.argmax(-1) != labels
        else:
            wrong = (logits.topk(self.top).indices != labels[..., None]).all(-1)
        return (wrong & (labels != IGNORED)).sum()

    def split(self, size: int, seed: int) -> "Task":
        """Carve ``size`` validation examples from the training set, chosen by the seed."""
        if not size:
            return self
        self.check_split(size)
        train, validation = self.train.carve(size, stream(seed, "split"))
        return replace(self, train=train, validation=validation)

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
