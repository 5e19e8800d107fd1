"""Steps as CUDA graphs: recorded once, then replayed without Python and without launching kernels.

What a recorded step reads must lie in tensors: a Python number is frozen as it was. A graph also
keeps every tensor where it is in memory. On a processor without graphs nothing of this is used.
"""

import logging
from collections.abc import Callable, Hashable, Sequence
from functools import cache

import torch
from torch.optim import Optimizer

from experiments.errors import UserError

log = logging.getLogger(__name__)

CAPTURES = ("auto", "true", "false")
#: Steps of a kind that are taken before it is recorded: libraries start, moments come to be.
WARM_UP = 2
#: Streams on which the branches of a graph lie; more gain nothing.
STREAMS = 8

Call = Callable[[], None]


def resolve_capture(
    capture: str, device: torch.device, optimizer: Optimizer, *, watched: bool
) -> bool:
    """Return whether the steps of a run are to be recorded.

    Args:
        capture: ``auto``, ``true`` or ``false``.
        device: Where the run trains.
        optimizer: Its optimizer.
        watched: Whether a probe looks at every step.

    Raises:
        UserError: ``capture`` is true and it cannot be.
    """
    if capture == "false" or (capture == "auto" and device.type != "cuda"):
        return False
    reason = None
    if device.type != "cuda":
        reason = f"it needs an NVIDIA GPU, got device={device}"
    elif watched:
        reason = "a probe looks at every step"
    elif not all("capturable" in group for group in optimizer.param_groups):
        reason = f"{type(optimizer).__name__} has no capturable=True"
    if reason is None:
        return True
    if capture == "true":
        raise UserError(f"capture=true: {reason}; allowed here: auto, false")
    _say(f"steps are not captured: {reason}")
    return False


@cache
def _say(what: str) -> None:
    """Log it once a process."""
    log.warning("%s", what)


class Captured:
    """Takes steps, each kind of them a few times as they are, and then as a recording.

    The first steps warm up what the recording needs. They are steps of the run like any other, so
    there is nothing to undo.

    Args:
        required: Raise where a step cannot be recorded, rather than go on without.
        record: Makes a recording of a call, which it does not carry out, and returns what replays
            it. It may draw random numbers from the generators.
        warm_up: Carries a call out before it is recorded.
    """

    def __init__(
        self,
        required: bool = False,
        record: Callable[[Call, Sequence[torch.Generator]], Call] | None = None,
        warm_up: Callable[[Call], None] | None = None,
    ):
        self._required = required
        self._record, self._warm_up = record or cuda_graph, warm_up or on_a_side_stream
        self._taken: dict[Hashable, int] = {}
        self._replays: dict[Hashable, Call] = {}
        self._possible = True

    def __call__(
        self, kind: Hashable, step: Call, generators: Sequence[torch.Generator] = ()
    ) -> None:
        """Take a step.

        Args:
            kind: What a recording holds fast; a step of another kind gets one of its own.
            step: Takes it.
            generators: What it draws from; each is seeded before every step.

        Raises:
            UserError: The step cannot be recorded and must be.
        """
        if kind not in self._replays:
            taken = self._taken.get(kind, 0)
            if taken < WARM_UP or not self._possible:
                self._taken[kind] = taken + 1
                self._warm_up(step)
                return
            try:
                self._replays[kind] = self._record(step, generators)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._possible = False
                reason = str(error).splitlines()[0]
                if self._required:
                    raise UserError(f"capture=true: a step cannot be captured: {reason}") from error
                _say(f"steps go on uncaptured, since one cannot be captured: {reason}")
                step()
                return
        self._replays[kind]()

    def forget(self) -> None:
        """Drop all recordings, and with them the memory that they hold."""
        self._taken.clear()
        self._replays.clear()


def cuda_graph(step: Call, generators: Sequence[torch.Generator]) -> Call:
    """Record a step as a CUDA graph and return what replays it."""
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        step()
    replay: Call = graph.replay
    return replay


def on_a_side_stream(step: Call) -> None:
    """Take a step on a stream of its own, as torch wants it before a capture."""
    main, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(main)
    with torch.cuda.stream(side):
        step()
    main.wait_stream(side)


def side_by_side(calls: Sequence[Call], device: torch.device) -> None:
    """Carry out calls that do not depend on each other: on a GPU at once, else in turn."""
    if device.type != "cuda" or len(calls) == 1:
        for call in calls:
            call()
        return
    main = torch.cuda.current_stream()
    streams = _streams(device)[: len(calls)]
    for stream in streams:
        stream.wait_stream(main)
    for number, call in enumerate(calls):
        with torch.cuda.stream(streams[number % len(streams)]):
            call()
    for stream in streams:
        main.wait_stream(stream)


@cache
def _streams(device: torch.device) -> list[torch.cuda.Stream]:
    return [torch.cuda.Stream(device) for _ in range(STREAMS)]
