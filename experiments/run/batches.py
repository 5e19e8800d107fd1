"""The training batches of a run: drawn a while ahead, kept on the device, read at a counter."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from experiments.models import DrawsNumbers
from experiments.seeding import Draws, stream
from experiments.tasks import Examples, Task

#: Steps that are drawn at once, and bytes that they may take; one step may take more.
BLOCK, ROOM = 240, 1 << 26


@dataclass
class Batches:
    """Which examples each step reads, how they are augmented, and what the network draws.

    All of it is random, and a function of the seed and the step. It is drawn on the CPU for a block
    of steps at a time and kept in tables on the device, a row a step, that stay where they are in
    memory: in the midst of its steps a run waits for nothing, and a CUDA graph may read them.
    Runs that differ in their optimizers only may share them.

    Attributes:
        task: The examples, on the device.
        model: The network, which may be one that :class:`DrawsNumbers`.
        batch_size: Examples a step; the last batch of an epoch holds what is left.
        steps_per_epoch: Steps in which every example is read once.
        seed: Of all that is drawn.
    """

    task: Task
    model: nn.Module
    batch_size: int
    steps_per_epoch: int
    seed: int
    _block: int = field(init=False, default=-1)  # which is in the tables
    _order: tuple[int, Tensor] = field(init=False, default=(-1, torch.empty(0)))  # of an epoch

    def __post_init__(self) -> None:
        train, model = self.task.train, self.model
        self._sampled = None if isinstance(train, Examples) else train
        self._network = model if isinstance(model, DrawsNumbers) and model.draws_numbers else None
        parts = self._drawn(0)  # no later batch is larger
        self._ends = len(parts[0]), len(parts[0]) + len(parts[1])
        full: Draws = sum(parts, ())
        self.block = max(1, min(BLOCK, ROOM // sum(drawn.nbytes for drawn in full)))
        device = self.task.test.labels.device
        self._tables = [
            drawn.new_zeros((self.block, *drawn.shape), device=device) for drawn in full
        ]
        self._shapes = {self.size(0): [drawn.shape for drawn in full]}

    def size(self, step: int) -> int:
        """Return how many examples a step reads."""
        if self._sampled is not None:
            return self.batch_size
        place = step % self.steps_per_epoch
        return min(self.batch_size, len(self.task.train) - place * self.batch_size)

    def fill(self, step: int) -> None:
        """See to it that a step's row is in the tables, and with it those of its block."""
        block = step // self.block
        if block == self._block:
            return
        on_cpu = [torch.zeros_like(table, device="cpu") for table in self._tables]
        for place in range(self.block):
            step = block * self.block + place
            row = sum(self._drawn(step), ())
            self._shapes[self.size(step)] = [drawn.shape for drawn in row]
            for table, drawn in zip(on_cpu, row, strict=True):
                table[place][tuple(map(slice, drawn.shape))] = drawn
        for table, filled in zip(self._tables, on_cpu, strict=True):
            table.copy_(filled)
        self._block = block

    def read(self, step: Tensor, size: int) -> tuple[Examples, Draws]:
        """Return the prepared and augmented batch of a step, and what the network draws in it.

        Args:
            step: Its number, (1,), on the device; its row is in the tables.
            size: Examples that it reads, see :meth:`size`.
        """
        place = step % self.block
        rows = tuple(
            table.index_select(0, place)[0][tuple(map(slice, shape))]
            for table, shape in zip(self._tables, self._shapes[size], strict=True)
        )
        first, second = self._ends
        places, changes, drawn = rows[:first], rows[first:second], rows[second:]
        train = self.task.train
        batch = train[places[0]] if isinstance(train, Examples) else train.at(places)
        inputs = self.task.prepare(batch.inputs)
        if self.task.augment is not None:
            inputs = self.task.augment(inputs, changes)
        return Examples(inputs, batch.labels), drawn

    def at(self, step: int) -> Examples:
        """Return the prepared and augmented batch of a step."""
        self.fill(step)
        counter = torch.full((1,), step, device=self.task.test.labels.device)
        return self.read(counter, self.size(step))[0]

    def _drawn(self, step: int) -> tuple[Draws, Draws, Draws]:
        """Draw which examples a step reads, how to augment them, and the network's numbers."""
        size = self.size(step)
        changes: Draws = ()
        network: Draws = ()
        if self._sampled is None:
            places: Draws = (self._places(step),)
        else:
            places = self._sampled.draw(size, stream(self.seed, "batches", step))
        if self.task.augment is not None:
            changes = self.task.augment.draw(size, stream(self.seed, "augmentation", step))
        if self._network is not None:
            network = self._network.draw(size, stream(self.seed, "network", step))
        return places, changes, network

    def _places(self, step: int) -> Tensor:
        """Return where a batch lies: every epoch sees all examples in an order of its own."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            order = torch.randperm(
                len(self.task.train), generator=stream(self.seed, "batches", epoch)
            )
            self._order = (epoch, order)
        return self._order[1][place * self.batch_size :][: self.batch_size]
