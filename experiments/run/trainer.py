"""The training loop: a pure function of its arguments that can stop and go on at any step."""

import functools
import math
import operator
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from experiments.models import DrawsNumbers
from experiments.run.batches import Batches
from experiments.run.capture import Captured
from experiments.seeding import Draws, stream
from experiments.tasks import Examples, Task

#: Steps between two checks that the loss is still a number; each waits once for a GPU.
CHECK_EVERY = 20
EVALUATION_BATCH = 2048  # predictions


class Diverged(Exception):
    """The loss became NaN or infinite; the message says where."""


@dataclass(frozen=True)
class Budget:
    """How long to train and how often to evaluate.

    Attributes:
        steps: Optimizer steps of the whole run.
        steps_per_epoch: ceil(training examples / batch_size).
        batch_size: Examples a step; the last batch of an epoch holds what is left.
        eval_steps: Steps between two evaluations on the test set; the end is always evaluated.
        eval_train: Evaluate on the training set, too, each time and not at the end only.
    """

    steps: int
    steps_per_epoch: int
    batch_size: int
    eval_steps: int
    eval_train: bool = False


class Callbacks(Protocol):
    """What the loop calls as it goes; :class:`experiments.run.recorder.Recorder` keeps a run."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Keep the metrics measured after ``step`` steps."""

    def checkpoint_due(self) -> bool:
        """Whether it is time to save."""

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Save what the loop needs to go on."""

    def progress(self, step: int) -> None:
        """Show that ``step`` steps are done."""


class Observer(Protocol):
    """Who watches the steps of a run without changing them."""

    def before_step(self, step: int) -> None:
        """See the weights and gradients from which a step, counted from 0, is about to be made."""

    def after_step(self, step: int) -> None:
        """See the weights that the step has made."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold for it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""


