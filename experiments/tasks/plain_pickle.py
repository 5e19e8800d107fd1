"""Reads pickles that hold nothing but numbers, text, lists and numpy arrays of numbers.

A pickle is a program: read freely, it runs whatever its author chose. Here the few names that numpy
writes for an array stand for the small classes below, and no other name is admitted.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import UserError


def read(file: Path) -> Any:
    """Return what a pickle holds; what had been a numpy array goes through ``np.asarray`` first.

    Raises:
        UserError: The file cannot be read, is damaged, or holds anything else.
    """
    try:
        with file.open("rb") as content:
            return _Numbers(content, encoding="latin1").load()  # latin1: Python 2's bytes
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except _Refused as error:
        raise UserError(f"{file} is refused, for {error}; arrays of numbers are allowed") from error
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{file} is damaged: {reason[0]}") from error


class _Refused(Exception):
    """A pickle names what it may not."""


class _Dtype:
    """A type of numbers: its code, then its byte order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biuf":
            raise _Refused(f"it holds an array of {self.dtype}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array that is made empty and then told its shape, its type and its bytes."""

    array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, kind, fortran, content = state
        self.array = _array(content, kind, shape, "F" if fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array


def _array(content: Any, kind: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    if isinstance(content, str):
        content = content.encode("latin1")
    return np.frombuffer(content, kind.dtype).reshape(shape, order=order)


def _encode(text: str, encoding: str) -> bytes:
    """Return bytes that Python 3 wrote as text, for readers of Python 2."""
    if encoding != "latin1":
        raise _Refused(f"it asks for the codec {encoding}")
    return text.encode("latin1")


ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")  # before and since numpy 2
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", lambda kind, shape, code: _Array()),
        ("multiarray", "scalar", lambda kind, content: _array(content, kind, (), "C")),
        ("numeric", "_frombuffer", _array),
    )
}


class _Numbers(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in ADMITTED:
            raise _Refused(f"it names {module}.{name}")
        return ADMITTED[module, name]
