"""Signals that ask a process to stop: it finishes its step, saves, and says so by its exit code."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What Ctrl-C, a scheduler before a time limit or a preemption, and a closing terminal send.
#: Windows has only the first two.
NAMES = ("SIGINT", "SIGTERM", "SIGUSR2", "SIGHUP")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))

_received: signal.Signals | None = None
_listeners = 0


class Interrupted(Exception):
    """The run was asked to stop and did so, its checkpoint written.

    Attributes:
        signal: What asked.
        code: 128 plus its number, the exit code of the process.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.signal = signal.Signals(number)
        self.code = 128 + number

    def __str__(self) -> str:
        return f"interrupted by {self.signal.name}"


def received() -> signal.Signals | None:
    """Return the signal that asked this process to stop since it listens, or None."""
    return _received


def raise_if_received() -> None:
    """Stop here if that was asked for.

    Raises:
        Interrupted: It was.
    """
    if _received is not None:
        raise Interrupted(_received)


@contextmanager
def listening() -> Iterator[None]:
    """Take note of the signals inside the block instead of dying of them.

    A signal that the process ignores stays ignored (``nohup``), and a second Ctrl-C raises
    KeyboardInterrupt at once. Outside the main thread, which alone gets signals, it does nothing.
    Blocks may be nested; what was received is forgotten at the end of the outermost.
    """
    global _received, _listeners
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, _note)
    _listeners += 1
    try:
        yield
    finally:
        _listeners -= 1
        if not _listeners:
            _received = None
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    if _received == number == signal.SIGINT:
        raise KeyboardInterrupt
    _received = _received or signal.Signals(number)


@contextmanager
def blocked() -> Iterator[None]:
    """Hold the signals back inside the block; a process started there holds them back too.

    Where signals cannot be held back, as on Windows, nothing is done.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        unblock()


def unblock() -> None:
    """Let the signals in that were held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
