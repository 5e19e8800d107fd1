"""A panel as arrays: error over lr and the decay's coordinate, for one table or many samples."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from experiments.errors import UserError
from experiments.record.schema import DIVERGED
from experiments.report.data import coordinates


@dataclass(frozen=True)
class Surface:
    """Error over L learning rates and W decays, in S samples (one, unless bootstrapped).

    Attributes:
        lr: Shape (L,), ascending.
        x: Shape (W,), the decay's coordinate, in the order of growing decay; first that of wd = 0.
        zero: Shape (W,), true at wd = 0.
        error: Shape (S, L, W). NaN: no such cell, or no number. Infinite: some seed diverged.
        bound: Shape (L, W). True where the number is only a bound of the true one.
        at: Row and column of each cell of the table, shapes (cells,).
        shift: What is added to log2 of a row's best or switching decay, shape (S, L) or (1, 1).
        posterior: Whether the samples are draws from a posterior on a fine grid, not resampled
            cells.
    """

    lr: np.ndarray
    x: np.ndarray
    zero: np.ndarray
    error: np.ndarray
    bound: np.ndarray
    at: tuple[np.ndarray, np.ndarray]
    shift: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    posterior: bool = False

    def sampled(self, errors: np.ndarray) -> "Surface":
        """Return the table with further samples of its cells' errors, shape (S, cells)."""
        further = np.full((len(errors), *self.bound.shape), np.nan)
        further[:, self.at[0], self.at[1]] = errors
        return replace(self, error=np.concatenate([self.error, further]))

    @property
    def measured(self) -> int:
        """How many learning rates have a cell that was run."""
        return int((~np.isnan(self.error[0])).any(1).sum())

    @property
    def log_lr(self) -> np.ndarray:
        return np.log2(self.lr)

    @property
    def log_x(self) -> np.ndarray:
        """Log2 of ``x``; NaN at wd = 0."""
        return np.log2(np.where(self.zero, np.nan, self.x))

    @property
    def known(self) -> np.ndarray:
        """Errors that are values; infinite where missing, diverged or a bound. Shape (S, L, W)."""
        return np.where(np.isfinite(self.error) & ~self.bound, self.error, np.inf)

    @property
    def pessimistic(self) -> np.ndarray:
        """Errors with a diverged cell counted as the table's worst number. Shape (S, L, W)."""
        worst = np.where(np.isfinite(self.error), self.error, -np.inf).max((1, 2), keepdims=True)
        return np.where(np.isinf(self.error), worst, self.error)


def surface(cells: pd.DataFrame, value: str = "test_error", axis: str = "typed") -> Surface:
    """Arrange averaged cells as arrays.

    Args:
        cells: One row a cell: lr, wd and ``value``, in percent or nats; optionally ``diverged``
            (seeds, or a status) and ``bound``. Axes other than ``typed`` need the columns of
            ``coordinates.convert``.
        value: Column of the error.
        axis: Coordinate of the decay.

    Raises:
        UserError: A cell occurs twice, or an lr is not positive.
    """
    if cells.duplicated(["lr", "wd"]).any():
        raise UserError("several rows share one (lr, wd) cell; average over seeds first")
    if not (cells["lr"] > 0).all() or not (cells["wd"] >= 0).all():
        raise UserError("cells need lr > 0 and wd >= 0")
    where = coordinates.convert(cells, axis).astype(float).to_numpy()
    sign = -1.0 if axis == "timescale" else 1.0
    with np.errstate(divide="ignore"):
        strength = np.where(cells["wd"] == 0, -np.inf, np.round(sign * np.log2(where), 9))
    lr, row = np.unique(cells["lr"].to_numpy(float), return_inverse=True)
    strengths, first, column = np.unique(strength, return_index=True, return_inverse=True)
    error = np.full((1, len(lr), len(strengths)), np.nan)
    error[0, row, column] = np.where(_diverged(cells), np.inf, cells[value].astype(float))
    bound = np.zeros(error.shape[1:], bool)
    if "bound" in cells:
        bound[row, column] = cells["bound"].fillna("") != ""
    return Surface(lr, where[first], np.isneginf(strengths), error, bound, (row, column))


def _diverged(cells: pd.DataFrame) -> np.ndarray:
    if "diverged" in cells:
        return (cells["diverged"] > 0).to_numpy()
    if "status" in cells:
        return (cells["status"] == DIVERGED).to_numpy()
    return np.zeros(len(cells), bool)
