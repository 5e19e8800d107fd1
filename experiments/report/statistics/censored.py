r"""Linear regression on numbers of which only limits are known.

The model is :math:`y = x \beta + \sigma \epsilon` with a standard normal :math:`\epsilon`. Of each
:math:`y` it is known that it lies between two limits: one of them is infinite where the number is
censored, and they are near each other where it was read off a grid. The likelihood is

.. math:: \prod_i \Phi\left(\frac{h_i - x_i \beta}{\sigma}\right)
          - \Phi\left(\frac{l_i - x_i \beta}{\sigma}\right)

Where :math:`y` is the log of a time, this is the log-normal accelerated-failure-time model. The log
of the likelihood is concave in :math:`\beta / \sigma` and :math:`1 / \sigma` (Burridge, 1981, J. R.
Statist. Soc. B 43, 41-45), so that Newton's method finds its one maximum.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

#: Steps after which a maximum counts as not there, and the gain in log-likelihood that ends them.
STEPS, ENOUGH = 60, 1e-9
#: Keeps a curvature invertible where the likelihood is flat.
FLAT = 1e-9
#: A log-likelihood above this is as good as 0, its bound: all limits are met without any scatter.
CERTAIN = -1e-3


@dataclass(frozen=True)
class Fit:
    """Maximum-likelihood estimates of S data sets; NaN where the likelihood has no maximum.

    Attributes:
        coefficients: Shape (S, p).
        errors: Their standard errors, from the curvature at the maximum; shape (S, p).
        scatter: The standard deviation sigma, shape (S,).
    """

    coefficients: np.ndarray
    errors: np.ndarray
    scatter: np.ndarray


def fit(design: np.ndarray, low: np.ndarray, high: np.ndarray) -> Fit:
    """Fit S data sets that have their explanatory variables in common.

    The likelihood has no maximum where a plane lies between all limits, as when all are censored,
    nor one maximum where the explanatory variables depend on each other.

    Args:
        design: The explanatory variables, the constant among them; shape (n, p).
        low: Lower limits, -inf where there is none; shape (S, n).
        high: Upper limits, above the lower ones, inf where there is none; shape (S, n).
    """
    p = design.shape[1]
    if np.linalg.matrix_rank(design) < p:
        unknown = np.full((len(low), p), np.nan)
        return Fit(unknown, unknown, unknown[:, 0])
    point = _start(design, low, high)
    value, gradient, curvature = _likelihood(point, design, low, high)
    going = np.ones(len(point), bool)
    for _ in range(STEPS):
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        going = (gradient * step).sum(1) > ENOUGH
        if not going.any():
            break
        length = going.astype(float)
        for _ in range(STEPS):
            tried = point + length[:, None] * step
            worse = (tried[:, -1] <= 0) | (_value(tried, design, low, high) < value)
            if not worse.any():
                break
            length[worse] /= 2
        length[worse] = 0
        point = point + length[:, None] * step
        value, gradient, curvature = _likelihood(point, design, low, high)
    point[going | (value > CERTAIN)] = np.nan
    scatter = 1 / point[:, -1]
    coefficients = point[:, :-1] * scatter[:, None]
    slopes = np.zeros((len(point), p, p + 1))
    slopes[:, range(p), range(p)] = scatter[:, None]
    slopes[:, :, p] = -coefficients * scatter[:, None]
    variance = np.einsum("spi,sij,spj->sp", slopes, np.linalg.inv(curvature), slopes)
    return Fit(coefficients, np.sqrt(variance), scatter)


def _start(design: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return where to begin: least squares on the middles, or on the one limit there is."""
    one = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0))
    middle = (one + np.where(np.isfinite(high), high, one)) / 2
    coefficients = np.linalg.lstsq(design, middle.T)[0].T
    scatter = np.maximum((middle - coefficients @ design.T).std(1, keepdims=True), 1e-3)
    return np.concatenate([coefficients, np.ones_like(scatter)], 1) / scatter


def _standardized(point: np.ndarray, design: np.ndarray, limit: np.ndarray) -> np.ndarray:
    return point[:, -1:] * limit - point[:, :-1] @ design.T


def _log_mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the log of the probability between standardized limits, from the nearer tail."""
    with np.errstate(invalid="ignore"):  # a number without any limit
        flip = low + high > 0
    lower, upper = np.where(flip, -high, low), np.where(flip, -low, high)
    above, below = log_ndtr(upper), log_ndtr(lower)
    with np.errstate(divide="ignore"):
        return above + np.log(-np.expm1(below - above))


def _value(point: np.ndarray, design: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the log-likelihood of each data set, at (beta / sigma, 1 / sigma): (S,)."""
    limits = (_standardized(point, design, one) for one in (low, high))
    return _log_mass(*limits).sum(1)


def _likelihood(
    point: np.ndarray, design: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the log-likelihood, its gradient, and minus its matrix of second derivatives."""
    size, p = point.shape
    mass = _log_mass(_standardized(point, design, low), _standardized(point, design, high))
    slopes = np.zeros((size, len(design), p))
    curvature = FLAT * np.eye(p) + np.zeros((size, p, p))
    for sign, limit in ((-1, low), (1, high)):
        known = np.isfinite(limit)
        at = np.where(known, _standardized(point, design, limit), 0)
        density = np.where(known, np.exp(-(at**2) / 2 - mass) / np.sqrt(2 * np.pi), 0)
        rows = np.concatenate([np.broadcast_to(-design, (size, *design.shape)),
                               np.where(known, limit, 0)[..., None]], 2)  # fmt: skip
        slopes += sign * density[..., None] * rows
        curvature += np.einsum("sn,sni,snj->sij", sign * at * density, rows, rows)
    curvature += np.einsum("sni,snj->sij", slopes, slopes)
    return mass.sum(1), slopes.sum(1), curvature
