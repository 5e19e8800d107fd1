r"""A Gaussian process over (log2 lr, log2 wd): what the error between noisy cells may be.

The lowest of many noisy cells says little of where the best decay lies: it moves by whole steps of
the grid, or not at all. Here a smooth surface is fitted to all cells at once, and statistics are
computed on surfaces drawn from its posterior, on a fine grid inside the range that was measured.
Formulas: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), 2.2 and 5.4.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import OptimizeResult, minimize

#: Sd of a constant added to the whole surface.
LEVEL = 5.0
#: Means and sds of the normal priors on log amplitude, log length along lr and along wd, shear
#: (octaves of wd an octave of lr) and log white noise. Values are compressed errors, about 0 to 4.
PRIOR_MEAN = np.array([math.log(1.5), math.log(3), math.log(3), -0.5, math.log(0.05)])
PRIOR_SD = np.array([1.0, 0.7, 0.7, 1.0, 1.0])
BOUNDS = [(-3.0, 4.0), (-1.0, 3.5), (-1.0, 3.5), (-3.0, 3.0), (-7.0, 2.0)]
STARTS = [(shear, math.log(length)) for shear in (0.0, -1.0, -1.7) for length in (2.0, 5.0)]
#: Steps of the descent from each start; from the two that lead the descent goes on.
FIRST, REST = 10, 60
#: What keeps a covariance positive definite in float64, as a share of the variance.
ROUNDING = 1e-8


@dataclass(frozen=True)
class Process:
    """A fitted process.

    Attributes:
        points: Log2 lr and log2 wd of the cells, less their means, shape (n, 2).
        values: Compressed errors there, shape (n,).
        noise: Covariance of their noise, shape (n, n).
        theta: Log amplitude, log lengths along lr and wd, shear, log white noise.
    """

    points: np.ndarray
    values: np.ndarray
    noise: np.ndarray
    theta: np.ndarray

    def draws(self, at: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return the posterior mean at points (q, 2), then draws of it: (1 + count, q)."""
        factor = cho_factor(_covariance(self.theta, self.points, self.noise), lower=True)
        cross = _kernel(self.theta, at, self.points)
        mean = cross @ cho_solve(factor, self.values)
        spread = _kernel(self.theta, at, at) - cross @ cho_solve(factor, cross.T)
        spread[np.diag_indices(len(at))] += ROUNDING * math.exp(2 * self.theta[0])
        root = np.linalg.cholesky(spread)
        drawn = generator.standard_normal((count, len(at))) @ root.T
        return np.concatenate([mean[None], mean + drawn])


def fit(points: np.ndarray, values: np.ndarray, noise: np.ndarray) -> Process:
    """Fit the kernel by maximizing marginal likelihood times prior, from several starts.

    Args:
        points: Log2 lr and log2 wd, less their means, shape (n, 2).
        values: Compressed errors, shape (n,).
        noise: Covariance of their noise, shape (n, n).
    """
    first = [PRIOR_MEAN * [1, 0, 0, 0, 1] + [0, size, size, shear, 0] for shear, size in STARTS]
    found = sorted((_descend(points, values, noise, start, FIRST) for start in first), key=_cost)
    found = [_descend(points, values, noise, one.x, REST) for one in found[:2]]
    return Process(points, values, noise, min(found, key=_cost).x)


def _descend(
    points: np.ndarray, values: np.ndarray, noise: np.ndarray, start: np.ndarray, steps: int
) -> OptimizeResult:
    return minimize(
        _loss, start, (points, values, noise), jac=True, method="L-BFGS-B", bounds=BOUNDS,
        options={"maxiter": steps},
    )  # fmt: skip


def _cost(found: OptimizeResult) -> float:
    return float(found.fun)


def _loss(
    theta: np.ndarray, points: np.ndarray, values: np.ndarray, noise: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus log of marginal likelihood times prior, and its gradient."""
    away = (theta - PRIOR_MEAN) / PRIOR_SD
    covariance = _covariance(theta, points, noise)
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros(5)
    half = solve_triangular(lower, np.eye(len(values)), lower=True)
    inverse = half.T @ half
    weights = inverse @ values
    value = 0.5 * values @ weights + np.log(np.diag(lower)).sum() + 0.5 * away @ away
    outer = inverse - np.outer(weights, weights)
    slopes = [0.5 * float((outer * part).sum()) for part in _gradients(theta, points)]
    return float(value), np.array(slopes) + away / PRIOR_SD


def _covariance(theta: np.ndarray, points: np.ndarray, noise: np.ndarray) -> np.ndarray:
    white = math.exp(2 * theta[4]) * np.eye(len(points))
    return _kernel(theta, points, points) + noise + white


def _kernel(theta: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Matern 5/2 covariance, its lr axis sheared along the ridge, plus a constant."""
    _, _, r = _distances(theta, first, second)
    matern = (1 + r + r * r / 3) * np.exp(-r)
    return np.asarray(math.exp(2 * theta[0]) * matern + LEVEL**2)


def _distances(
    theta: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    along = first[:, None, 0] - second[None, :, 0]
    across = first[:, None, 1] - second[None, :, 1] - theta[3] * along
    r = np.sqrt(5 * ((along / math.exp(theta[1])) ** 2 + (across / math.exp(theta[2])) ** 2))
    return along, across, r


def _gradients(theta: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """Return the covariance's derivatives by each of ``theta``."""
    along, across, r = _distances(theta, points, points)
    amplitude = math.exp(2 * theta[0])
    decay = np.exp(-r)
    # d/dx of the kernel is -amplitude (1 + r) exp(-r) / 3 times r dr/dx, and r^2 is quadratic
    slope = -amplitude * (1 + r) * decay / 3
    by_along = -5 * (along / math.exp(theta[1])) ** 2
    by_across = -5 * (across / math.exp(theta[2])) ** 2
    by_shear = -5 * along * across / math.exp(2 * theta[2])
    return [
        2 * amplitude * (1 + r + r * r / 3) * decay,
        slope * by_along,
        slope * by_across,
        slope * by_shear,
        2 * math.exp(2 * theta[4]) * np.eye(len(points)),
    ]
