r"""What the probe's table comes to: one number a look, and one a run.

r is the share of a weight that decay takes in a step; divided by :math:`\eta_t` it should be the
same throughout a run. Each look has r's distribution layer by layer, at five quantiles; that of
the whole network is their mixture, in which a layer counts by its size.
"""

from typing import Any

import numpy as np
import pandas as pd

from experiments.probe.table import QUANTILES, of_quantiles

#: What each of the five quantiles stands for: up to the middle between it and its neighbours.
MASSES = np.diff([0.0, *np.convolve(QUANTILES, [0.5, 0.5], "valid"), 1.0])
R, ROOT_V = list(of_quantiles("r")), list(of_quantiles("root_v"))
RUN = ["id", "task", "optim", "lr", "wd", "seed"]


def weighted_quantile(values: np.ndarray, weights: np.ndarray, q: float) -> float:
    """Return the smallest value below or at which a share ``q`` of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, q * reached[-1] * (1 - 1e-12))])


def is_matrix(layers: pd.Series) -> pd.Series:
    """Whether each layer is a weight matrix or kernel, neither a bias nor of a normalization."""
    return ~layers.str.contains("norm|bias")


def looks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run and look.

    Args:
        rows: From ``probes.joined``.

    Returns:
        The run's columns, step and eta, with r_25, r_50 and r_75 of the network, r over eta;
        spread, the decades between r_75 and r_25, infinite where r_25 is not positive; slope, of
        log10 r on log10 root v by least squares over all weights with r > 0; shrinking, their
        share; v_from_l2, the share of v that is L2's in the median layer by size; and rotation,
        measured over predicted, in the median matrix.
    """
    found = [
        dict(zip([*RUN, "step"], key, strict=True)) | _look(group)
        for key, group in rows.groupby([*RUN, "step"], sort=False)
    ]
    return pd.DataFrame(found)


def _look(layers: pd.DataFrame) -> dict[str, float]:
    eta = layers["eta"].iloc[0]
    there = layers[layers[R].notna().all(axis=1)]
    values = there[R].to_numpy().ravel() / eta
    weights = np.outer(there["size"], MASSES).ravel()
    r = {q: weighted_quantile(values, weights, q / 100) for q in (25, 50, 75)}
    matrices = layers[is_matrix(layers["layer"]) & (layers["rotation_predicted"] > 0)]
    turned = matrices["rotation"] / matrices["rotation_predicted"]
    mixed = layers[layers["v_from_l2"].notna()]
    share = np.nan
    if len(mixed):
        share = weighted_quantile(mixed["v_from_l2"].to_numpy(), mixed["size"].to_numpy(), 0.5)
    has_v = layers[ROOT_V[0]].notna().any()
    return {
        "eta": eta,
        **{f"r_{q}": value for q, value in r.items()},
        "spread": np.log10(r[75] / r[25]) if r[25] > 0 else np.inf,
        "slope": slope(layers),
        "shrinking": layers["logs"].sum() / layers["size"].sum() if has_v else np.nan,
        "v_from_l2": share,
        "rotation": turned.median(),
    }


def slope(layers: pd.DataFrame) -> float:
    """Return the slope of log10 r on log10 root v over the weights of all layers together.

    NaN without weights, or when all have one root v.
    """
    fit = layers[layers["logs"] > 0]
    if not len(fit):
        return np.nan
    n = fit["logs"].to_numpy()
    x, y = fit["mean_log_v"].to_numpy(), fit["mean_log_r"].to_numpy()
    dx, dy = x - np.average(x, weights=n), y - np.average(y, weights=n)
    variance = np.average(fit["var_log_v"].to_numpy() + dx * dx, weights=n)
    covariance = np.average(fit["cov_logs"].to_numpy() + dx * dy, weights=n)
    return float(covariance / variance) if variance > 0 else np.nan


def per_run(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: medians over its looks, and how the median share drifts.

    Args:
        table: From :func:`looks`.

    Returns:
        The run's columns; r, the median over looks of the network's median r over eta; spread,
        slope, shrinking, v_from_l2 and rotation, likewise; drift, log2 of the median r over eta at
        the last look over that at the first; and drift_size, its absolute value.
    """
    table = table.sort_values("step")
    groups = table.groupby(RUN, sort=False)
    runs = groups[["spread", "slope", "shrinking", "v_from_l2", "rotation"]].median()
    runs["r"] = groups["r_50"].median()
    first, last = groups["r_50"].first(), groups["r_50"].last()
    positive = (first > 0) & (last > 0)
    runs["drift"] = np.log2((last / first).where(positive))
    runs["drift_size"] = runs["drift"].abs()
    return runs.reset_index()


def rate_effect(runs: pd.DataFrame) -> pd.DataFrame:
    """Return by how much r answers to the learning rate: by_lr, a row a seed.

    It is d log r / d log lr, 0 if r does not answer and 1 if in proportion, between the lowest and
    the highest rate of each task, optimizer and seed, at one wd; lr has both as text.

    Args:
        runs: From :func:`per_run`.
    """
    rows: list[tuple[Any, ...]] = []
    for key, group in runs.groupby(["task", "optim", "seed"], sort=False):
        ordered = group.sort_values("lr", kind="stable")
        low, high = ordered.iloc[0], ordered[ordered["lr"] == ordered["lr"].max()].iloc[0]
        if high["lr"] > low["lr"] and low["r"] > 0 and high["r"] > 0:
            answer = np.log(high["r"] / low["r"]) / np.log(high["lr"] / low["lr"])
            between = f"{low['lr']:g} to {high['lr']:g}"
            rows.append((*key, between, answer))
    return pd.DataFrame(rows, columns=["task", "optim", "seed", "lr", "by_lr"])