@dataclass
class Trainer:
    """Everything that moves during a run, and how to move it by one step.

    Attributes:
        model: The network, on the device.
        task: The examples, on the device.
        optimizer: Holds alpha in ``initial_lr`` of each group, as LambdaLR would leave it.
        eta: The schedule multiplier, a function of the step (0-based).
        weight_decay_scale: Factor on each group's base weight decay, a function of the step; 1
            except under normalized decay with restarts.
        budget: Length of the run.
        seed: Of batches, augmentation and what the network draws.
        autocast: Makes the context of a forward pass.
        loss_scale: Factor on the loss whose gradient the optimizer gets; metrics stay unscaled.
        observer: Watches every step, if there is one.
        forward: What a training step calls in the network's place: the same, but faster.
        captured: Records steps and replays them; then the optimizer must be ``capturable``, and
            nothing may observe the run. None takes every step as it comes.
    """

    model: nn.Module
    task: Task
    optimizer: Optimizer
    eta: Callable[[int], float]
    weight_decay_scale: Callable[[int], float]
    budget: Budget
    seed: int
    autocast: Callable[[], AbstractContextManager]
    loss_scale: float = 1.0
    observer: Observer | None = None
    forward: Callable[[Tensor], Tensor] | None = None
    captured: Captured | None = None
    step: int = 0
    _recent: Tensor = field(init=False)  # losses since the last check
    _loss_sum: Tensor = field(init=False)  # of the batches since the last evaluation
    _count: Tensor = field(init=False)  # steps done, (1,), as the device counts them

    def __post_init__(self) -> None:
        self._device = self.task.test.labels.device
        self._count = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._recent = torch.zeros(CHECK_EVERY, device=self._device)
        self._loss_sum = torch.zeros((), device=self._device)
        self._scale = torch.tensor(self.loss_scale, device=self._device)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._base_decay = [group["weight_decay"] for group in self.optimizer.param_groups]
        self.batches = Batches(
            self.task, self.model, self.budget.batch_size, self.budget.steps_per_epoch, self.seed
        )
        if self.captured is not None:
            groups = self.optimizer.param_groups
            rates = [
                [group["initial_lr"] * self.eta(step) for group in groups]
                for step in range(self.budget.steps)
            ]
            self._rates = torch.tensor(rates, device=self._device)
            self._keep_rates_in_tensors()

    def _keep_rates_in_tensors(self) -> None:
        """Let the optimizer be captured, with each learning rate where the device can write it."""
        for group in self.optimizer.param_groups:
            group["capturable"] = True
            group["lr"] = torch.tensor(float(group["lr"]), device=self._device)

    def state_dict(self) -> dict[str, Any]:
        """Everything a checkpoint must hold; random numbers follow from the step.

        It is the same whether steps are captured or not, so that a run may go on either way.
        """
        optimizer = self.optimizer.state_dict()
        if self.captured is not None:
            for group in optimizer["param_groups"]:
                group |= {"lr": float(group["lr"]), "capturable": False}
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": optimizer,
            "recent": self._recent,
            "loss_sum": self._loss_sum,
        }
        return state if self.observer is None else state | {"observer": self.observer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self._count.fill_(self.step)
        self.model.load_state_dict(state["model"])
        groups = self.optimizer.param_groups
        for saved, group in zip(state["optimizer"]["param_groups"], groups, strict=True):
            # Older checkpoints do not say whose weight decay they hold; it is this run's.
            if "decoupled" in group:
                saved.setdefault("decoupled", group["decoupled"])
            if self.captured is not None:  # then torch loads ages, too, to where they are needed
                saved["capturable"] = True
        self.optimizer.load_state_dict(state["optimizer"])
        if self.captured is not None:
            self._keep_rates_in_tensors()
        self._recent.copy_(state["recent"])
        self._loss_sum.copy_(state["loss_sum"])
        if self.observer is not None:
            self.observer.load_state_dict(state["observer"])

    def run(self, callbacks: Callbacks) -> Generator["Trainer", None, dict[str, float]]:
        """Train to the end of the budget and return the final metrics.

        Yields:
            Itself, whenever a step is due, for the caller to take: by :meth:`train_step`, or
            together with those of other runs.

        Raises:
            Diverged: The loss is no longer a number.
        """
        while self.step < self.budget.steps:
            yield self
            self.check()
            step, last = self.step, self.step == self.budget.steps
            if step % CHECK_EVERY == 0 or last:
                callbacks.progress(step)
            if step % self.budget.eval_steps == 0 and not last:
                also = self._evaluate_others() if self.budget.eval_train else {}
                callbacks.log(self._metrics() | also, step)
            if callbacks.checkpoint_due():
                callbacks.checkpoint(self.state_dict())
        final = self._metrics() | self._evaluate_others()
        callbacks.log(final, self.step)
        return final

    def train_step(self) -> None:
        """Take one step, without waiting for the device."""
        self.prepare()
        if self.captured is None:
            self.update(*self.read())
        else:
            self.captured(self.kind(), lambda: self.update(*self.read()), self.generators())
        self.step += 1

    def prepare(self) -> None:
        """Do what the host has to do before a step."""
        self.batches.fill(self.step)
        eta, scale = self.eta(self.step), self.weight_decay_scale(self.step)
        for group, base in zip(self.optimizer.param_groups, self._base_decay, strict=True):
            if self.captured is None:
                group["lr"] = group["initial_lr"] * eta
            group["weight_decay"] = base * scale
        if isinstance(self.model, DrawsNumbers) and self.model.draws_numbers:
            seed = stream(self.seed, "network", self.step).initial_seed()
            if self.model.generator is None:
                self.model.generator = torch.Generator(self._device)
            self.model.generator.manual_seed(seed)

    def kind(self) -> tuple[int, float]:
        """Return what of a step is no tensor: the size of its batch, and the factor on the decay.

        Of all that a step depends on, a recording holds these two fast.
        """
        return self.batches.size(self.step), self.weight_decay_scale(self.step)

    def generators(self) -> list[torch.Generator]:
        """Return what the network draws from during a step."""
        generator = getattr(self.model, "generator", None)
        return [] if generator is None else [generator]

    def read(self) -> tuple[Examples, Draws]:
        """Return the batch of the step at hand, and what the network draws in it."""
        return self.batches.read(self._count, self.batches.size(self.step))

    def update(self, batch: Examples, drawn: Draws) -> None:
        """Make a step of a batch and what the network draws: a function of tensors alone."""
        if self.captured is not None:
            rates = self._rates.index_select(0, self._count.clamp(max=len(self._rates) - 1))[0]
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"].copy_(rate)
        if isinstance(self.model, DrawsNumbers):
            self.model.drawn = drawn
        with self.autocast():
            logits = (self.forward or self.model)(batch.inputs)
        loss = F.cross_entropy(logits.float().flatten(0, -2), batch.labels.flatten())
        self.optimizer.zero_grad()
        loss.backward(self._scale)  # of the loss times it
        if self.observer is not None:
            self.observer.before_step(self.step)
        self.optimizer.step()
        if self.observer is not None:
            self.observer.after_step(self.step)
        self._recent.index_copy_(0, self._count % CHECK_EVERY, loss.detach()[None])
        self._loss_sum += loss.detach()
        self._count += 1

    def check(self) -> None:
        """Look at the losses of the last steps, every so many steps and at the end.

        Raises:
            Diverged: One is no longer a number.
        """
        if self.step % CHECK_EVERY and self.step != self.budget.steps:
            return
        first = self.step - 1 - (self.step - 1) % CHECK_EVERY
        for step, loss in enumerate(self._recent[: self.step - first].tolist(), start=first + 1):
            if not math.isfinite(loss):
                raise Diverged(f"the loss became {loss} at step {step} of {self.budget.steps}")

    def _metrics(self) -> dict[str, float]:
        """Return the metrics of this moment, and start a new mean of the batches' losses."""
        measured = (self.step - 1) % self.budget.eval_steps + 1
        eta = self.eta(self.step - 1)
        batch_loss = self._loss_sum.item() / measured
        self._loss_sum.zero_()
        metrics = {
            "epoch": self.step / self.budget.steps_per_epoch,
            "lr": self.optimizer.param_groups[0]["initial_lr"] * eta,
            "eta": eta,
            "batch_loss": batch_loss,
        }
        return metrics | self.evaluate("test", self.task.test)

    def _evaluate_others(self) -> dict[str, float]:
        """Return error and loss on the training set and, if there is one, the validation set."""
        sets = {"train": self.task.train.measured(), "val": self.task.validation}
        results: dict[str, float] = {}
        for name, examples in sets.items():
            if examples is not None:
                results |= self.evaluate(name, examples)
        return results

    @torch.inference_mode()
    def evaluate(self, name: str, examples: Examples) -> dict[str, float]:
        """Measure a set in evaluation mode; the device need not know double precision.

        Returns:
            ``NAME_error``, percent of the predictions, and ``NAME_loss``, nats a prediction.

        Raises:
            Diverged: The loss is no number.
        """
        self.model.eval()
        losses = []
        wrong = torch.zeros((), device=self._device, dtype=torch.int64)
        for part in _parts(examples):
            with self.autocast():
                logits = self.model(self.task.prepare(part.inputs))
            logits, labels = logits.float().flatten(0, -2), part.labels.flatten()
            losses.append(F.cross_entropy(logits, labels, reduction="sum"))
            wrong += self.task.errors(logits, labels)
        self.model.train()
        predictions = examples.predictions()
        mean_loss = add_up(torch.stack(losses).tolist()) / predictions
        if not math.isfinite(mean_loss):
            raise Diverged(f"the {name} loss is {mean_loss} after step {self.step}")
        return {f"{name}_error": 100 * wrong.item() / predictions, f"{name}_loss": mean_loss}


def add_up(values: Iterable[float]) -> float:
    """Return a sum, added from first to last; ``sum`` rounds otherwise from Python 3.12 on."""
    return functools.reduce(operator.add, values, 0.0)


def _parts(examples: Examples) -> Iterator[Examples]:
    size = max(1, EVALUATION_BATCH // examples.labels[0].numel())
    for start in range(0, len(examples), size):
        yield examples[start : start + size]
