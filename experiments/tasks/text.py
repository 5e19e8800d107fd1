"""Language modelling on the characters of a text: the next one, or those that are masked.

The last tenth of the text is held out. An epoch draws windows at random from the rest, as many as
fit into it without overlap: each character is read once an epoch on average.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from experiments.errors import UserError
from experiments.record.files import checksum as checksum_of
from experiments.record.files import expanded
from experiments.seeding import Draws, stream
from experiments.tasks.base import IGNORED, Examples, Task
from experiments.tasks.text_files import SHA256, read_text, shakespeare_file

OBJECTIVES = ("causal", "masked")
#: BERT's objective (Devlin et al., 2019): the share of positions that are predicted; of these, the
#: share that shows a mask and the share that shows another character. The rest shows the text.
PREDICTED, MASKED, REPLACED = 0.15, 0.8, 0.1
#: Error and loss are measured on at most this many windows, evenly spread over the text.
MEASURED = 2048
#: Characters of a sample, and how many of them, its first ones, are the held-out text's.
SAMPLE, PROMPT = 400, 16
MASK = "\N{FULL BLOCK}"


def shakespeare(
    *,
    data_dir: str,
    context: int = 64,
    objective: str = "causal",
    train_size: int | None = None,
) -> Task:
    """Return the 1.1 million characters of Shakespeare that char-rnn made a benchmark.

    Args:
        data_dir: Where the file lies; see :func:`experiments.tasks.text_files.shakespeare_file`.
        context: Characters in a window.
        objective: ``causal``: predict each character from those before it; ``masked``: BERT's.
        train_size: Train on the first ``train_size`` characters only; None trains on all that are
            not held out.

    Raises:
        UserError: The file is missing or another, or a setting is impossible.
    """
    file = shakespeare_file(data_dir)
    return _task(file, read_text(file), SHA256, context, objective, train_size)


def text(
    *,
    text_file: str | None,
    checksum: str | None,
    context: int = 64,
    objective: str = "causal",
    train_size: int | None = None,
) -> Task:
    """Return a utf-8 text of one's own, in any alphabet; see :func:`shakespeare`.

    Args:
        text_file: Path of the text.
        checksum: SHA-256 that its bytes must have.
        context: Characters in a window.
        objective: ``causal`` or ``masked``.
        train_size: As for :func:`shakespeare`.

    Raises:
        UserError: The file cannot be read, changed, or is too short.
    """
    if not text_file:
        raise UserError("task=text needs text_file=PATH, a utf-8 text")
    file = expanded(text_file)
    content = read_text(file)
    if checksum is None or checksum != checksum_of(file):
        raise UserError(f"{file} changed since this run was asked for; ask for it again")
    return _task(file, content, checksum, context, objective, train_size)


def _task(
    file: Path,
    content: str,
    checksum: str,
    context: int,
    objective: str,
    train_size: int | None,
) -> Task:
    if context < 1:
        raise UserError(f"task.context must be at least 1, got {context}")
    if objective not in OBJECTIVES:
        raise UserError(f"task.objective must be one of {', '.join(OBJECTIVES)}, got {objective}")
    alphabet, tokens = encode(content)
    held_out = math.ceil(len(tokens) / 10)
    if held_out <= context:
        raise UserError(
            f"{file} has {len(tokens)} characters; with task.context={context} it needs at least "
            f"{10 * context + 1}, of which a tenth is held out"
        )
    rest = len(tokens) - held_out
    if train_size is not None and not context < train_size <= rest:
        raise UserError(
            f"task.train_size must lie in ({context}, {rest}], more characters than a window and "
            f"no more than are not held out, got {train_size}"
        )
    masked = objective == "masked"
    train = Windows(tokens[:rest][:train_size], context, len(alphabet) if masked else None)
    test = replace(train, tokens=tokens[-held_out:])
    classes = len(alphabet) + masked
    show = partial(_fill_in, test=test.measured()[:4]) if masked else partial(
        _go_on, prompt=test.tokens[: min(PROMPT, context)].long(), context=context
    )  # fmt: skip
    return Task(
        train=train,
        test=test.measured(),
        network={
            **{"vocabulary": classes, "positions": context, "classes": classes},
            **{"causal": not masked, "all_positions": True},
        },
        prepare=nn.Identity(),
        augment=None,
        fingerprint=checksum[:16],
        reference=checksum[:16],  # the file has been compared with what the configuration names
        write_sample=partial(_write_sample, alphabet=alphabet + MASK, show=show),
    )


def encode(text: str) -> tuple[str, Tensor]:
    """Return the distinct characters of a text, sorted, and the index of each of its N characters.

    The indices are int32, (N,).
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    alphabet = np.unique(codes)
    index_of = np.zeros(alphabet.max(initial=0) + 1, dtype=np.int32)
    index_of[alphabet] = np.arange(len(alphabet))
    return "".join(map(chr, alphabet)), torch.from_numpy(index_of[codes])


