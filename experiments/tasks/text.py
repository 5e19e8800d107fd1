"""Language modelling on the characters of a text: the next one, or those that are masked.

The last tenth of the text is held out. An epoch is so many windows as the rest of it holds side by
side; they are drawn at random places, so that in one epoch a character is read once on average.
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
from experiments.seeding import stream
from experiments.tasks.base import IGNORED, Examples, Task
from experiments.tasks.text_files import SHA256, read_text, shakespeare_file

OBJECTIVES = ("causal", "masked")
#: BERT's objective (Devlin et al., 2019): of the positions this share is predicted; of those so
#: many show a mask, so many another character, and the rest what is there.
PREDICTED, MASKED, REPLACED = 0.15, 0.8, 0.1
#: Windows, evenly spread, on which a text is measured at most.
MEASURED = 2048
#: Characters that a sample shows, and with how many of the held-out text it begins.
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
        train_size: Train on the first so many characters only; None is all that is not held out.

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
        train_size: Characters to train on, the first ones; None is all that is not held out.

    Raises:
        UserError: The file cannot be read, changed, or is too short.
    """
    if text_file is None:
        raise UserError("task=text needs text_file=PATH, a utf-8 text")
    file = Path(text_file).expanduser()
    content = read_text(file)
    if checksum != checksum_of(file):
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
    """Return the distinct characters of a text in order, and its characters' places there, (N,)."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    alphabet = np.unique(codes)
    places = np.zeros(alphabet.max(initial=0) + 1, dtype=np.int32)
    places[alphabet] = np.arange(len(alphabet))
    return "".join(map(chr, alphabet)), torch.from_numpy(places[codes])


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
        """Return how many windows, each with the character after it, lie side by side."""
        return (len(self.tokens) - 1) // self.context

    def __getitem__(self, part: slice) -> "Windows":
        start, stop, _ = part.indices(len(self))
        return replace(self, tokens=self.tokens[start * self.context : stop * self.context + 1])

    def to(self, device: torch.device) -> "Windows":
        return replace(self, tokens=self.tokens.to(device))

    def sample(self, size: int, generator: torch.Generator) -> Examples:
        """Draw windows that begin anywhere, each place being as likely."""
        places = len(self.tokens) - self.context
        return self._at(torch.randint(places, (size,), generator=generator), generator)

    def carve(self, size: int, generator: torch.Generator) -> tuple["Windows", Examples]:
        """Return the text without its last ``size`` windows, and those: neighbours would leak."""
        rest = len(self) - size
        return self[:rest], self[rest:]._evenly(size)

    def measured(self) -> Examples:
        """Return windows side by side, evenly spread where there are more than 2,048."""
        return self._evenly(min(len(self), MEASURED))

    def _evenly(self, windows: int) -> Examples:
        """Return so many windows under masks that are always the same."""
        starts = torch.arange(windows) * len(self) // windows * self.context
        return self._at(starts, stream(0, "masks"))

    def _at(self, starts: Tensor, generator: torch.Generator) -> Examples:
        device = self.tokens.device
        places = starts.to(device)[:, None] + torch.arange(self.context + 1, device=device)
        tokens = self.tokens[places].long()  # (B, context + 1)
        if self.mask is None:
            return Examples(tokens[:, :-1], tokens[:, 1:])
        return hide(tokens[:, :-1], self.mask, generator)


def hide(tokens: Tensor, mask: int, generator: torch.Generator) -> Examples:
    """Choose 15 % of the positions of each window, at least one, and hide most of what is there.

    Of those chosen, 80 % show ``mask``, 10 % a character drawn from all, 10 % what is there.

    Args:
        tokens: Windows, (B, T), of numbers less than ``mask``.
        mask: The token that hides.
        generator: On the CPU, so that every device sees the same.
    """
    order, fate = torch.rand(2, *tokens.shape, generator=generator).to(tokens.device)
    others = torch.randint(mask, tokens.shape, generator=generator).to(tokens.device)
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
    """Return a text that begins like the held-out one, its other characters drawn from the model.

    A character is drawn at its probability by the model, given the ``context`` ones before it.
    """
    device = next(model.parameters()).device
    tokens = prompt.to(device)
    while len(tokens) < SAMPLE:
        logits = model(tokens[None, -context:])[0, -1].float().cpu()
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        tokens = torch.cat([tokens, drawn.to(device)])
    return [tokens]


def _fill_in(model: nn.Module, generator: torch.Generator, *, test: Examples) -> list[Tensor]:
    """Return some held-out text as the model sees it, and with its likeliest guesses."""
    device = next(model.parameters()).device
    inputs, labels = test.inputs.to(device), test.labels.to(device)
    guesses = model(inputs).argmax(-1)
    return [inputs.flatten(), torch.where(labels == IGNORED, inputs, guesses).flatten()]
