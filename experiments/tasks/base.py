"""What every task is: two or three sets of examples that live on the device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from experiments.errors import UserError
from experiments.seeding import Draws, stream

#: Label of a position that is not to be predicted, as torch's cross_entropy has it.
IGNORED = -100


@dataclass(frozen=True)
class Examples:
    """Inputs (N, ...) and class labels on one device.

    Labels are (N,), or (N, T) with :data:`IGNORED` at positions that are not to be predicted.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> "Examples":
        return Examples(self.inputs[index], self.labels[index])

    def to(self, device: torch.device) -> "Examples":
        return Examples(self.inputs.to(device), self.labels.to(device))

    def predictions(self) -> int:
        """Return how many labels are to be predicted: all that are not :data:`IGNORED`."""
        if self.labels.ndim == 1:
            return len(self)
        return int((self.labels != IGNORED).sum())

    def carve(self, size: int, generator: torch.Generator) -> tuple["Examples", "Examples"]:
        """Draw ``size`` examples at random; return the others first, then those drawn."""
        order = torch.randperm(len(self), generator=generator).to(self.labels.device)
        return self[order[size:]], self[order[:size]]

    def measured(self) -> "Examples":
        """Return the examples on which error and loss are measured: all of them."""
        return self


class Sampled(Protocol):
    """A training set of which every batch is drawn anew, such as windows of a text.

    Its length is the number of examples that fit into it without overlap; that many drawn ones
    make an epoch.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> "Sampled":
        """Return a training set of neighbouring examples."""

    def draw(self, size: int, generator: torch.Generator) -> Draws:
        """Draw with a CPU generator what decides a batch of ``size`` examples."""

    def at(self, draws: Draws) -> Examples:
        """Return the batch that :meth:`draw` decided; all tensors are on one device."""

    def carve(self, size: int, generator: torch.Generator) -> tuple["Sampled", Examples]:
        """Take ``size`` examples out; return the rest first, then those taken out."""

    def measured(self) -> Examples:
        """Return the fixed examples on which error and loss are measured."""

    def to(self, device: torch.device) -> "Sampled": ...


class Augmentation(Protocol):
    """Changes prepared training inputs at random."""

    def draw(self, size: int, generator: torch.Generator) -> Draws:
        """Draw with a CPU generator what decides the changes of a batch of ``size`` inputs."""

    def __call__(self, inputs: Tensor, draws: Draws, /) -> Tensor:
        """Return the inputs (B, ...) changed as :meth:`draw` decided; all are on one device."""


@dataclass(frozen=True)
class Task:
    """A classification problem: a class is predicted for each input, or for each of its positions.

    Attributes:
        train: Training examples: each seen once an epoch, or drawn anew for every batch.
        test: Test examples.
        network: Arguments that a network must take to fit the task (``channels``, ``classes``).
        prepare: Maps stored inputs to network inputs, (B, ...) to (B, ...).
        augment: Changes prepared training inputs at random; None leaves them as they are.
        fingerprint: Hash of the data: of their content, or of what generated them.
        reference: Fingerprint of the data that a configuration means without naming it: those of
            the committed results, or those that its settings describe fully; None if there are
            none. With any other data, a run's identity includes the fingerprint.
        files_hash: Hash of the files that the data were read from, if they were; checkpoints held
            it before there was a fingerprint of the content.
        validation: Examples carved from the training set, or None.
        top: A prediction is an error if the label is not among the ``top`` likeliest classes; 5
            makes every error that is reported a top-5 error.
        network_options: Arguments that a network may take besides (``size``, the side of the
            images).
        write_sample: Returns a text that shows what a run has learnt, given the trained network in
            evaluation mode, its final metrics, and a CPU generator; None where there is none.
    """

    train: Examples | Sampled
    test: Examples
    network: dict[str, int]
    prepare: nn.Module
    augment: Augmentation | None
    fingerprint: str
    reference: str | None = None
    files_hash: str | None = None
    validation: Examples | None = None
    top: int = 1
    network_options: Mapping[str, int] = field(default_factory=dict)
    write_sample: Callable[[nn.Module, Mapping[str, float], torch.Generator], str] | None = None

    @property
    def data(self) -> str | None:
        """What a run's identity includes of the data: None for the reference, else their hash."""
        return None if self.fingerprint == self.reference else self.fingerprint

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