@dataclass(frozen=True)
class Windows:
    """A stretch of text as a training set: windows of neighbouring characters.

    Attributes:
        tokens: The text, (N,) int32.
        context: Characters in a window, less than N.
        mask: Token that hides a character under the masked objective; None under the causal one.
    """

    tokens: Tensor
    context: int
    mask: int | None = None

    def __len__(self) -> int:
        """Return how many windows, each with the character after it, fit in without overlap."""
        return (len(self.tokens) - 1) // self.context

    def __getitem__(self, part: slice) -> "Windows":
        start, stop, _ = part.indices(len(self))
        return replace(self, tokens=self.tokens[start * self.context : stop * self.context + 1])

    def to(self, device: torch.device) -> "Windows":
        return replace(self, tokens=self.tokens.to(device))

    def draw(self, size: int, generator: torch.Generator) -> Draws:
        """Draw where windows begin, (B,), every position of the text being equally likely.

        Under the masked objective :func:`draw_hiding` adds what hides their characters.
        """
        positions = len(self.tokens) - self.context
        starts = torch.randint(positions, (size,), generator=generator)
        return starts, *self._hiding(size, generator)

    def at(self, draws: Draws) -> Examples:
        """Return the windows that :meth:`draw` decided."""
        starts, *hiding = draws
        positions = starts[:, None] + torch.arange(self.context + 1, device=starts.device)
        tokens = self.tokens[positions].long()  # (B, context + 1)
        if self.mask is None:
            return Examples(tokens[:, :-1], tokens[:, 1:])
        return hide(tokens[:, :-1], self.mask, *hiding)

    def carve(self, size: int, generator: torch.Generator) -> tuple["Windows", Examples]:
        """Take the last ``size`` windows out; return the text before them, then those.

        They are not drawn at random, since windows of the training text would then overlap them.
        """
        rest = len(self) - size
        return self[:rest], self[rest:]._evenly(size)

    def measured(self) -> Examples:
        """Return windows that do not overlap, at most 2,048, evenly spread."""
        return self._evenly(min(len(self), MEASURED))

    def _evenly(self, windows: int) -> Examples:
        """Return evenly spread windows; under the masked objective always with the same masks."""
        starts = torch.arange(windows) * len(self) // windows * self.context
        draws = starts, *self._hiding(windows, stream(0, "masks"))
        return self.at(tuple(drawn.to(self.tokens.device) for drawn in draws))

    def _hiding(self, windows: int, generator: torch.Generator) -> Draws:
        if self.mask is None:
            return ()
        return draw_hiding((windows, self.context), self.mask, generator)


def draw_hiding(shape: tuple[int, int], mask: int, generator: torch.Generator) -> Draws:
    """Draw what :func:`hide` takes for windows of a shape (B, T), with a CPU generator."""
    chances = torch.rand(2, *shape, generator=generator)
    return chances, torch.randint(mask, shape, generator=generator)


def hide(tokens: Tensor, mask: int, chances: Tensor, others: Tensor) -> Examples:
    """Choose 15 % of the positions of each window, at least one, and hide most of their characters.

    Of those chosen, 80 % show ``mask``, 10 % a random character, and 10 % keep their own.

    Args:
        tokens: Windows, (B, T), of numbers less than ``mask``.
        mask: The token that hides.
        chances: Uniform numbers, (2, B, T): which positions are chosen, and what becomes of each.
        others: Random characters, (B, T).
    """
    order, fate = chances
    count = max(1, round(PREDICTED * tokens.shape[1]))
    chosen = torch.zeros_like(tokens, dtype=torch.bool).scatter(1, order.topk(count).indices, True)
    shown = torch.where(fate < MASKED + REPLACED, others, tokens).masked_fill(fate < MASKED, mask)
    return Examples(torch.where(chosen, shown, tokens), tokens.masked_fill(~chosen, IGNORED))


def _write_sample(
    model: nn.Module,
    final: Mapping[str, float],
    generator: torch.Generator,
    *,
    alphabet: str,
    show: Callable[[nn.Module, torch.Generator], list[Tensor]],
) -> str:
    """Return the loss in both units, and texts that the model made."""
    nats = final["test_loss"]
    texts = ("".join(alphabet[token] for token in tokens) for tokens in show(model, generator))
    lines = [f"held-out text: {nats:.4f} nats = {nats / math.log(2):.4f} bits a character", *texts]
    return "\n\n".join(lines)


def _go_on(
    model: nn.Module, generator: torch.Generator, *, prompt: Tensor, context: int
) -> list[Tensor]:
    """Return a text that begins like the held-out one and is continued by the model.

    Each character is drawn from the model's distribution, given the ``context`` ones before it.
    """
    device = next(model.parameters()).device
    tokens = prompt.to(device)
    while len(tokens) < SAMPLE:
        logits = model(tokens[None, -context:])[0, -1].float().cpu()
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        tokens = torch.cat([tokens, drawn.to(device)])
    return [tokens]


def _fill_in(model: nn.Module, generator: torch.Generator, *, test: Examples) -> list[Tensor]:
    """Return some held-out text with masks, as the model reads it, and as the model fills them."""
    device = next(model.parameters()).device
    inputs, labels = test.inputs.to(device), test.labels.to(device)
    guesses = model(inputs).argmax(-1)
    return [inputs.flatten(), torch.where(labels == IGNORED, inputs, guesses).flatten()]
